"""The figures of categories and of pairs of experts draw the numbers of their results."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

from moexray.studies.category_shares import CategoryShares, category_shares
from moexray.studies.layer_coactivation import LEAST_EXPECTED, LayerCoactivation
from moexray.views import figures
from moexray.views.figures.style import figure_of

from ... import made


def points(axes: Axes) -> dict[str, np.ndarray]:
    return {
        str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "None"
    }


def test_few_categories_are_points_with_intervals_and_a_line_at_uniform(shares: CategoryShares) -> None:
    panels = figures.categories(shares)
    assert [axes.get_ylabel() for axes in panels] == ["layer 1", "layer 2", "layer 4"]
    for axes, layer in zip(panels, shares.layers, strict=True):
        drawn = points(axes)
        for number, name in enumerate(shares.categories):
            np.testing.assert_array_equal(drawn[name], layer.shares[number])
            ends = np.array(axes.collections[number].get_segments())[:, :, 1]
            np.testing.assert_array_equal(ends, np.stack([layer.low[number], layer.high[number]], axis=1))
        np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], layer.every)
        assert set(axes.lines[0].get_ydata()) == {layer.uniform} == {2 / 8}
        assert "dashed: uniform, 25.0 %" in [text.get_text() for text in axes.texts]
    (legend,) = figure_of(panels[0]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c", "all prompts"]


def test_more_are_maps_white_where_the_interval_holds_the_uniform_share() -> None:
    found = category_shares(made.signatures(60, experts=48, categories=("a", "b", "c"), layers=(5,)))
    (axes,) = figures.categories(found)
    (layer,) = found.layers
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown[0], np.log2(np.clip(layer.every / layer.uniform, 1 / 8, 8)))
    held = (layer.low <= layer.uniform) & (layer.uniform <= layer.high)
    assert 0 < held.sum() < held.size
    assert not shown[1:][held].any()
    np.testing.assert_allclose(
        shown[1:][~held], np.log2(np.clip(layer.shares / layer.uniform, 1 / 8, 8))[~held], atol=1e-12
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all prompts", "a", "b", "c"]


def test_nine_categories_are_a_map_however_few_the_experts() -> None:
    found = category_shares(made.signatures(18, categories=[f"c{i}" for i in range(9)], layers=(0,)))
    (axes,) = figures.categories(found)
    assert axes.images
    assert np.isfinite(np.asarray(axes.images[0].get_array())).all()  # two prompts a category, and no interval
    assert [label.get_text() for label in axes.get_yticklabels()][1:] == [f"c{i} *" for i in range(9)]
    bar = figure_of(axes).axes[-1]
    assert bar.get_xlabel().endswith("(white: its interval holds that; *: too few prompts for one)")


def test_pairs_are_drawn_by_their_odds_and_grey_where_they_are_rare(pairs: LayerCoactivation) -> None:
    left, right = figures.coactivation(pairs)
    shown = np.asarray(left.images[0].get_array())
    often = pairs.expected >= LEAST_EXPECTED
    np.testing.assert_allclose(shown[often], np.log2(np.clip(pairs.odds_ratio[often], 1 / 16, 16)))
    assert np.isnan(shown[~often]).all()
    assert np.isnan(shown.diagonal()).all()
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == [f"{one.first} and {one.second}" for one in pairs.strongest]
    (line,) = right.lines
    np.testing.assert_array_equal(line.get_xdata(), [one.odds_ratio for one in pairs.strongest])
    rings = {tuple(place) for place in left.collections[0].get_offsets().tolist()}
    assert rings == {place for one in pairs.strongest for place in ((one.first, one.second), (one.second, one.first))}


def test_odds_of_up_to_16_times_have_colours_of_their_own_and_rings_stay_apart(pairs: LayerCoactivation) -> None:
    odds = np.full_like(pairs.odds_ratio, 1.0)
    odds[0, 1], odds[1, 0] = 12.0, 64.0
    found = replace(pairs, odds_ratio=odds, expected=np.full_like(odds, LEAST_EXPECTED))
    left, _ = figures.coactivation(found)
    np.testing.assert_allclose(np.asarray(left.images[0].get_array())[[0, 1], [1, 0]], [np.log2(12), 4])
    assert left.images[0].get_clim() == (-4, 4)
    said = [label.get_text() for label in figure_of(left).axes[-1].get_xticklabels()]
    assert (said[0], said[-1]) == ("1/16", "≥ 16")
    assert left.collections
    wide = replace(pairs, odds_ratio=np.ones((129, 129)), expected=np.full((129, 129), LEAST_EXPECTED))
    left, _ = figures.coactivation(wide)
    assert not left.collections


@pytest.mark.parametrize("expected", [1.0, np.nan])
def test_too_few_tokens_leave_the_map_grey_and_name_no_pair(pairs: LayerCoactivation, expected: float) -> None:
    rare = replace(pairs, expected=np.full_like(pairs.expected, expected), strongest=())
    left, right = figures.coactivation(rare)
    figure_of(left).draw_without_rendering()
    assert np.isnan(np.asarray(left.images[0].get_array())).all()
    assert "no pair above" in right.texts[0].get_text()
