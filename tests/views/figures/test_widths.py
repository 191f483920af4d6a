"""Figures have the width of a column, with text that is readable at that size and inside of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.text import Text

from moexray.errors import FigureError
from moexray.studies.analysis import Analysis
from moexray.studies.similarity_matrix import SimilarityMatrix
from moexray.views import figures
from moexray.views.figures.style import figure_of, save_figure
from moexray.views.figures.widths import WIDTHS, fit_width, inches


def test_a_width_is_a_venue_or_inches() -> None:
    assert inches("icml") == inches("ICML") == 3.25
    assert inches("neurips") == 5.5
    assert inches("4.5") == 4.5
    assert all(WIDTHS[f"{name}-page"] > 2 * WIDTHS[name] for name in ("icml", "aistats", "uai", "cvpr", "aaai"))


@pytest.mark.parametrize("width", ["icmk", "", "nan", "inf", "0", "-3", "1.9", "20.1", "\x1b[31m"])
def test_another_width_is_refused_in_a_sentence(width: str) -> None:
    with pytest.raises(FigureError, match=r"give (inches, or one of icml|2 to 20)") as refused:
        inches(width)
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("name", ["layerwise", "load", "pca", "similarity", "specifications", "token_identity"])
def test_a_figure_of_a_narrow_column_is_readable(
    name: str, analysis: Analysis, traced: Analysis, matrix: SimilarityMatrix
) -> None:
    result = {"similarity": matrix, "token_identity": traced}.get(name, analysis)
    axes = getattr(figures, name)(result)
    before = figure_of(axes).get_suptitle()
    fit_width(axes, 3.25)
    figure = figure_of(axes)
    assert figure.get_figwidth() == 3.25
    assert figure.get_suptitle().split() == before.split()
    figure.draw_without_rendering()
    for one in figure.axes:
        ticks = [tick for tick in (*one.get_xticklabels(), *one.get_yticklabels()) if tick.get_text()]
        assert {tick.get_fontsize() for tick in ticks} <= {7}
        labels = [label for label in (one.xaxis.label, one.yaxis.label) if label.get_text()]
        assert {label.get_fontsize() for label in labels} <= {8}
        for text in (*labels, *one.texts):
            box = Text.get_window_extent(text)
            assert box.x0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1, text


def test_text_of_vector_figures_stays_text(analysis: Analysis, tmp_path: Path) -> None:
    """PDF has TrueType fonts, not outlines, and SVG has text elements, of names with signs of markup too."""
    axes = figures.pca(analysis)
    axes.set_xlabel("<b>&")
    fit_width(axes, inches("icml"))
    save_figure(axes, tmp_path / "pca.svg")
    save_figure(axes, tmp_path / "pca.pdf")
    assert "&lt;b&gt;&amp;</text>" in (tmp_path / "pca.svg").read_text(encoding="utf-8")
    assert b"/FontFile2" in (tmp_path / "pca.pdf").read_bytes()
    assert b"/Subtype /Type3" not in (tmp_path / "pca.pdf").read_bytes()


def test_a_figure_without_room_is_refused_and_not_drawn_on_top_of_itself(analysis: Analysis) -> None:
    long = tuple(name * 40 for name in analysis.pca.categories)
    axes = figures.pca(replace(analysis, pca=replace(analysis.pca, categories=long)))
    with pytest.raises(FigureError, match="no room for its names at 2 inches: give a greater width"):
        fit_width(axes, 2.0)
