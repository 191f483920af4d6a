"""The figures of pairs and of phases draw what the analysis holds, and refuse what it does not."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from moexray.errors import FigureError
from moexray.studies.analysis import Analysis
from moexray.views import figures
from moexray.views.figures.style import figure_of


def rows(axes: Axes) -> dict[str, StepPatch]:
    """Return the filled histograms by the name of their row, from below."""
    filled = [patch for patch in axes.patches if isinstance(patch, StepPatch) and patch.get_fill()]
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    return dict(zip(names, filled, strict=True))


def test_distributions_draws_every_histogram_with_its_mean(traced: Analysis) -> None:
    axes = figures.distributions(traced)
    pairs, balance = traced.similarity.histogram, traced.balance
    expected = {
        "within categories": (pairs.within, traced.similarity.within.mean),
        "across categories": (pairs.across, traced.similarity.across.mean),
        "same load, at random": (balance.load_matched.histogram, balance.load_matched.mean),
        "balanced routing": (balance.uniform.histogram, balance.uniform.mean),
    }
    drawn = rows(axes)
    assert list(drawn) == list(expected)
    means = [line.get_xdata()[0] for line in axes.lines if line.get_linewidth() == 1.6]
    assert means == [mean for _, mean in expected.values()]
    assert [text.get_text() for text in axes.texts[:4]] == [f"{mean:.3f}" for mean in means]
    through = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]
    assert [mean for mean in through if mean in means] == means[:2], "lines through all rows"
    tallest, highest = {}, {}
    for base, (name, (found, _)) in zip((3, 2, 1, 0), expected.items(), strict=True):
        heights, edges, low = drawn[name].get_data()
        assert low == base
        np.testing.assert_allclose(np.diff(edges), found.width)
        assert edges[0] == found.start
        density = np.array(found.pairs) / sum(found.pairs) / found.width
        np.testing.assert_allclose((heights - base) / (heights - base).max(), density / density.max())
        highest[name] = (heights - base).max()
        tallest[name] = highest[name] / density.max()
    assert tallest["within categories"] == pytest.approx(tallest["across categories"])
    within, across, *nulls = highest.values()
    assert [max(within, across), *nulls] == pytest.approx([0.82] * 3), "each null has a scale of its own"


def test_figures_of_a_sample_say_so(traced: Analysis) -> None:
    header = replace(traced.signatures, prompts=10_000, sample=2_000)
    note = "of 500 of the 10,000 prompts, drawn at random"
    of_many = replace(
        traced, signatures=header, notes={**traced.notes, "balance": note, "controls.token_identity": note}
    )
    axes = figures.distributions(of_many)
    assert axes.get_xlabel().splitlines()[1:] == [
        "means within and across: of all prompts", f"same load, balanced: {note}"
    ]  # fmt: skip
    assert "2,000 of 10,000 prompts, drawn at random" in figure_of(axes).get_suptitle()
    upper, _ = figures.segments(of_many)
    assert figure_of(upper).get_suptitle().endswith("prompts with both, of 2,000 of 10,000 drawn at random")
    _, lower = figures.token_identity(of_many)
    assert lower.get_xlabel().splitlines()[1:] == [f"share: {note}"]
    assert figure_of(lower).get_suptitle().endswith(", 10,000 prompts")
    _, lower = figures.layerwise(of_many)
    assert lower.get_xlabel().splitlines()[1:] == ["accuracy: of 2,000 of the 10,000 prompts, drawn at random"]


def test_distributions_without_nulls_draws_the_pairs_alone(analysis: Analysis) -> None:
    """Gate mass has no null of load balancing."""
    assert analysis.balance is None
    assert list(rows(figures.distributions(analysis))) == ["within categories", "across categories"]


def test_distributions_of_one_prompt_a_category_has_no_pairs_within(analysis: Analysis) -> None:
    found = analysis.similarity
    across = replace(found, histogram=replace(found.histogram, within=None))
    assert list(rows(figures.distributions(replace(analysis, similarity=across)))) == ["across categories"]
    nothing = replace(found, histogram=replace(found.histogram, within=None, across=None))
    with pytest.raises(FigureError, match="no two prompts make a pair"):
        figures.distributions(replace(analysis, similarity=nothing))


def test_an_analysis_of_before_is_refused_with_the_cure(analysis: Analysis) -> None:
    before = replace(analysis, similarity=replace(analysis.similarity, histogram=None))
    with pytest.raises(FigureError, match="no data for it: `moexray analyze` makes a new one"):
        figures.distributions(before)


def test_segments_draws_similarities_and_effects_of_both_phases(analysis: Analysis) -> None:
    upper, lower = figures.segments(analysis)
    found = analysis.phases
    points = {line.get_label(): line.get_xydata().tolist() for line in upper.lines if line.get_linestyle() == "None"}
    assert points["same category"] == [[found.prompt.within, 0], [found.generated.within, 1], [found.same_category, 2]]
    assert points["another category"] == [
        [found.prompt.across, 0], [found.generated.across, 1], [found.other_categories, 2],
    ]  # fmt: skip
    assert points["same prompt"] == [[found.own.mean, 2]]
    lines = [line.get_xydata().tolist() for line in upper.lines if line.get_linestyle() != "None"]
    assert [[end, 2] for end in found.own.ci] in lines
    for row, (low, high) in enumerate(zip(points["another category"], points["same category"], strict=True)):
        assert [[low[0], row], [high[0], row]] in lines
    assert f"p\u00a0=\u00a0{found.p_value:.3f}" in upper.get_xlabel()
    drawn = [line.get_xydata().tolist() for line in lower.lines[1:]]
    effects = [(one.cohens_d, one.cohens_d_ci) for one in (found.prompt, found.generated)]
    for row, (d, ci) in enumerate([*effects, (found.difference.cohens_d, found.difference.ci)]):
        assert [[d, row]] in drawn
        assert [[ci[0], row], [ci[1], row]] in drawn


def test_segments_leaves_out_what_one_prompt_a_category_cannot_give(analysis: Analysis) -> None:
    found = analysis.phases
    nothing = {"cohens_d": None, "cohens_d_ci": None, "within": None}
    less = replace(
        found, prompt=replace(found.prompt, **nothing), generated=replace(found.generated, **nothing), p_value=None,
        difference=replace(found.difference, cohens_d=None, ci=None), own=replace(found.own, ci=None),
        same_category=None,
    )  # fmt: skip
    upper, lower = figures.segments(replace(analysis, phases=less))
    assert "not computed" in [text.get_text() for text in lower.texts]
    assert upper.get_xlabel() == "mean cosine similarity"


def test_segments_of_one_phase_is_refused_with_the_reason(analysis: Analysis) -> None:
    without = replace(analysis, phases=None, notes={"phases": "no token generated was recorded"})
    with pytest.raises(FigureError, match="no figure segments: no token generated was recorded"):
        figures.segments(without)
