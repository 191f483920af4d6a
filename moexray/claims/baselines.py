"""Tests of claims that something is more than chance: than balanced routing, and than shuffled labels."""

from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.evidence import LEVEL, Evidence
from moexray.formats import p_text


def above_balance(_claim: Claim, evidence: Evidence) -> Finding:
    """Ask whether pairs within are more similar than balanced routing makes them, by both baselines."""
    return _balance(evidence, "within", ("within_above", "above"))


def below_balance(_claim: Claim, evidence: Evidence) -> Finding:
    """Ask whether pairs across are less similar than balanced routing makes them, by both baselines."""
    return _balance(evidence, "across", ("across_below", "below"))


def shuffled_labels(_claim: Claim, evidence: Evidence) -> Finding:
    """Ask whether labels at random would separate the prompts as much."""
    test = evidence.get("permutation")
    p = p_text(test["p_value"])
    reason = f"mean within less across is {test['observed']:+.4f}, and {test['null_mean']:+.4f} under shuffles, {p}"
    verdict = Verdict.reproduced if test["p_value"] < LEVEL else Verdict.not_reproduced
    return Finding(verdict, reason, dict(test), f"{test['observed']:+.4f},\n{p}")


def _balance(evidence: Evidence, which: str, beaten: tuple[str, str]) -> Finding:
    key, word = beaten
    nulls, mean = evidence.get("balance"), evidence.get("similarity", which, "mean")
    names = {"uniform": "balanced routing", "load_matched": "the same load at random"}
    parts = [
        "{} {} [{:.4f}, {:.4f}]".format(word if nulls[name][key] else f"not {word}", text, *nulls[name]["ci"])
        for name, text in names.items()
    ]
    held = sum(bool(nulls[name][key]) for name in names)
    verdict = (Verdict.not_reproduced, Verdict.direction_only, Verdict.reproduced)[held]
    baselines = {name: {k: nulls[name][k] for k in ("mean", "ci", key)} for name in names}
    between = " / ".join(f"{nulls[name]['mean']:.3f}" for name in names)
    reason = f"{mean:.4f} is {' and '.join(parts)}"
    return Finding(verdict, reason, {"mean": mean, **baselines}, f"{mean:.3f} against\n{between}")
