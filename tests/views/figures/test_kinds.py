"""The figure of kinds draws the bias and the entropy of its result."""

import numpy as np
from matplotlib.figure import Figure

from moexray.studies.kinds import study_kinds
from moexray.views.figures.kinds import kinds
from moexray.views.figures.style import figure_of

from ... import made


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
