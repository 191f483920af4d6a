"""Tests of claims that something is more than chance: than balanced routing, and than permuted labels."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.formats import interval, number, p_text

_BALANCE_RULE = (
    "consistent: {0} the 95 % interval of such pairs under both baselines; direction only: under one of them; "
    "different: {1} both intervals"
)
Side = Literal["above", "inside", "below"]


@claim_test("above_balance", rule=_BALANCE_RULE.format("above", "below"))
def above_balance(_claim: Claim, case: Case) -> Finding:
    """Ask whether pairs within are more similar than balanced routing makes them, by both baselines."""
    return _balance(case, "within", "above")


@claim_test("below_balance", rule=_BALANCE_RULE.format("below", "above"))
def below_balance(_claim: Claim, case: Case) -> Finding:
    """Ask whether pairs across are less similar than balanced routing makes them, by both baselines."""
    return _balance(case, "across", "below")


@claim_test(
    "shuffled_labels",
    rule="consistent: categories are separated, p < 0.05; different: they are not, and the 95 % interval of d lies "
    "below the margin",
    tolerates=True,
)
def shuffled_labels(claim: Claim, case: Case) -> Finding:
    """Ask whether permuted labels would separate the prompts as much; a large p alone does not show that they would."""
    test, separation = case.known(case.analysis.permutation, "permutation"), case.separation
    observed = number(test.observed, 4, signed=True)
    null = number(test.null_mean, 4, signed=True)
    reason = f"mean within minus across is {observed}, and {null} under permuted labels, {separation.text}"
    here, shown = {**asdict(test), **separation.here}, f"{observed}, {p_text(separation.p_value)}"
    ends = case.analysis.similarity.cohens_d_ci
    detectable = None if ends is None else (ends[1] - ends[0]) / 2
    detects = None if detectable is None else f"d of {number(detectable)}"
    verdict = Verdict.consistent
    if not separation.significant:
        none = ends is not None and claim.margin is not None and ends[1] < claim.margin
        verdict = Verdict.different if none else Verdict.inconclusive
        known = "no interval of d is known" if ends is None else f"d {interval(ends)} {'stays' if none else 'may be'}"
        limit = "" if claim.margin is None or ends is None else f" {'below' if none else 'above'} {claim.margin}"
        reason += f"; {known}{limit}"
    return Finding(verdict, reason, here, shown, detectable, detects)


def _balance(case: Case, which: Literal["within", "across"], wanted: Literal["above", "below"]) -> Finding:
    found = case.known(case.analysis.balance, "balance")
    mean = case.known(getattr(case.analysis.similarity, which).mean, f"similarity.{which}.mean")
    nulls = {"uniform": found.uniform, "load_matched": found.load_matched}
    names = {"uniform": "balanced routing", "load_matched": "the same load at random"}
    baselines: dict[str, dict[str, Any]] = {}
    sides: dict[str, Side] = {}
    for name, null in nulls.items():
        part = null.within if which == "within" else null.across
        observed = mean if part is None else part.observed
        # An analysis of an earlier version knows all pairs together only.
        center, ends = (null.mean, null.ci) if part is None else (part.mean, part.ci)
        sides[name] = _side(observed, ends)
        baselines[name] = {"mean": center, "ci": ends, "observed": observed, "side": sides[name]}
    beaten = sum(side == wanted for side in sides.values())
    opposite = all(side not in (wanted, "inside") for side in sides.values())
    verdict = Verdict.different if opposite else Verdict.inconclusive
    verdict = (verdict, Verdict.direction_only, Verdict.consistent)[beaten]
    parts = [f"{sides[name]} {'of ' if sides[name] == 'inside' else ''}{names[name]} {interval(null['ci'], 4)}"
             for name, null in baselines.items()]  # fmt: skip
    widest = max((null["ci"][1] - null["ci"][0]) / 2 for null in baselines.values())
    shown = f"{number(mean, 3)} against {' / '.join(number(null['mean'], 3) for null in baselines.values())}"
    reason = f"{number(mean, 4)} is {' and '.join(parts)}"
    return Finding(verdict, reason, {"mean": mean, **baselines}, shown, widest, number(widest, 4))


def _side(value: float, ends: Sequence[float]) -> Side:
    return "above" if value > ends[1] else "below" if value < ends[0] else "inside"
