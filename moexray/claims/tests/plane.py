"""Tests of what a study saw in a scatter plot, each by a criterion of its own in the plane of two components."""

from collections import Counter
from dataclasses import asdict

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.errors import NotComputable
from moexray.formats import interval, number, p_text, percent
from moexray.stats.categories.clusters import centroid_distance
from moexray.stats.categories.plane_intervals import closeness_of_pair
from moexray.stats.inference.replication import Estimate, StudyDifference, study_difference
from moexray.studies.limits import LEVEL

_CLOSEST = 2


@claim_test(
    "distinct_clusters",
    rule="consistent: the 95 % interval of every category's mean silhouette in the plane lies above 0, permutation p "
    "of the smallest < 0.05; different: that of some category lies below 0, adjusted for several",
)
def distinct_clusters(_claim: Claim, case: Case) -> Finding:
    """Ask whether every category is a cluster: the smallest mean silhouette is positive, and rarely so by chance."""
    found, ends = case.silhouettes, case.silhouette_intervals
    lowest = min(found.means, key=lambda name: found.means[name])
    least, p = number(found.least, 3, signed=True), p_text(found.least_p_value)
    units = min(Counter(case.labels).values())
    wider = [_difference(found.means[name], one, LEVEL / len(ends), units) for name, one in ends.items() if one]
    below = any(one.ci[1] < 0 for one in wider)
    above = len(wider) == len(ends) and all(one is not None and one[0] > 0 for one in ends.values())
    verdict = _verdict(above=above, below=below, p=found.least_p_value)
    reason = f"the smallest mean silhouette, of {lowest}, is {_with(least, ends[lowest])}, {p}"
    detectable = max((one.detectable for one in wider), default=None)
    here = {**asdict(found), "ci": dict(ends)}
    return Finding(verdict, reason, here, f"least {least}, {p}", detectable, _detects(detectable))


@claim_test(
    "own_region",
    rule="consistent: the 95 % interval of the category's mean silhouette in the plane lies above 0, permutation "
    "p < 0.05; different: it lies below 0",
    values={"category": "name"},
)
def own_region(claim: Claim, case: Case) -> Finding:
    """Ask whether one category is a region of its own: its mean silhouette is positive, and rarely so by chance."""
    found, name = case.silhouettes, claim.values["category"]
    if name not in found.means:
        message = f"no prompt is of the category {name}"
        raise NotComputable(message)
    mean, p, ends = found.means[name], found.p_values[name], case.silhouette_intervals[name]
    here = {"category": name, "mean": mean, "ci": ends, "p_value": p, "permutations": found.permutations}
    shown = f"{number(mean, 3, signed=True)}, {p_text(p)}"
    verdict = _verdict(above=ends is not None and ends[0] > 0, below=ends is not None and ends[1] < 0, p=p)
    reason = f"the mean silhouette of {name} is {_with(number(mean, 3, signed=True), ends)}, {p_text(p)}"
    detectable = None if ends is None else (ends[1] - ends[0]) / 2
    return Finding(verdict, reason, here, shown, detectable, _detects(detectable))


@claim_test(
    "adjacent",
    rule="consistent: the two centroids in the plane are among the closest two pairs with a certainty of 95 %, yet "
    "differ, p < 0.05 with labels permuted within the two; different: the certainty is below 5 %",
    values={"categories": "two names"},
)
def adjacent(claim: Claim, case: Case) -> Finding:
    """Ask whether two categories are neighbours that differ.

    Their centroids are among the closest two of all pairs, which one pair in three of six is by chance: so it must
    hold in other samples of prompts, too. And they are rarely as far apart when labels are permuted within the two.
    """
    first, second = claim.values["categories"]
    found = centroid_distance(
        case.plane,
        case.labels,
        (first, second),
        groups=case.groups,
        permutations=case.permutations,
        rng=case.rng("adjacent"),
    )
    certainty = closeness_of_pair(
        case.plane,
        case.labels,
        (first, second),
        closest=_CLOSEST,
        groups=case.groups,
        rng=case.rng("adjacent.certainty"),
    )
    differ = found.p_value < LEVEL
    verdict = Verdict.consistent if certainty >= 1 - LEVEL and differ else Verdict.inconclusive
    verdict = Verdict.different if certainty < LEVEL else verdict
    rank, near = f"place {found.rank} of {found.pairs}", found.rank <= _CLOSEST
    place = f"{first} and {second} are {'' if near else 'not '}among the closest two pairs ({rank} by distance)"
    sure = f"in {percent(certainty)} of new samples they are"
    apart = f"they {'differ' if differ else 'cannot be told apart'}, {p_text(found.p_value)}"
    here = {**asdict(found), "certainty": certainty, "by_chance": min(1.0, _CLOSEST / found.pairs)}
    return Finding(verdict, f"{place}; {sure}; {apart}", here, f"{rank}, {p_text(found.p_value)}")


def _verdict(*, above: bool, below: bool, p: float) -> Verdict:
    if below:
        return Verdict.different
    return Verdict.consistent if above and p < LEVEL else Verdict.inconclusive


def _difference(mean: float, ends: tuple[float, float], level: float, units: int) -> StudyDifference:
    """Return the mean silhouette minus 0, with an interval of another level."""
    return study_difference(Estimate(mean, ends), Estimate(0.0, (0.0, 0.0)), level=level, freedom=max(1, units - 1))


def _with(text: str, ends: tuple[float, float] | None) -> str:
    return text if ends is None else f"{text} {interval(ends, 3)}"


def _detects(detectable: float | None) -> str | None:
    return None if detectable is None else number(detectable, 3)
