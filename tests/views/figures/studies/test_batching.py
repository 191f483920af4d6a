"""The figures of batches and of coverage draw the numbers of their results."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from moexray import example
from moexray.errors import FigureError
from moexray.studies.batch_report import Batching
from moexray.studies.batching import study_batches
from moexray.studies.coverage import study_coverage
from moexray.studies.coverage_report import Coverage
from moexray.views.figures.studies.batching import batching
from moexray.views.figures.studies.coverage import coverage
from moexray.views.figures.style import figure_of

from .... import made


@pytest.fixture(scope="module")
def batches() -> Batching:
    return study_batches(example().trace, sizes=(1, 8, 64, 256))


@pytest.fixture(scope="module")
def covered() -> Coverage:
    return study_coverage(example().signatures)


def test_curves_are_those_of_the_means_where_there_are_batches(batches: Batching) -> None:
    left, right = batching(batches)
    decoding, prefill, matched, even = left.get_lines()
    assert np.asarray(decoding.get_xdata()).tolist() == [1, 8, 64]
    assert np.asarray(decoding.get_ydata()).tolist() == list(batches.mean.observed[:3])
    assert batches.prefill is not None
    assert np.asarray(prefill.get_ydata()).tolist() == list(batches.prefill.mean.observed[:2])
    assert np.asarray(matched.get_ydata()).tolist() == list(batches.mean.load_matched[:3])
    assert np.asarray(even.get_ydata()).tolist() == list(batches.mean.uniform[:3])
    assert (matched.get_label(), even.get_label()) == ("load alone, decoding", "even load, decoding")
    assert left.get_xscale() == "log"
    assert batches.grouping is not None
    assert [bar.get_width() for bar in right.patches if isinstance(bar, Rectangle)][:2] == [
        batches.grouping.random.experts,
        batches.grouping.category.experts if batches.grouping.category else None,
    ]
    assert "scale, 80 prompts" in figure_of(left).get_suptitle()


def test_it_can_be_drawn_into_somebodys_axes_and_without_groups(batches: Batching) -> None:
    mine = tuple(Figure().subplots(1, 2))
    assert batching(replace(batches, grouping=None), mine) == mine
    assert "Distinct experts" in mine[0].get_title(loc="left")
    assert not mine[1].patches


def test_nothing_to_draw_is_an_error(batches: Batching) -> None:
    nothing = replace(batches.mean, observed=(None,) * 4)
    with pytest.raises(FigureError, match="no batch and no chunk"):
        batching(replace(batches, mean=nothing, prefill=None))


def test_coverage_is_that_of_the_result(covered: Coverage) -> None:
    left, right = coverage(covered)
    assert covered.most_used is not None
    assert covered.stability is not None
    assert np.asarray(left.get_lines()[0].get_ydata()).tolist() == list(covered.most_used.share)
    halves, same, other = right.get_lines()
    assert np.asarray(halves.get_ydata()).tolist() == [one.halves for one in covered.stability.layers]
    assert np.asarray(same.get_ydata()).tolist() == [one.same_category for one in covered.stability.layers]
    assert np.asarray(other.get_ydata()).tolist() == [one.other_category for one in covered.stability.layers]


def test_one_category_draws_halves_alone() -> None:
    _, right = coverage(study_coverage(made.signatures(12, categories=("a",))))
    assert len(right.get_lines()) == 1


def test_one_prompt_has_no_figure() -> None:
    with pytest.raises(FigureError, match="one prompt or group only"):
        coverage(study_coverage(made.signatures(1, categories=("a",))))
