"""The figure of kinds draws the bias and the entropy of its result."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.studies.kinds import study_kinds
from moexray.views.figures.studies.kind_devices import kind_devices
from moexray.views.figures.studies.kinds import kinds
from moexray.views.figures.style import figure_of

from .... import made


def test_it_draws_the_numbers_of_the_result() -> None:
    result = study_kinds(made.signatures(8, layers=(1, 5), experts=(4, 8)), permutations=9)
    left, right = kinds(result)
    drawn = np.ma.filled(left.get_images()[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn[0, :4], np.array(result.layers[0].bias, dtype=float))
    assert np.isnan(drawn[0, 4:]).all()
    np.testing.assert_allclose(drawn[1], np.array(result.layers[1].bias, dtype=float))
    entropies = [np.asarray(line.get_xdata()).tolist() for line in right.get_lines()]
    for kind in (0, 1):
        assert entropies[2 * kind] == [one.loads[kind].balance.entropy for one in result.layers]
        assert entropies[2 * kind + 1] == [one.loads[kind].even.entropy for one in result.layers]
    assert "prompt and generated tokens" in figure_of(left).get_suptitle()


def test_it_can_be_drawn_into_somebodys_axes_and_marks_experts_without_a_token() -> None:
    counts = np.zeros((4, 2, 1, 4), dtype=np.uint16)
    counts[..., :2] = 3
    result = study_kinds(made.signatures(counts=counts, top_k=2, layers=(0,)), permutations=9)
    mine = tuple(Figure().subplots(1, 2))
    left, _ = kinds(result, mine)
    assert np.asarray(left.collections[0].get_offsets()).tolist() == [[2, 0], [3, 0]]


def test_many_experts_are_in_the_order_of_their_bias_with_those_that_nobody_selects_in_grey() -> None:
    signatures = made.signatures(4, layers=(0, 1), experts=(140, 20), top_k=2, length=(9, 12))
    result = study_kinds(signatures, permutations=9)
    left, _ = kinds(result)
    drawn = np.ma.filled(left.get_images()[0].get_array(), np.nan)
    for row, layer in zip(drawn, result.layers, strict=True):
        known = sorted((bias for bias in layer.bias if bias is not None), reverse=True)
        np.testing.assert_allclose(row[: len(known)], known)
        assert (row[len(known) : len(layer.bias)] == -1).all()
        assert np.isnan(row[len(layer.bias) :]).all()
    assert not left.collections
    assert left.get_xlabel() == "experts, in the order of their bias"


def test_uniform_routing_of_a_single_layer_is_seen() -> None:
    """A line of one point has no length: it has a mark."""
    _, right = kinds(study_kinds(made.signatures(6, layers=(0,)), permutations=9))
    assert [line.get_marker() for line in right.get_lines()] == ["o", "|", "s", "|"]


def test_devices_have_a_panel_of_their_own() -> None:
    result = study_kinds(made.signatures(8), devices=4, permutations=9)
    left, _ = kinds(result)
    assert len(figure_of(left).axes) == 4  # with the colours' scale
    below = kind_devices(result)
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in below.get_lines()}
    assert drawn["these prompts"] == [one.busiest for one in result.devices.mixed]
    assert drawn["uniform routing"] == [one.even for one in result.devices.mixed]
    assert drawn["by the load of both kinds"] == [one.matched for one in result.devices.mixed]
    with pytest.raises(FigureError, match="without `devices`"):
        kind_devices(study_kinds(made.signatures(8), permutations=9))
