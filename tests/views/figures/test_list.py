"""Every figure of the list names what it shows, draws where it is asked to, and is the same bytes every time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.stats.categories.pca import principal_components
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.category_shares import CategoryShares
from moexray.studies.layer_coactivation import LayerCoactivation
from moexray.studies.sections.pca import Components
from moexray.studies.similarity_matrix import SimilarityMatrix, similarity_matrix
from moexray.views import figures
from moexray.views.figures import FIGURES, MATRIX, OF_SIGNATURES, PAIRS, SHARES, figures_of
from moexray.views.figures.style import figure_of, save_figure

from ... import made

SIGNS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
Result = Analysis | SimilarityMatrix | CategoryShares | LayerCoactivation


@pytest.fixture
def result_of(
    analysis: Analysis, traced: Analysis, matrix: SimilarityMatrix, shares: CategoryShares, pairs: LayerCoactivation
) -> Callable[[str], Result]:
    """Return a function that gives a figure what it draws."""

    def chosen(name: str) -> Result:
        computed: dict[str, Result] = {MATRIX: matrix, SHARES: shares, PAIRS: pairs}
        return computed.get(FIGURES[name].of, traced if FIGURES[name].needs == "trace" else analysis)

    return chosen


def drawn(name: str, result: Result, ax: Any = None) -> tuple[Axes, ...]:
    found = getattr(figures, name)(result, ax) if ax else getattr(figures, name)(result)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", figures_of(*OF_SIGNATURES))
def test_every_figure_names_its_model_tokens_and_axes(name: str, result_of: Callable[[str], Result]) -> None:
    result = result_of(name)
    axes = drawn(name, result)
    title = figure_of(axes[0]).get_suptitle()
    assert f"{result.signatures.model}, {result.signatures.prompts} prompts" in title
    of_prompt = FIGURES[name].of in {MATRIX, SHARES}
    assert ("prompt tokens" if of_prompt else "prompt and generated tokens") in title
    assert any(one.get_xlabel() + one.get_ylabel() for one in figure_of(axes[0]).axes)


@pytest.mark.parametrize("name", figures_of(*OF_SIGNATURES))
def test_every_figure_can_be_drawn_into_somebodys_axes(name: str, result_of: Callable[[str], Result]) -> None:
    panels = len(drawn(name, result_of(name)))
    mine = Figure().subplots(1, panels, squeeze=False)[0]
    axes = drawn(name, result_of(name), tuple(mine) if panels > 1 else mine[0])
    assert axes == tuple(mine)
    assert axes[0].get_title(loc="left")
    assert figure_of(axes[0]).get_suptitle() == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["layerwise", "pca", "similarity"])
@pytest.mark.parametrize("suffix", SIGNS)
def test_the_same_figure_is_the_same_bytes(
    tmp_path: Path, name: str, suffix: str, result_of: Callable[[str], Result]
) -> None:
    for file in ("first", "second"):
        save_figure(getattr(figures, name)(result_of(name)), tmp_path / f"{file}{suffix}")
    written = (tmp_path / f"first{suffix}").read_bytes()
    assert written == (tmp_path / f"second{suffix}").read_bytes()
    assert written.startswith(SIGNS[suffix])


def test_another_suffix_is_refused(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="end it with"):
        save_figure(figures.pca(analysis), tmp_path / "pca.jpeg")


def test_a_sample_is_named_in_the_title(analysis: Analysis) -> None:
    """Of more than 5,000 prompts the plane holds some, drawn at random."""
    header = replace(analysis.signatures, prompts=7_000)
    title = figure_of(figures.pca(replace(analysis, signatures=header))).get_suptitle()
    assert "36 of 7,000 prompts, drawn at random" in title


def test_names_with_dollar_signs_and_control_characters_are_shown_as_text(matrix: SimilarityMatrix) -> None:
    odd = replace(matrix, categories=tuple("$x_" if one == "a" else "\x1bb" for one in matrix.categories))
    axes = figures.similarity(odd)
    figure_of(axes).draw_without_rendering()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["\\x1bb", "$x_"]


def test_a_figure_that_there_is_not_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'histogram'"):
        figures.histogram  # noqa: B018  # asking for it is what raises
    assert set(FIGURES) <= set(dir(figures))


def test_many_categories_are_counted_where_marks_and_names_would_not_fit(tmp_path: Path) -> None:
    signatures = made.signatures(200, categories=[f"kind {i}" for i in range(100)], layers=(0,))
    found = similarity_matrix(signatures)
    axes = figures.similarity(found)
    assert 20 <= len(axes.get_yticklabels()) <= 40
    labels = tuple(signatures.prompts.categories)
    plane = principal_components(signatures.vectors(), labels)
    components = Components(
        explained_variance_ratio=tuple(plane.explained_variance_ratio.tolist()),
        coordinates=tuple(map(tuple, plane.coordinates.tolist())),
        prompt_ids=tuple(signatures.prompts.ids),
        silhouette=None,
        categories=labels,
    )
    analysis = replace(analyze(made.signatures(), permutations=9, folds=2), pca=components)
    drawn = figures.pca(analysis)
    assert drawn.get_legend() is None
    assert "100 categories" in {text.get_text() for text in drawn.texts}
    few = replace(components, categories=tuple(f"kind {i % 24}" for i in range(200)))
    legend = figures.pca(replace(analysis, pca=few)).get_legend()
    figure_of(legend.axes).draw_without_rendering()
    assert len(legend.get_texts()) == 24
    box = legend.get_window_extent()
    assert 0 <= box.y0 < box.y1 <= figure_of(legend.axes).bbox.height
    save_figure(drawn, tmp_path / "pca.png")  # a warning of the layout would be an error
    save_figure(axes, tmp_path / "similarity.png")
