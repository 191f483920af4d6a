"""Tests of published values: whether each lies in the interval here, and if not, whether its direction holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.formats import interval, number, p_text, percent
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.codec import pair_name
from moexray.studies.limits import LEVEL

_MEAN, _STD = {"mean": "number"}, {"std": "number"}
_RANGE = {"low": "number", "high": "number"}
_MEAN_RULE = "published mean in the 95 % interval; direction only: within above across, permutation p < 0.05"


@dataclass(frozen=True)
class _Answer:
    """Whether something holds, and the words for it."""

    holds: bool
    text: str


@claim_test("similarity_within", rule=_MEAN_RULE, values=_MEAN, more=_STD)
def similarity_within(claim: Claim, case: Case) -> Finding:
    """Compare mean similarity within categories."""
    return _mean_similarity(claim, case, "within")


@claim_test("similarity_across", rule=_MEAN_RULE, values=_MEAN, more=_STD)
def similarity_across(claim: Claim, case: Case) -> Finding:
    """Compare mean similarity across categories."""
    return _mean_similarity(claim, case, "across")


@claim_test(
    "effect_size",
    rule="published d in the 95 % interval; direction only: d > 0, permutation p < 0.05",
    values={"d": "number"},
)
def effect_size(claim: Claim, case: Case) -> Finding:
    """Compare Cohen's d between pairs within and across categories."""
    similarity, published = case.analysis.similarity, claim.values["d"]
    d = case.known(similarity.cohens_d, "similarity.cohens_d")
    ends = case.known(similarity.cohens_d_ci, "similarity.cohens_d_ci")
    p, between = case.p_value, interval(ends)
    direction = _Answer(d > 0 and p < LEVEL, f"d here is {'positive' if d > 0 else 'not positive'}, {p_text(p)}")
    where = _lies(published, ends, f"d = {published} lies {{}} {between}")
    return _finding(where, direction, {"d": d, "ci": ends, "p_value": p}, f"{number(d)} {between}")


@claim_test(
    "similarity_of_categories",
    rule="every category's 95 % interval meets the published range; direction only: every category above all pairs "
    "across, permutation p < 0.05",
    values=_RANGE,
)
def similarity_of_categories(claim: Claim, case: Case) -> Finding:
    """Compare each category's own similarity with the published range: all of them must meet it."""
    similarity = case.analysis.similarity
    found = {name: _Known.of(case, one, f"by_category.{name}") for name, one in similarity.by_category.items()}
    across, p = case.known(similarity.across.mean, "similarity.across.mean"), case.p_value
    higher = sum(one.mean > across for one in found.values())
    text = f"{higher} of {len(found)} lie above the pairs across, {p_text(p)}"
    return _range(claim, found, len(found), _Answer(higher == len(found) and p < LEVEL, text))


@claim_test(
    "similarity_of_pairs",
    rule="the 95 % intervals of more than half of the pairs of categories meet the published range; direction only: "
    "every pair below all pairs within, permutation p < 0.05",
    values=_RANGE,
)
def similarity_of_pairs(claim: Claim, case: Case) -> Finding:
    """Compare the similarity of each two categories with the published range: most of them must meet it."""
    similarity = case.analysis.similarity
    named = {pair_name(*pair): one for pair, one in similarity.by_pair.items()}
    found = {name: _Known.of(case, one, f"by_pair.{name}") for name, one in named.items()}
    within, p = case.known(similarity.within.mean, "similarity.within.mean"), case.p_value
    lower = sum(one.mean < within for one in found.values())
    text = f"{lower} of {len(found)} lie below the pairs within, {p_text(p)}"
    return _range(claim, found, len(found) // 2 + 1, _Answer(lower == len(found) and p < LEVEL, text))


@claim_test(
    "accuracy",
    rule="published accuracy in the 95 % interval; direction only: above chance, permutation p < 0.05",
    values=_MEAN,
    more=_STD,
)
def accuracy(claim: Claim, case: Case) -> Finding:
    """Compare the classifier's accuracy."""
    found = case.known(case.analysis.classifier, "classifier")
    p, here, published = case.known(found.p_value, "classifier.p_value"), found.accuracy, claim.values["mean"]
    between, above = interval(here.ci, write=percent), here.mean > found.chance
    chance = f"accuracy here is {'above' if above else 'not above'} the chance of {percent(found.chance)}, {p_text(p)}"
    where = _lies(published, here.ci, f"{percent(published)} lies {{}} {between}")
    values = {"mean": here.mean, "std": here.std, "ci": here.ci, "chance": found.chance, "p_value": p}
    shown = f"{percent(here.mean)} ± {percent(here.std)} {between}"
    return _finding(where, _Answer(above and p < LEVEL, chance), values, shown)


@claim_test(
    "peak_layer",
    rule="effect grows with depth (Spearman > 0, p < 0.05), and the published layer lies in the 95 % interval of the "
    "peak; direction only: it grows, but peaks elsewhere",
    values={"layer": "count"},
)
def peak_layer(claim: Claim, case: Case) -> Finding:
    """Compare the layer of the greatest effect, and ask that the effect grows with depth."""
    depth, published = case.known(case.analysis.depth, "depth"), claim.values["layer"]
    ends = case.known(depth.peak_layer_ci, "depth.peak_layer_ci")
    between = interval(ends, 0)
    where = _lies(published, ends, f"layer {published} lies {{}} {between}")
    grows = depth.spearman > 0 and depth.p_value < LEVEL
    course = "the effect grows with depth" if grows else "no growth with depth is shown"
    trend = f"Spearman {number(depth.spearman, signed=True)}"
    verdict = (Verdict.reproduced if where.holds else Verdict.direction_only) if grows else Verdict.not_reproduced
    joined = "and" if where.holds == grows else "but"
    reason = f"{where.text}, {joined} {course} ({trend}, {p_text(depth.p_value)})"
    return Finding(verdict, reason, asdict(depth), f"layer {depth.peak_layer} {between}, {trend}")


def _mean_similarity(claim: Claim, case: Case, which: Literal["within", "across"]) -> Finding:
    similarity, published = case.analysis.similarity, claim.values["mean"]
    found: PairSummary = getattr(similarity, which)
    mean = case.known(found.mean, f"similarity.{which}")
    ends, std = case.known(found.ci, f"similarity.{which}.ci"), case.known(found.std, f"similarity.{which}.std")
    p, between = case.p_value, interval(ends, 4)
    within = case.known(similarity.within.mean, "similarity.within.mean")
    above = within > case.known(similarity.across.mean, "similarity.across.mean")
    where = _lies(published, ends, f"{published} lies {{}} {between}")
    direction = _Answer(above and p < LEVEL, f"within is {'above' if above else 'not above'} across, {p_text(p)}")
    values = {"mean": mean, "std": std, "ci": ends, "p_value": p}
    return _finding(where, direction, values, f"{number(mean, 4)} ± {number(std, 4)} {between}")


@dataclass(frozen=True)
class _Known:
    """A mean with its interval, and the summary that they are of."""

    mean: float
    ci: tuple[float, float]
    summary: PairSummary

    @staticmethod
    def of(case: Case, summary: PairSummary, name: str) -> "_Known":
        """Return the mean and the interval; NotComputable where one is None."""
        ends = case.known(summary.ci, f"similarity.{name}.ci")
        return _Known(case.known(summary.mean, f"similarity.{name}.mean"), ends, summary)


def _range(claim: Claim, found: Mapping[str, _Known], enough: int, direction: _Answer) -> Finding:
    low, high = claim.values["low"], claim.values["high"]
    met = sum(one.ci[0] <= high and low <= one.ci[1] for one in found.values())
    means = [one.mean for one in found.values()]
    where = _Answer(met >= enough, f"the intervals of {met} of {len(found)} meet {low}–{high}")
    shown = f"{number(min(means), 3)}–{number(max(means), 3)}; {met} of {len(found)} meet it"
    return _finding(where, direction, {name: asdict(one.summary) for name, one in found.items()}, shown)


def _finding(where: _Answer, direction: _Answer, here: Mapping[str, Any], shown: str) -> Finding:
    """`reproduced` if the value is where it should be, `direction only` if only its direction holds."""
    if where.holds:
        return Finding(Verdict.reproduced, where.text, here, shown)
    if direction.holds:
        return Finding(Verdict.direction_only, f"{where.text}, but {direction.text}", here, shown)
    return Finding(Verdict.not_reproduced, f"{where.text}, and {direction.text}", here, shown)


def _lies(value: float, ends: Sequence[float], text: str) -> _Answer:
    inside = bool(ends[0] <= value <= ends[1])
    return _Answer(inside, text.format("in" if inside else "outside"))
