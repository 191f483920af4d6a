"""Every figure draws the numbers of the result that it was given, read back from its axes."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from numpy.typing import ArrayLike, NDArray

from moexray.errors import FigureError
from moexray.studies.analysis import Analysis
from moexray.studies.similarity_matrix import SimilarityMatrix
from moexray.views import figures
from moexray.views.figures.style import COLOURS, category_marks, figure_of


def floats(values: ArrayLike) -> NDArray[np.float64]:
    """None as NaN."""
    return np.array(values, dtype=np.float64)


def band(axes: Axes) -> set[tuple[float, float]]:
    """Return the corners of the shaded band."""
    return {(float(x), float(y)) for x, y in np.asarray(axes.collections[0].get_paths()[0].vertices)}


def test_layerwise_draws_effect_sizes_accuracies_intervals_and_chance(analysis: Analysis) -> None:
    upper, lower = figures.layerwise(analysis)
    layers, index = analysis.layers, [one.layer for one in analysis.layers]
    np.testing.assert_array_equal(upper.lines[0].get_xydata(), [(one.layer, one.cohens_d) for one in layers])
    np.testing.assert_array_equal(lower.lines[0].get_xydata(), [(one.layer, one.accuracy) for one in layers])
    assert {(one.layer, end) for one in layers for end in one.cohens_d_ci} <= band(upper)
    assert {(one.layer, end) for one in layers for end in one.accuracy_ci} <= band(lower)
    assert set(lower.lines[1].get_ydata()) == {analysis.classifier.chance}
    peak = max(layers, key=lambda one: one.cohens_d)
    assert f"peak: layer {peak.layer}, d = {peak.cohens_d:.2f}" in [text.get_text() for text in upper.texts]
    assert index == [1, 2, 4]


def test_layerwise_leaves_a_gap_where_a_layer_has_no_number(analysis: Analysis) -> None:
    first, *others = analysis.layers
    gap = replace(first, cohens_d=None, cohens_d_ci=None, accuracy=None, accuracy_ci=None)
    upper, lower = figures.layerwise(replace(analysis, layers=(gap, *others)))
    expected = floats([None, *(one.cohens_d for one in others)])
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), expected)
    assert np.isnan(lower.lines[0].get_ydata()[0])


def test_load_crosses_out_every_expert_of_a_layer_that_nothing_selects(analysis: Analysis) -> None:
    one, *others = analysis.loads
    nothing = replace(one, selections=(0,) * len(one.selections))
    left, _ = figures.load(replace(analysis, loads=(nothing, *others)))
    crosses = left.collections[0].get_offsets().tolist()
    assert [place for place in crosses if place[1] == 0] == [[expert, 0] for expert in range(len(one.selections))]
    assert "no such expert" not in left.figure.axes[-1].get_xlabel()


def test_an_interval_without_a_neighbour_is_a_line(analysis: Analysis) -> None:
    one, other, last = analysis.layers
    gap = replace(other, cohens_d=None, cohens_d_ci=None)
    for layers in ((one,), (one, gap, last)):
        upper, _ = figures.layerwise(replace(analysis, layers=layers))
        _, lines = upper.collections
        ends = [[(of.layer, end) for end in of.cohens_d_ci] for of in layers if of is not gap]
        np.testing.assert_array_equal(lines.get_segments(), ends)
    upper, _ = figures.layerwise(analysis)
    assert len(upper.collections) == 1, "of neighbours, the shade alone"


def test_layerwise_says_what_was_not_computed(analysis: Analysis) -> None:
    without = [replace(one, cohens_d_ci=None, accuracy=None, accuracy_ci=None) for one in analysis.layers]
    upper, lower = figures.layerwise(replace(analysis, layers=tuple(without), classifier=None))
    assert [text.get_text() for text in lower.texts] == ["not computed"]
    assert not any("shaded" in text.get_text() for text in upper.texts)


def test_a_specification_without_p_is_a_cross(analysis: Analysis) -> None:
    first, *others = analysis.specifications
    upper, _ = figures.specifications(replace(analysis, specifications=(replace(first, p_value=None), *others)))
    clouds = {str(cloud.get_label()): cloud.get_offsets()[:, 1].tolist() for cloud in upper.collections}
    assert clouds.pop("no p") == [first.cohens_d]
    assert sum(map(len, clouds.values())) == len(others)


def test_layerwise_names_the_peak_above_the_band(analysis: Analysis) -> None:
    upper, _ = figures.layerwise(analysis)
    upper.figure.draw_without_rendering()
    (label,) = (text for text in upper.texts if "peak" in text.get_text())
    highest = max(y for _, y in band(upper))
    # Of the text alone, without the line that leads from it.
    assert Text.get_window_extent(label).y0 >= upper.transData.transform((0, highest))[1]


def test_pca_draws_each_prompt_once_in_the_colour_of_its_category(analysis: Analysis) -> None:
    axes = figures.pca(analysis)
    clouds = [found for found in axes.collections if isinstance(found, PathCollection)]
    coordinates, categories = floats(analysis.pca.coordinates), np.array(analysis.pca.categories)
    for cloud, name in zip(clouds, "abc", strict=True):
        np.testing.assert_array_equal(cloud.get_offsets(), coordinates[categories == name])
        assert to_rgb(np.asarray(cloud.get_facecolor())[0]) == to_rgb(category_marks("abc")[name][0])


def test_load_draws_the_selections_relative_to_balance(analysis: Analysis) -> None:
    left, right = figures.load(analysis)
    selections = floats([one.selections for one in analysis.loads])
    relative = selections / selections.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(left.images[0].get_array()), np.log2(np.clip(relative, 1 / 8, 8)))
    assert [bar.get_width() for bar in right.patches] == [one.max_over_mean for one in analysis.loads]
    assert [label.get_text() for label in left.get_yticklabels()] == ["1", "2", "4"]


def test_load_crosses_out_dead_experts_and_leaves_out_those_that_a_layer_does_not_have(analysis: Analysis) -> None:
    one, *_ = analysis.loads
    loads = (replace(one, selections=(4, 4, 4, 4)), replace(one, layer=5, selections=(0, 8)))
    changed = replace(analysis, loads=loads, signatures=replace(analysis.signatures, experts=4))
    left, _ = figures.load(changed)
    np.testing.assert_allclose(np.asarray(left.images[0].get_array()), floats([[0, 0, 0, 0], [-3, 1, None, None]]))
    assert left.collections[0].get_offsets().tolist() == [[0, 1]]


def test_load_is_white_at_balance_and_as_far_on_either_side_of_it(analysis: Analysis) -> None:
    """Colours reach the power of two that holds every load, and at most 8 times the balanced one."""
    one = replace(analysis.loads[0], selections=(3, 5, 4, 4))
    for selections, ends, shown in (
        ((3, 5, 4, 4), 1, ["1/2", "1", "2"]),
        ((2, 2, 10, 2), 2, ["1/4", "1/2", "1", "2", "4"]),
        ((0, 90, 3, 3), 3, ["≤ 1/8", "1/4", "1/2", "1", "2", "4", "8"]),
    ):
        loads = (replace(one, selections=selections),)
        left, right = figures.load(replace(analysis, loads=loads, signatures=replace(analysis.signatures, experts=4)))
        image = left.images[0]
        assert image.get_clim() == (-ends, ends)
        assert min(image.cmap(image.norm(0))[:3]) > 0.95
        (colours,) = (axes for axes in figure_of(left).axes if axes not in (left, right))
        assert [label.get_text() for label in colours.get_xticklabels()] == shown


def test_the_name_of_the_peak_stays_within_a_figure_of_two_layers(analysis: Analysis) -> None:
    first, second, *_ = analysis.layers
    for effects in ((1.0, 2.0), (2.0, 1.0)):
        layers = tuple(replace(one, cohens_d=d) for one, d in zip((first, second), effects, strict=True))
        upper, _ = figures.layerwise(replace(analysis, layers=layers))
        figure_of(upper).draw_without_rendering()
        (label,) = (text for text in upper.texts if "peak" in text.get_text())
        box, panel = Text.get_window_extent(label), upper.get_window_extent()
        assert panel.x0 <= box.x0
        assert box.x1 <= panel.x1


def test_specifications_says_the_p_of_all_beside_the_panel_and_not_upon_its_lines(analysis: Analysis) -> None:
    upper, _ = figures.specifications(analysis)
    upper.figure.draw_without_rendering()
    (label,) = (text for text in upper.texts if "all together" in text.get_text())
    assert label.get_window_extent().y0 >= upper.get_window_extent().y1


def test_specifications_draws_the_rows_of_the_table(analysis: Analysis) -> None:
    upper, lower = figures.specifications(analysis)
    known = sorted((one for one in analysis.specifications if one.cohens_d is not None), key=lambda one: one.cohens_d)
    drawn = {(float(x), float(y)) for cloud in upper.collections for x, y in cloud.get_offsets()}
    assert drawn == {(i, one.cohens_d) for i, one in enumerate(known)}
    filled, open_ = (
        {float(y) for cloud in upper.collections if cloud.get_label() == label for _, y in cloud.get_offsets()}
        for label in ("p < 0.05", "p ≥ 0.05")
    )
    assert filled == {one.cohens_d for one in known if one.p_value is not None and one.p_value < 0.05}
    assert open_ == {one.cohens_d for one in known} - filled
    marks = {
        label.get_text(): line.get_xdata() for label, line in zip(lower.get_yticklabels(), lower.lines, strict=True)
    }
    assert list(marks["left out: b"]) == [i for i, one in enumerate(known) if one.left_out == "b"]
    assert list(marks["layers: averaged"]) == [i for i, one in enumerate(known) if one.layers == "averaged"]


def test_token_identity_draws_gains_their_null_and_shares(traced: Analysis) -> None:
    upper, lower = figures.token_identity(traced)
    found = traced.controls.token_identity
    np.testing.assert_array_equal(
        upper.lines[0].get_xydata(), [(one.layer, one.gain) for one in found.same_token.by_layer]
    )
    assert {(one.layer, end) for one in found.same_token.by_layer for end in one.null_ci} <= band(upper)
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), floats(found.share.by_layer))
    assert set(lower.lines[2].get_ydata()) == {found.share.share}
    np.testing.assert_array_equal(lower.lines[3].get_ydata(), floats(found.share.high_by_layer))
    assert set(lower.lines[4].get_ydata()) == {found.share.high}


@pytest.mark.parametrize("part", ["same_token", "share"])
def test_token_identity_leaves_the_panel_of_a_missing_part_empty(traced: Analysis, part: str) -> None:
    identity = replace(traced.controls.token_identity, **{part: None})
    panels = figures.token_identity(replace(traced, controls=replace(traced.controls, token_identity=identity)))
    missing, other = panels if part == "same_token" else panels[::-1]
    assert len(missing.lines) == (1 if part == "same_token" else 0)
    assert len(other.lines) >= 2


def test_similarity_is_ordered_by_category_and_blank_on_its_diagonal(matrix: SimilarityMatrix) -> None:
    shown = np.asarray(figures.similarity(matrix).images[0].get_array())
    order = sorted(range(len(matrix.categories)), key=lambda i: matrix.categories[i])
    expected = matrix.matrix[np.ix_(order, order)]
    off_diagonal = ~np.eye(len(order), dtype=bool)
    np.testing.assert_array_equal(shown[off_diagonal], expected[off_diagonal])
    assert np.isnan(shown.diagonal()).all()


@pytest.mark.parametrize(("name", "part"), [("pca", "pca"), ("load", "loads"), ("specifications", "specifications")])
def test_a_figure_of_what_was_not_computed_is_refused_with_the_reason(analysis: Analysis, name: str, part: str) -> None:
    key = {"loads": "load"}.get(part, part)
    without = replace(analysis, **{part: None}, notes={key: "there is one category only"})
    with pytest.raises(FigureError, match=f"no figure {name}: there is one category only"):
        getattr(figures, name)(without)


def test_layers_without_any_number_are_refused_with_the_reason(analysis: Analysis) -> None:
    layers = tuple(
        replace(one, cohens_d=None, cohens_d_ci=None, accuracy=None, accuracy_ci=None) for one in analysis.layers
    )
    without = replace(analysis, layers=layers, classifier=None, notes={"classifier": "there is one category only"})
    with pytest.raises(FigureError, match="no figure layerwise: there is one category only"):
        figures.layerwise(without)


def test_a_figure_of_token_identity_without_a_trace_is_refused_with_the_reason(analysis: Analysis) -> None:
    with pytest.raises(FigureError, match=r"no figure token_identity: .*trace"):
        figures.token_identity(analysis)


def test_categories_are_told_apart_without_colour() -> None:
    marks = category_marks(list("abcdefghijkl"))
    assert len({marker for _, marker in marks.values()}) == 12


def test_the_first_four_colours_differ_in_grayscale() -> None:
    """Luminance by Rec. 709; a difference of 0.05 is what a printer still shows."""
    luminances = sorted(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) for colour in COLOURS[:4])
    assert min(np.diff(luminances)) > 0.01
