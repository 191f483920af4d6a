"""Figures are readable from 2 to 94 layers, 8 to 512 experts, 2 to 20 categories, and with long names in any script."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from moexray.studies.analysis import Analysis
from moexray.studies.category_shares import category_shares
from moexray.studies.layer_coactivation import LayerCoactivation
from moexray.studies.similarity_matrix import SimilarityMatrix
from moexray.views import figures
from moexray.views.figures.fonts import fonts_for
from moexray.views.figures.style import figure_of, figure_style, shown_names
from moexray.views.figures.widths import fit_width

from ... import made

# Of 40 characters, alike at both ends; and of scripts that the usual font has, or lacks.
LONG = [f"how people ask about {number:02} in the same words" for number in range(17)] + ["数学の問題", "عربى", "🙂"]
NARROWEST = 3.25
# Texts may stand over each other by the rounding of a pixel or two.
SLACK = 1.5


def assert_readable(axes: Axes | tuple[Axes, ...], width: float | None) -> None:
    """No two tick labels of an axis cover each other, and every text is inside the figure; warnings are errors."""
    if width is not None:
        fit_width(axes, width)
    figure = figure_of(axes)
    with figure_style(), fonts_for(figure):
        figure.draw_without_rendering()
        _assert_apart_and_inside(figure)


def _assert_apart_and_inside(figure: Figure) -> None:
    for one in figure.axes:
        for axis, side in ((one.xaxis, 0), (one.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            boxes = [Text.get_window_extent(tick.label1) for tick in ticks if tick.label1.get_visible()]
            ends = sorted((tuple(box.intervalx) if side == 0 else tuple(box.intervaly)) for box in boxes if box.width)
            assert all(end <= start + SLACK for (_, end), (start, _) in pairwise(ends)), (one, axis)
    page = Bbox([[0, 0], figure.bbox.size])
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text.axes is not None:
            box = Text.get_window_extent(text)
            inside = page.x0 - SLACK <= box.x0 and box.x1 <= page.x1 + SLACK
            assert inside, text
            assert page.y0 - SLACK <= box.y0, text
    title = figure._suptitle  # type: ignore[attr-defined]
    below = min(Text.get_window_extent(title).y0, page.y1)
    for one in figure.axes:
        if one.yaxis.label.get_text():
            assert one.yaxis.label.get_window_extent().y1 <= below + 4 * SLACK, one.yaxis.label


def deep(analysis: Analysis) -> Analysis:
    """Return the analysis with 94 layers of 512 experts, and prompts of 20 categories in the plane."""
    rng = np.random.default_rng(0)
    layers = tuple(replace(analysis.layers[i % 3], layer=i) for i in range(94))
    loads = tuple(
        replace(analysis.loads[0], layer=i, selections=tuple(rng.integers(1, 9, 512).tolist())) for i in range(94)
    )
    header = replace(analysis.signatures, layers=tuple(range(94)), top_k=(8,) * 94, experts=512, model="m" * 70)
    names = tuple(LONG[i % 20] for i in range(len(analysis.pca.categories)))
    values = {"a": LONG[0], "b": LONG[1], "c": LONG[-1]}
    some = tuple(replace(one, left_out=values.get(one.left_out, one.left_out)) for one in analysis.specifications)
    plane = replace(analysis.pca, categories=names)
    return replace(analysis, layers=layers, loads=loads, signatures=header, pca=plane, specifications=some)


def shallow(analysis: Analysis) -> Analysis:
    """Return the analysis with its first two layers."""
    header = replace(analysis.signatures, layers=(1, 2), top_k=(2, 2))
    return replace(analysis, layers=analysis.layers[:2], loads=analysis.loads[:2], signatures=header)


@pytest.mark.parametrize(
    ("name", "extreme"),
    [
        *((name, deep) for name in ("layerwise", "load", "pca", "specifications", "distributions", "segments")),
        *((name, shallow) for name in ("layerwise", "load")),
    ],
)
def test_figures_of_an_analysis(analysis: Analysis, name: str, extreme: Callable[[Analysis], Analysis]) -> None:
    assert_readable(getattr(figures, name)(extreme(analysis)), NARROWEST)


@pytest.mark.parametrize("layers", [2, 94])
def test_token_identity(traced: Analysis, layers: int) -> None:
    found = traced.controls.token_identity
    test, share = found.same_token, found.share
    many: dict[str, Any] = {
        "same_token": replace(test, by_layer=tuple(replace(test.by_layer[i % 3], layer=i) for i in range(layers))),
        "share": replace(
            share,
            by_layer=tuple(share.by_layer[i % 3] for i in range(layers)),
            high_by_layer=tuple(share.high_by_layer[i % 3] for i in range(layers)),
        ),
    }
    controls = replace(traced.controls, token_identity=replace(found, **many))
    header = replace(traced.signatures, layers=tuple(range(layers)))
    assert_readable(figures.token_identity(replace(traced, controls=controls, signatures=header)), NARROWEST)


@pytest.mark.parametrize(
    ("names", "width"),
    [(LONG, NARROWEST), (LONG, None), (LONG[16:18], NARROWEST), ([f"c{i}" for i in range(20)], NARROWEST)],
    ids=["long", "long, wide", "two", "short"],
)
def test_the_matrix_of_similarities(matrix: SimilarityMatrix, names: list[str], width: float | None) -> None:
    prompts = 3 * len(names)
    found = replace(
        matrix,
        ids=tuple(map(str, range(prompts))),
        categories=tuple(names[i % len(names)] for i in range(prompts)),
        matrix=np.random.default_rng(0).random((prompts, prompts)),
    )
    assert_readable(figures.similarity(found), width)


@pytest.mark.parametrize(("categories", "experts"), [(8, 16), (20, 512)])
def test_shares_of_categories(categories: int, experts: int) -> None:
    signatures = made.signatures(
        2 * categories, layers=(0, 93), experts=experts, categories=LONG[-categories:], length=(5, 6)
    )
    assert_readable(figures.categories(category_shares(signatures)), NARROWEST)


def test_pairs_of_experts(pairs: LayerCoactivation) -> None:
    assert_readable(figures.coactivation(pairs), NARROWEST)


def test_names_that_are_alike_at_both_ends_stay_apart() -> None:
    assert len(set(shown_names(LONG, most=20))) == 20
    assert max(map(len, shown_names(LONG, most=20))) <= 20
