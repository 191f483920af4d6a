"""Tests of what a study saw in a scatter plot, each by a criterion of its own in the plane of two components."""

from dataclasses import asdict

from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.evidence import LEVEL, Evidence
from moexray.errors import NotComputable
from moexray.formats import p_text
from moexray.stats.categories.clusters import centroid_distance

_CLOSEST = 2


def distinct_clusters(_claim: Claim, evidence: Evidence) -> Finding:
    """Every category is a cluster: the smallest of the mean silhouettes is positive, and rarely so by chance."""
    found = evidence.silhouettes
    lowest = min(found.means, key=lambda name: found.means[name])
    reason = f"the smallest mean silhouette, of {lowest}, is {found.least:+.3f}, {p_text(found.least_p_value)}"
    shown = f"least {found.least:+.3f},\n{p_text(found.least_p_value)}"
    return Finding(_verdict(found.least, found.least_p_value), reason, asdict(found), shown)


def own_region(claim: Claim, evidence: Evidence) -> Finding:
    """One category is a region of its own: its mean silhouette is positive, and rarely so by chance."""
    found, name = evidence.silhouettes, claim.values["category"]
    if name not in found.means:
        message = f"no prompt is of the category {name}"
        raise NotComputable(message)
    mean, p = found.means[name], found.p_values[name]
    figures = {"category": name, "mean": mean, "p_value": p, "permutations": found.permutations}
    shown = f"{mean:+.3f}, {p_text(p)}"
    return Finding(_verdict(mean, p), f"the mean silhouette of {name} is {shown}", figures, shown)


def adjacent(claim: Claim, evidence: Evidence) -> Finding:
    """Two categories are neighbours that differ.

    Their centroids are among the closest two of all pairs, and rarely as far apart when labels are shuffled
    within the two.
    """
    first, second = claim.values["categories"]
    found = centroid_distance(
        evidence.plane,
        evidence.labels,
        (first, second),
        permutations=evidence.permutations,
        rng=evidence.rng("adjacent"),
    )
    near, differ = found.rank <= _CLOSEST, found.p_value < LEVEL
    verdict = (Verdict.reproduced if differ else Verdict.direction_only) if near else Verdict.not_reproduced
    rank = f"place {found.rank} of {found.pairs}"
    place = f"{first} and {second} are {'' if near else 'not '}among the closest two pairs ({rank} by distance)"
    apart = f"they {'differ' if differ else 'cannot be told apart'}, {p_text(found.p_value)}"
    figures = {**asdict(found), "by_chance": min(1.0, _CLOSEST / found.pairs)}
    return Finding(verdict, f"{place}, and {apart}", figures, f"{rank},\n{p_text(found.p_value)}")


def _verdict(effect: float, p: float) -> Verdict:
    if effect <= 0:
        return Verdict.not_reproduced
    return Verdict.reproduced if p < LEVEL else Verdict.direction_only
