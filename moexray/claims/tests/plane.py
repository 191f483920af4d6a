"""Tests of what a study saw in a scatter plot, each by a criterion of its own in the plane of two components."""

from dataclasses import asdict

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.errors import NotComputable
from moexray.formats import number, p_text
from moexray.stats.categories.clusters import centroid_distance
from moexray.studies.limits import LEVEL

_CLOSEST = 2


@claim_test(
    "distinct_clusters",
    rule="every category's mean silhouette in the plane is above 0, permutation p of the smallest < 0.05; direction "
    "only: p is not",
)
def distinct_clusters(_claim: Claim, case: Case) -> Finding:
    """Ask whether every category is a cluster: the smallest mean silhouette is positive, and rarely so by chance."""
    found = case.silhouettes
    lowest = min(found.means, key=lambda name: found.means[name])
    least, p = number(found.least, 3, signed=True), p_text(found.least_p_value)
    reason = f"the smallest mean silhouette, of {lowest}, is {least}, {p}"
    return Finding(_verdict(found.least, found.least_p_value), reason, asdict(found), f"least {least}, {p}")


@claim_test(
    "own_region",
    rule="the category's mean silhouette in the plane is above 0, permutation p < 0.05; direction only: p is not",
    values={"category": "name"},
)
def own_region(claim: Claim, case: Case) -> Finding:
    """Ask whether one category is a region of its own: its mean silhouette is positive, and rarely so by chance."""
    found, name = case.silhouettes, claim.values["category"]
    if name not in found.means:
        message = f"no prompt is of the category {name}"
        raise NotComputable(message)
    mean, p = found.means[name], found.p_values[name]
    here = {"category": name, "mean": mean, "p_value": p, "permutations": found.permutations}
    shown = f"{number(mean, 3, signed=True)}, {p_text(p)}"
    return Finding(_verdict(mean, p), f"the mean silhouette of {name} is {shown}", here, shown)


@claim_test(
    "adjacent",
    rule="the two centroids in the plane are among the closest two pairs, yet differ, p < 0.05 with labels permuted "
    "within the two; direction only: p is not",
    values={"categories": "two names"},
)
def adjacent(claim: Claim, case: Case) -> Finding:
    """Ask whether two categories are neighbours that differ.

    Their centroids are among the closest two of all pairs, and rarely as far apart when labels are permuted within
    the two.
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
    near, differ = found.rank <= _CLOSEST, found.p_value < LEVEL
    verdict = (Verdict.reproduced if differ else Verdict.direction_only) if near else Verdict.not_reproduced
    rank = f"place {found.rank} of {found.pairs}"
    place = f"{first} and {second} are {'' if near else 'not '}among the closest two pairs ({rank} by distance)"
    apart = f"they {'differ' if differ else 'cannot be told apart'}, {p_text(found.p_value)}"
    here = {**asdict(found), "by_chance": min(1.0, _CLOSEST / found.pairs)}
    return Finding(verdict, f"{place}, and {apart}", here, f"{rank}, {p_text(found.p_value)}")


def _verdict(effect: float, p: float) -> Verdict:
    if effect <= 0:
        return Verdict.not_reproduced
    return Verdict.reproduced if p < LEVEL else Verdict.direction_only
