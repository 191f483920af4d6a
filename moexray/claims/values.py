"""Tests of published figures: whether each lies in the interval here, and if not, whether its direction holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.evidence import LEVEL, Evidence
from moexray.formats import p_text, percent


@dataclass(frozen=True)
class _Answer:
    """Whether something holds, and the words for it."""

    holds: bool
    text: str


def similarity_within(claim: Claim, evidence: Evidence) -> Finding:
    """Compare mean similarity within categories."""
    return _mean_similarity(claim, evidence, "within")


def similarity_across(claim: Claim, evidence: Evidence) -> Finding:
    """Compare mean similarity across categories."""
    return _mean_similarity(claim, evidence, "across")


def effect_size(claim: Claim, evidence: Evidence) -> Finding:
    """Compare Cohen's d between pairs within and across categories."""
    d, interval = (evidence.get("similarity", key) for key in ("cohens_d", "cohens_d_ci"))
    p = evidence.get("permutation", "p_value")
    between = "[{:.2f}, {:.2f}]".format(*interval)
    direction = _Answer(d > 0 and p < LEVEL, f"d here is {'positive' if d > 0 else 'not positive'}, {p_text(p)}")
    figures = {"d": d, "ci": interval, "p_value": p}
    where = _lies(claim.values["d"], interval, f"d = {claim.values['d']} lies {{}} {between}")
    return _finding(where, direction, figures, f"{d:.2f} {between}")


def similarity_of_categories(claim: Claim, evidence: Evidence) -> Finding:
    """Compare each category's own similarity with the published range: all of them must meet it."""
    found = _summaries(evidence, "by_category")
    across, p = evidence.get("similarity", "across", "mean"), evidence.get("permutation", "p_value")
    higher = sum(one["mean"] > across for one in found.values())
    text = f"{higher} of {len(found)} lie above the pairs across, {p_text(p)}"
    return _range(claim, found, len(found), _Answer(higher == len(found) and p < LEVEL, text))


def similarity_of_pairs(claim: Claim, evidence: Evidence) -> Finding:
    """Compare the similarity of each two categories with the published range: most of them must meet it."""
    found = _summaries(evidence, "by_pair")
    within, p = evidence.get("similarity", "within", "mean"), evidence.get("permutation", "p_value")
    lower = sum(one["mean"] < within for one in found.values())
    text = f"{lower} of {len(found)} lie below the pairs within, {p_text(p)}"
    return _range(claim, found, len(found) // 2 + 1, _Answer(lower == len(found) and p < LEVEL, text))


def accuracy(claim: Claim, evidence: Evidence) -> Finding:
    """Compare the classifier's accuracy."""
    found = evidence.get("classifier", "accuracy")
    interval = evidence.get("classifier", "accuracy", "ci")
    chance, p = evidence.get("classifier", "chance"), evidence.get("classifier", "p_value")
    between = "[{}, {}]".format(*map(percent, interval))
    above = found["mean"] > chance
    text = f"accuracy here is {'above' if above else 'not above'} the chance of {percent(chance)}, {p_text(p)}"
    figures = {"mean": found["mean"], "std": found["std"], "ci": interval, "chance": chance, "p_value": p}
    where = _lies(claim.values["mean"], interval, f"{percent(claim.values['mean'])} lies {{}} {between}")
    shown = f"{percent(found['mean'])} ± {percent(found['std'])}\n{between}"
    return _finding(where, _Answer(above and p < LEVEL, text), figures, shown)


def peak_layer(claim: Claim, evidence: Evidence) -> Finding:
    """Compare the layer of the greatest effect, and ask that the effect grows with depth."""
    depth = evidence.get("depth")
    interval = evidence.get("depth", "peak_layer_ci")
    between = f"[{interval[0]}, {interval[1]}]"
    where = _lies(claim.values["layer"], interval, f"layer {claim.values['layer']} lies {{}} {between}")
    grows = depth["spearman"] > 0 and depth["p_value"] < LEVEL
    course = "the effect grows with depth" if grows else "no growth with depth is shown"
    trend = f"Spearman {depth['spearman']:+.2f}"
    verdict = (Verdict.reproduced if where.holds else Verdict.direction_only) if grows else Verdict.not_reproduced
    joined = "and" if where.holds == grows else "but"
    reason = f"{where.text}, {joined} {course} ({trend}, {p_text(depth['p_value'])})"
    return Finding(verdict, reason, dict(depth), f"layer {depth['peak_layer']} {between},\n{trend}")


def _mean_similarity(claim: Claim, evidence: Evidence, which: str) -> Finding:
    mean, interval = (evidence.get("similarity", which, key) for key in ("mean", "ci"))
    p, std = evidence.get("permutation", "p_value"), evidence.get("similarity", which, "std")
    above = evidence.get("similarity", "within", "mean") > evidence.get("similarity", "across", "mean")
    between = "[{:.4f}, {:.4f}]".format(*interval)
    where = _lies(claim.values["mean"], interval, f"{claim.values['mean']} lies {{}} {between}")
    direction = _Answer(above and p < LEVEL, f"within is {'above' if above else 'not above'} across, {p_text(p)}")
    figures = {"mean": mean, "std": std, "ci": interval, "p_value": p}
    return _finding(where, direction, figures, f"{mean:.4f} ± {std:.4f}\n{between}")


def _summaries(evidence: Evidence, key: str) -> dict[str, Mapping[str, Any]]:
    """Mean and interval of every category or pair; NotComputable where one is null."""
    found = evidence.get("similarity", key)
    for name in found:
        evidence.get("similarity", key, name, "ci")
    return dict(found)


def _range(claim: Claim, found: Mapping[str, Mapping[str, Any]], enough: int, direction: _Answer) -> Finding:
    low, high = claim.values["low"], claim.values["high"]
    met = sum(one["ci"][0] <= high and low <= one["ci"][1] for one in found.values())
    means = [one["mean"] for one in found.values()]
    where = _Answer(met >= enough, f"the intervals of {met} of {len(found)} meet {low}–{high}")
    shown = f"{min(means):.3f}–{max(means):.3f};\n{met} of {len(found)} meet it"
    return _finding(where, direction, {name: dict(one) for name, one in found.items()}, shown)


def _finding(where: _Answer, direction: _Answer, figures: Mapping[str, Any], shown: str) -> Finding:
    """`reproduced` if the figure is where it should be, `direction only` if only its direction holds."""
    if where.holds:
        return Finding(Verdict.reproduced, where.text, figures, shown)
    if direction.holds:
        return Finding(Verdict.direction_only, f"{where.text}, but {direction.text}", figures, shown)
    return Finding(Verdict.not_reproduced, f"{where.text}, and {direction.text}", figures, shown)


def _lies(value: float, interval: Sequence[float], text: str) -> _Answer:
    inside = bool(interval[0] <= value <= interval[1])
    return _Answer(inside, text.format("in" if inside else "outside"))
