"""Tests of published ranges: whether the values of all categories, or of most pairs of them, lie in one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.claims.judging import Direction, verdict_of
from moexray.claims.published import published_estimate
from moexray.errors import NotComputable
from moexray.formats import number
from moexray.stats.inference.replication import Agreement, Estimate, StudyDifference, study_difference
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.codec import pair_name
from moexray.studies.limits import LEVEL

_RANGE = {"low": "number", "high": "number"}
_RULE = (
    "consistent: the 90 % interval of {} difference from the range lies inside of the margin; different: {} 95 % "
    "interval excludes the range, adjusted for several; direction only: different, but {}, p < 0.05"
)


@claim_test(
    "similarity_of_categories",
    rule=_RULE.format("every category's", "some category's", "every category above all pairs across"),
    values=_RANGE,
    compares=True,
)
def similarity_of_categories(claim: Claim, case: Case) -> Finding:
    """Compare each category's own similarity with the published range: all of them must meet it."""
    found = case.analysis.similarity.by_category
    across = case.known(case.analysis.similarity.across.mean, "similarity.across.mean")
    means = {name: case.known(one.mean, f"similarity.by_category.{name}") for name, one in found.items()}
    higher = sum(mean > across for mean in means.values())
    text = f"{higher} of {len(found)} lie above the pairs across, {case.separation.text}"
    direction = Direction(higher == len(found) and case.separation.significant, text)
    return _range(claim, case, found, part="by_category", enough=len(found), direction=direction)


@claim_test(
    "similarity_of_pairs",
    rule=_RULE.format(
        "more than half of the pairs of categories', each pair's",
        "half or more of the pairs', each pair's",
        "every pair below all pairs within",
    ),
    values=_RANGE,
    compares=True,
)
def similarity_of_pairs(claim: Claim, case: Case) -> Finding:
    """Compare the similarity of each two categories with the published range: most of them must meet it."""
    found = {pair_name(*pair): one for pair, one in case.analysis.similarity.by_pair.items()}
    if not found:
        message = "there is one category only"
        raise NotComputable(message)
    within = case.known(case.analysis.similarity.within.mean, "similarity.within.mean")
    means = {name: case.known(one.mean, f"similarity.by_pair.{name}") for name, one in found.items()}
    lower = sum(mean < within for mean in means.values())
    text = f"{lower} of {len(found)} lie below the pairs within, {case.separation.text}"
    direction = Direction(lower == len(found) and case.separation.significant, text)
    return _range(claim, case, found, part="by_pair", enough=len(found) // 2 + 1, direction=direction)


def _range(
    claim: Claim, case: Case, found: Mapping[str, PairSummary], *, part: str, enough: int, direction: Direction
) -> Finding:
    """Judge whether at least `enough` of several values lie in a range.

    That u of m values are equivalent is shown at 5 % where u of them are, each at 5 % / (m − u + 1); that at least
    m − u + 1 are different, where so many are, each at 5 % / u (Y. Benjamini and R. Heller, Biometrics 64, 2008).
    """
    low, high = claim.values["low"], claim.values["high"]
    means = [one.mean for one in found.values() if one.mean is not None]
    shown = f"{number(min(means), 3)}–{number(max(means), 3)}; {{}} of {len(found)} in it"
    here = {name: asdict(one) for name, one in found.items()}
    inside = sum(low <= mean <= high for mean in means)
    needed = len(found) - enough + 1
    try:
        differences = {
            name: _difference(claim, case, f"similarity.{part}.{name}", one, (LEVEL / enough, 2 * LEVEL / needed))
            for name, one in found.items()
        }
    except NotComputable as error:
        reason = f"no interval of the difference: {error}; {direction.text}"
        return Finding(Verdict.inconclusive, reason, here, shown.format(inside))
    told = [one.agreement(claim.margin) for one in differences.values()]
    same, other = told.count("equivalent"), _outside(differences)
    agreement: Agreement = "equivalent" if same >= enough else "different" if other >= needed else "undecided"
    verdict = verdict_of(agreement, direction)
    widest = max(one.detectable for one in differences.values())
    margin = "" if claim.margin is None else f" ± {number(claim.margin, 3)}"
    reason = (
        f"{same} of {len(found)} are shown to lie in {low}–{high}{margin}, and {other} to lie outside of {low}–{high}"
    )
    if agreement == "different":
        reason += f", {'but' if direction.holds else 'and'} {direction.text}"
    return Finding(
        verdict,
        reason,
        {name: {**one, "difference": asdict(differences[name])} for name, one in here.items()},
        shown.format(inside),
        widest,
        number(widest, 4),
    )


def _outside(differences: Mapping[str, StudyDifference]) -> int:
    return sum(one.ci[0] > 0 or one.ci[1] < 0 for one in differences.values())


def _difference(claim: Claim, case: Case, name: str, found: PairSummary, levels: Sequence[float]) -> StudyDifference:
    """Return the difference of a value from the nearest of a range; 0 for one inside."""
    low, high = claim.values["low"], claim.values["high"]
    mean = case.known(found.mean, name)
    here = Estimate(mean, case.known(found.ci, f"{name}.ci"))
    about = case.analysis.signatures
    published = partial(published_estimate, prompts=about.prompts, categories=len(about.categories))
    return study_difference(
        case.of_pairs(here.value, here.ci),
        published(min(max(mean, low), high), claim.error, here),
        level=levels[0],
        equivalence_level=levels[1],
        freedom=max(1, min(about.categories.values()) - 1),
    )
