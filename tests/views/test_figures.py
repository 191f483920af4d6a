"""Figures show the numbers they are given, are readable without colour, and are the same bytes every time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb

from moexray.errors import FigureError
from moexray.signatures import Signatures
from moexray.stats.categories.pca import principal_components
from moexray.stats.layers.by_layer import LayerStatistics
from moexray.stats.layers.load import layer_loads
from moexray.trace import Trace
from moexray.views.figures.layerwise import draw_layerwise
from moexray.views.figures.listing import FIGURES, TRACE_FIGURES, make_figure, make_trace_figure
from moexray.views.figures.load import draw_load
from moexray.views.figures.pca import draw_pca
from moexray.views.figures.similarity import draw_similarity
from moexray.views.figures.style import COLOURS, category_marks, save_figure
from moexray.views.figures.tokens import draw_tokens

from .. import made


def signatures(categories: str = "abc", prompts: int = 18) -> Signatures:
    return made.signatures(
        prompts, layers=(0, 2, 4), categories=categories, effect=0, tokens=(6, 6), meta={"model": "some/model"}
    )


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_names_its_model_phase_and_axes(name: str) -> None:
    figure = make_figure(name, signatures(), phase="generated")
    assert "some/model, 18 prompts" in figure.get_suptitle()
    assert "generated tokens" in figure.get_suptitle()
    labels = [axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes]
    assert any(labels)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_figure_is_the_same_bytes(tmp_path: Path, name: str, suffix: str) -> None:
    for file in ("first", "second"):
        save_figure(make_figure(name, signatures()), tmp_path / f"{file}{suffix}")
    written = (tmp_path / f"first{suffix}").read_bytes()
    assert written == (tmp_path / f"second{suffix}").read_bytes()
    assert written.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])


def test_layerwise_draws_the_effect_sizes_the_accuracies_and_the_peak() -> None:
    layers = [
        LayerStatistics(i, 0.9, 0.8, d, (d - 0.1, d + 0.1), a, None)
        for i, d, a in ((0, 0.1, 0.3), (2, 0.9, 0.8), (4, 0.5, None))
    ]
    upper, lower = draw_layerwise(layers, chance=0.25, title="t").axes
    np.testing.assert_array_equal(upper.lines[0].get_xydata(), [(0, 0.1), (2, 0.9), (4, 0.5)])
    np.testing.assert_array_equal(lower.lines[0].get_xydata(), [(0, 0.3), (2, 0.8), (4, np.nan)])
    assert upper.texts[0].get_text() == "peak: layer 2, d = 0.90"
    assert lower.lines[1].get_ydata()[0] == 0.25


def test_the_similarity_matrix_is_ordered_by_category_and_blank_on_its_diagonal() -> None:
    matrix = np.arange(16.0).reshape(4, 4)
    shown = draw_similarity(matrix, ["b", "a", "b", "a"], title="t").axes[0].images[0].get_array()
    order = [1, 3, 0, 2]
    expected = matrix[np.ix_(order, order)]
    off_diagonal = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(np.asarray(shown)[off_diagonal], expected[off_diagonal])
    assert np.ma.getmaskarray(shown).diagonal().all() or np.isnan(np.asarray(shown).diagonal()).all()


def test_each_prompt_is_one_point_of_its_categorys_colour() -> None:
    s = signatures()
    components = principal_components(s.vectors(), s.prompts.categories)
    axes = draw_pca(components, s.prompts.categories, title="t").axes[0]
    clouds = [found for found in axes.collections if isinstance(found, PathCollection)]
    for cloud, name in zip(clouds, "abc", strict=True):
        expected = components.coordinates[[label == name for label in s.prompts.categories]]
        np.testing.assert_array_equal(cloud.get_offsets(), expected)
        np.testing.assert_allclose(cloud.get_facecolor()[0, :3], to_rgb(category_marks("abc")[name][0]))


def test_load_is_drawn_relative_to_balance_and_dead_experts_are_crossed_out() -> None:
    load = np.array([[4, 4, 4, 4], [0, 8, 4, 4]])
    left = draw_load(load, layer_loads(load), [0, 5], title="t").axes[0]
    np.testing.assert_allclose(left.images[0].get_array(), [[0, 0, 0, 0], [-3, 1, 0, 0]])
    assert left.collections[0].get_offsets().tolist() == [[0, 1]]
    assert [label.get_text() for label in left.get_yticklabels()] == ["0", "5"]


def test_categories_are_told_apart_without_colour() -> None:
    marks = category_marks(list("abcdefghijkl"))
    assert len({marker for _, marker in marks.values()}) == 12


def test_the_first_four_colours_differ_in_grayscale() -> None:
    """Luminance by Rec. 709; a difference of 0.05 is what a printer still shows."""
    luminances = sorted(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) for colour in COLOURS[:4])
    assert min(np.diff(luminances)) > 0.01


def test_prompts_without_a_token_in_the_phase_are_not_drawn() -> None:
    s = signatures()
    counts, tokens = s.counts.copy(), s.tokens.copy()
    counts[0, 1], tokens[0, 1] = 0, 0
    figure = make_figure("pca", s.replace(counts=counts, tokens=tokens), phase="generated")
    assert "17 prompts" in figure.get_suptitle()


def test_what_cannot_be_drawn_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="no figure layerwise: there is one category only"):
        make_figure("layerwise", signatures("a"))
    with pytest.raises(FigureError, match="end it with"):
        save_figure(make_figure("pca", signatures()), tmp_path / "pca.jpeg")


def test_a_figure_can_be_drawn_into_somebodys_axes() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    s = signatures()
    figure = draw_pca(
        principal_components(s.vectors(), s.prompts.categories), s.prompts.categories, title="mine", axes=axes
    )
    assert figure is axes.get_figure()
    assert axes.get_title(loc="left") + axes.get_title() == "mine"


def test_tokens_draws_gains_over_what_shuffled_labels_give_and_shares_of_the_separation() -> None:
    found = {
        "same_token": {
            "by_layer": [
                {"layer": 0, "gain": 0.01, "null_ci": (-0.01, 0.02)},
                {"layer": 4, "gain": 0.05, "null_ci": (-0.02, 0.03)},
            ]
        },
        "layers": [{"layer": 0}, {"layer": 4}],
        "share": {"share": 0.25, "ci": (0.1, 0.4), "by_layer": [0.8, None]},
    }
    upper, lower = draw_tokens(found, title="t").axes
    np.testing.assert_array_equal(upper.lines[0].get_xydata(), [(0, 0.01), (4, 0.05)])
    corners = upper.collections[0].get_paths()[0].vertices
    assert {(0, -0.01), (0, 0.02), (4, -0.02), (4, 0.03)} <= set(map(tuple, corners.tolist()))
    np.testing.assert_array_equal(lower.lines[0].get_xydata(), [(0, 0.8), (4, np.nan)])
    assert lower.texts[0].get_text() == "dashed: all layers, 25% [10%, 40%]"
    for name in ("same_token", "share"):
        assert draw_tokens(found | {name: None}, title="t").axes


def test_a_figure_of_a_trace_names_its_model_and_phase(write_trace: Callable[..., Signatures], tmp_path: Path) -> None:
    recorded = write_trace(tmp_path / "trace.parquet")
    for name in TRACE_FIGURES:
        figure = make_trace_figure(name, recorded, Trace.open(tmp_path / "trace.parquet", recorded))
        assert "made-up, 24 prompts" in figure.get_suptitle()
    alone = recorded.replace(categories=("one",) * len(recorded))
    with pytest.raises(FigureError, match="no figure tokens: "):
        make_trace_figure("tokens", alone, Trace.open(tmp_path / "trace.parquet", alone))
