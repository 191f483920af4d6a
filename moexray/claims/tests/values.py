"""Tests of published values: the difference from the value here, with the errors of both studies."""

from functools import partial
from typing import Literal

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding
from moexray.claims.claim_tests import claim_test
from moexray.claims.judging import RULE, Direction, Value, judged
from moexray.claims.published import published_accuracy, published_estimate
from moexray.formats import interval, number, p_text, percent, points
from moexray.stats.inference.replication import Estimate
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.limits import LEVEL

_MEAN, _STD = {"mean": "number"}, {"std": "number"}
_MEAN_RULE = f"{RULE}; direction only: different, but within above across, p < 0.05"


@claim_test("similarity_within", rule=_MEAN_RULE, values=_MEAN, more=_STD, compares=True)
def similarity_within(claim: Claim, case: Case) -> Finding:
    """Compare mean similarity within categories."""
    return _mean_similarity(claim, case, "within")


@claim_test("similarity_across", rule=_MEAN_RULE, values=_MEAN, more=_STD, compares=True)
def similarity_across(claim: Claim, case: Case) -> Finding:
    """Compare mean similarity across categories."""
    return _mean_similarity(claim, case, "across")


@claim_test(
    "effect_size",
    rule=f"{RULE}; direction only: different, but d > 0, p < 0.05",
    values={"d": "number"},
    compares=True,
)
def effect_size(claim: Claim, case: Case) -> Finding:
    """Compare Cohen's d between pairs within and across categories."""
    similarity = case.analysis.similarity
    d, ends = case.known(similarity.cohens_d, "similarity.cohens_d"), similarity.cohens_d_ci
    sign = f"d here is {'positive' if d > 0 else 'not positive'}"
    found = Value(
        value=d,
        ci=ends,
        name="similarity.cohens_d_ci",
        write=partial(number, signed=True),
        shown=" ".join(filter(None, (number(d), interval(ends)))),
        here={"d": d, "ci": ends, **case.separation.here},
        of_pairs=True,
    )
    return judged(claim, case, found, partial(_scaled, claim, case, claim.values["d"]), _separated(case, sign, d > 0))


@claim_test(
    "accuracy",
    rule=f"{RULE}; direction only: different, but above chance, permutation p < 0.05",
    values=_MEAN,
    more=_STD,
    compares=True,
)
def accuracy(claim: Claim, case: Case) -> Finding:
    """Compare the classifier's accuracy."""
    found = case.known(case.analysis.classifier, "classifier")
    here, p = found.accuracy, found.p_value
    above = here.mean > found.chance
    text = f"accuracy here is {'above' if above else 'not above'} the chance of {percent(found.chance)}, {p_text(p)}"
    value = Value(
        value=here.mean,
        ci=here.ci,
        name="classifier.accuracy.ci",
        write=points,
        unit=" points",
        shown=f"{percent(here.mean)} ± {percent(here.std)} {interval(here.ci, write=percent)}".rstrip(),
        here={"mean": here.mean, "std": here.std, "ci": here.ci, "chance": found.chance, "p_value": p},
    )
    published = partial(published_accuracy, claim.values["mean"], claim.error)
    return judged(claim, case, value, published, Direction(above and p is not None and p < LEVEL, text))


def _mean_similarity(claim: Claim, case: Case, which: Literal["within", "across"]) -> Finding:
    similarity = case.analysis.similarity
    found: PairSummary = getattr(similarity, which)
    mean = case.known(found.mean, f"similarity.{which}")
    within, across = (case.known(getattr(similarity, one).mean, f"similarity.{one}") for one in ("within", "across"))
    above = within > across
    direction = _separated(case, f"within is {'above' if above else 'not above'} across", above)
    spread = claim.values["std"] / found.std if found.std and claim.values.get("std") else 1.0
    shown = f"{number(mean, 4)} ± {number(found.std, 4)} {interval(found.ci, 4)}".rstrip()
    value = Value(
        value=mean,
        ci=found.ci,
        name=f"similarity.{which}.ci",
        write=partial(number, digits=4, signed=True),
        shown=shown,
        here={"mean": mean, "std": found.std, "ci": found.ci, **case.separation.here},
        of_pairs=True,
    )
    return judged(claim, case, value, partial(_scaled, claim, case, claim.values["mean"], spread=spread), direction)


def _scaled(claim: Claim, case: Case, published: float, here: Estimate, *, spread: float = 1.0) -> Estimate:
    about = case.analysis.signatures
    return published_estimate(
        published, claim.error, here, prompts=about.prompts, categories=len(about.categories), spread=spread
    )


def _separated(case: Case, text: str, holds: bool) -> Direction:  # noqa: FBT001  # what the text says
    """Return whether categories are separated beyond chance, and in the published direction."""
    separation = case.separation
    return Direction(holds and separation.significant, f"{text}, {separation.text}")
