"""Tests of claims that something is more than chance: than balanced routing, and than permuted labels."""

from dataclasses import asdict
from typing import Literal

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.formats import interval, number, p_text
from moexray.studies.limits import LEVEL


@claim_test(
    "above_balance",
    rule="above the 95 % interval of such pairs under both baselines; direction only: under one of them",
)
def above_balance(_claim: Claim, case: Case) -> Finding:
    """Ask whether pairs within are more similar than balanced routing makes them, by both baselines."""
    return _balance(case, "within", "within_above", "above")


@claim_test(
    "below_balance",
    rule="below the 95 % interval of such pairs under both baselines; direction only: under one of them",
)
def below_balance(_claim: Claim, case: Case) -> Finding:
    """Ask whether pairs across are less similar than balanced routing makes them, by both baselines."""
    return _balance(case, "across", "across_below", "below")


@claim_test("shuffled_labels", rule="permutation p < 0.05")
def shuffled_labels(_claim: Claim, case: Case) -> Finding:
    """Ask whether permuted labels would separate the prompts as much."""
    test = case.known(case.analysis.permutation, "permutation")
    observed, p = number(test.observed, 4, signed=True), p_text(test.p_value)
    null = number(test.null_mean, 4, signed=True)
    reason = f"mean within minus across is {observed}, and {null} under permuted labels, {p}"
    verdict = Verdict.reproduced if test.p_value < LEVEL else Verdict.not_reproduced
    return Finding(verdict, reason, asdict(test), f"{observed}, {p}")


def _balance(
    case: Case, which: Literal["within", "across"], beaten: Literal["within_above", "across_below"], word: str
) -> Finding:
    found, similarity = case.known(case.analysis.balance, "balance"), case.analysis.similarity
    mean = case.known(getattr(similarity, which).mean, f"similarity.{which}.mean")
    names = {"uniform": "balanced routing", "load_matched": "the same load at random"}
    held = {name: bool(getattr(getattr(found, name), beaten)) for name in names}
    # An analysis of an earlier version knows all pairs together only.
    nulls = {name: getattr(getattr(found, name), which) or getattr(found, name) for name in names}
    parts = [
        f"{word if held[name] else f'not {word}'} {names[name]} {interval(null.ci, 4)}" for name, null in nulls.items()
    ]
    verdict = (Verdict.not_reproduced, Verdict.direction_only, Verdict.reproduced)[sum(held.values())]
    baselines = {name: {"mean": null.mean, "ci": null.ci, beaten: held[name]} for name, null in nulls.items()}
    shown = f"{number(mean, 3)} against {' / '.join(number(null.mean, 3) for null in nulls.values())}"
    return Finding(verdict, f"{number(mean, 4)} is {' and '.join(parts)}", {"mean": mean, **baselines}, shown)
