"""Figures of studies are readable at every shape of their results, and in a narrow column."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from moexray.views.figures import FIGURES, figure
from moexray.views.figures.style import figure_of, save_figure
from moexray.views.figures.widths import WIDTHS, fit_width

from .shapes import SHAPES

CASES = [(name, case) for name, cases in SHAPES.items() for case in cases]
# Long names, many rows, panels side by side, legends under them: the hardest of all.
HARD = [
    ("batching", "large"), ("budget", "usual"), ("claims", "usual"), ("comparison", "corpora"), ("experts", "usual"),
    ("kinds", "large"), ("placement", "parts"), ("pool", "usual"),
]  # fmt: skip


def drawn(name: str, case: str, width: float | None = None) -> Figure:
    axes = figure(name)(SHAPES[name][case]())
    if width is not None:
        fit_width(axes, width)
    return figure_of(axes)


def panels(of: Figure) -> Iterator[Any]:  # axes, and second axes, which are no `Axes`
    for axes in of.axes:
        if axes.axison:
            yield axes
        yield from axes.child_axes


def assert_readable(of: Figure) -> None:
    """No text leaves the figure, ticks and names do not touch, and no legend lies on what is drawn."""
    of.draw_without_rendering()
    for axes in panels(of):
        legend = axes.get_legend()
        ticks = [label for label in axes.get_xticklabels() if label.get_text() and label.get_visible()]
        names = [label for label in axes.get_yticklabels() if label.get_text() and label.get_visible()]
        inside = [] if legend is None else legend.get_texts()
        (low, high), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        shown = [one for one in ticks if low <= one.get_position()[0] <= high]
        names = [one for one in names if bottom <= one.get_position()[1] <= top]
        for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts, *inside, *shown, *names):
            if not text.get_text():
                continue
            box = Text.get_window_extent(text)
            assert box.x0 >= -1, text
            assert box.x1 <= of.bbox.width + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= of.bbox.height + 1, text
        for one, other in pairwise(Text.get_window_extent(tick) for tick in shown):
            assert one.x1 <= other.x0, shown
        boxes = sorted((Text.get_window_extent(name) for name in names), key=lambda box: box.y0)
        for below, above in pairwise(boxes):
            assert below.y1 <= above.y0 + 2, names
        if legend is not None:
            assert legend.get_window_extent().y1 <= axes.bbox.y0


def test_every_figure_of_a_study_has_shapes() -> None:
    assert set(SHAPES) == {name for name, entry in FIGURES.items() if entry.of_study}


@pytest.mark.parametrize(("name", "case"), HARD)
def test_a_hard_shape_is_readable_in_a_narrow_column(name: str, case: str) -> None:
    assert_readable(drawn(name, case, WIDTHS["icml"]))


def test_a_title_that_was_broken_is_whole_where_there_is_room() -> None:
    axes = figure("experts")(SHAPES["experts"]["usual"]())
    assert figure_of(axes).get_suptitle().count("\n") > 1
    fit_width(axes, 12)
    assert figure_of(axes).get_suptitle().count("\n") == 1


def test_panels_side_by_side_stand_one_below_the_other_in_a_narrow_column() -> None:
    upper, lower = drawn("coverage", "small", WIDTHS["icml"]).axes
    assert lower.bbox.y1 < upper.bbox.y0
    assert lower.bbox.x0 == pytest.approx(upper.bbox.x0, abs=1)


@pytest.mark.nightly
@pytest.mark.parametrize("width", [None, "icml", "neurips", "cvpr-page"])
@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_shape_is_readable_at_every_width(name: str, case: str, width: str | None) -> None:
    assert_readable(drawn(name, case, None if width is None else WIDTHS[width]))


def test_the_same_study_is_the_same_bytes_and_its_text_stays_text(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        save_figure(drawn("pool", "usual").axes[0], tmp_path / name)
    written = (tmp_path / "one.svg").read_bytes()
    assert written == (tmp_path / "two.svg").read_bytes()
    assert "математические" in written.decode()
