"""Names in any script are drawn in the fonts of the machine, and without a warning where it has none."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from moexray.studies.analysis import Analysis
from moexray.views import figures
from moexray.views.figures import fonts
from moexray.views.figures.fonts import letters_without_font
from moexray.views.figures.style import figure_of, save_figure
from moexray.views.figures.widths import fit_width

# DejaVu Sans lacks these, and the first is in a font that comes with matplotlib: a small capital, and two ideographs.
HELD, NOT_HELD = "\N{HIRAGANA LETTER NO}", "\U000302a1\U000302a2"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_letters_of_no_font_are_named_and_no_warning(analysis: Analysis, tmp_path: Path, suffix: str) -> None:
    """Warnings are errors here; the middle letter of the category has a font, and the others have none."""
    named = tuple({"a": f"{NOT_HELD[0]}{HELD}{NOT_HELD[1]}"}.get(name, name) for name in analysis.pca.categories)
    axes = figures.pca(replace(analysis, pca=replace(analysis.pca, categories=named)))
    fit_width(axes, 3.25)
    save_figure(axes, tmp_path / f"pca.{suffix}")
    assert letters_without_font(figure_of(axes)) == NOT_HELD
    (text,) = (one for one in figure_of(axes).findobj(Text) if HELD in one.get_text())
    family = text.get_fontfamily()
    assert family[0] == "DejaVu Sans"
    assert len(family) == 2
    letters = font_manager.get_font(font_manager.findfont(family[1])).get_charmap()
    assert ord(HELD) in letters


def test_usual_letters_keep_the_usual_font(analysis: Analysis, tmp_path: Path) -> None:
    axes = figures.pca(analysis)
    save_figure(axes, tmp_path / "pca.svg")
    assert letters_without_font(figure_of(axes)) == ""
    assert {tuple(text.get_fontfamily()) for text in figure_of(axes).findobj(Text)} == {("sans-serif",)}


def test_a_font_that_cannot_be_read_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(font_manager, "get_font", broken)
    assert fonts._letters_of("broken.ttf") == frozenset()
