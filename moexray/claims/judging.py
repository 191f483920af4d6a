"""How a published value is judged by its difference from the value here."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.errors import NotComputable
from moexray.formats import interval
from moexray.stats.inference.replication import Agreement, Estimate, StudyDifference, study_difference

RULE = (
    "consistent: the 90 % interval of the difference lies inside of the margin; different: its 95 % interval excludes 0"
)


@dataclass(frozen=True)
class Direction:
    """Whether an effect points the published way beyond chance, and the words for it."""

    holds: bool
    text: str


@dataclass(frozen=True)
class Value:
    """A value here.

    Attributes
    ----------
    value, ci
        The value and its 95 % interval; None where the analysis has none.
    name
        What the notes call the interval.
    write, unit
        How a difference of such values is written, with its sign, and the unit after it.
    shown, here
        The value in words, and for the JSON.
    of_pairs
        Whether it is a value over pairs of prompts.
    """

    value: float
    ci: tuple[float, float] | None
    name: str
    write: Callable[[float], str]
    shown: str
    here: Mapping[str, Any]
    unit: str = ""
    of_pairs: bool = False


Published = Callable[[Estimate], Estimate]


def judged(claim: Claim, case: Case, found: Value, published: Published, direction: Direction) -> Finding:
    """Judge a value by its difference from a published one.

    Parameters
    ----------
    claim, case
        The claim, and the analysis.
    found
        The value here.
    published
        A function of the value here that returns the published one with its interval.
    direction
        What is left of the claim where the value is different.
    """
    try:
        ends = case.known(found.ci, found.name)
        here = Estimate(found.value, ends)
        wider = case.of_pairs(found.value, ends) if found.of_pairs else here
        difference = study_difference(wider, published(here))
    except NotComputable as error:
        reason = f"no interval of the difference: {error}; {direction.text}"
        return Finding(Verdict.inconclusive, reason, found.here, found.shown)
    verdict = verdict_of(difference.agreement(claim.margin), direction)
    return Finding(
        verdict,
        _reason(verdict, difference, claim.margin, direction, found),
        {**found.here, "difference": asdict(difference)},
        found.shown,
        difference.detectable,
        _amount(found, difference.detectable),
    )


def verdict_of(agreement: Agreement, direction: Direction) -> Verdict:
    """Return the verdict on a value: another value may still point the published way."""
    if agreement == "equivalent":
        return Verdict.consistent
    if agreement == "undecided":
        return Verdict.inconclusive
    return Verdict.direction_only if direction.holds else Verdict.different


def _amount(found: Value, value: float) -> str:
    return found.write(value).removeprefix("+") + found.unit


def _reason(
    verdict: Verdict, difference: StudyDifference, margin: float | None, direction: Direction, found: Value
) -> str:
    between, unit = interval(difference.ci, write=found.write), found.unit
    text = f"the difference is {found.write(difference.value)}{unit} {between}"
    if verdict is Verdict.consistent and margin is not None:
        inner = interval(difference.equivalence_ci, write=found.write)
        return f"{text}; its 90 % interval {inner} lies inside of ±{_amount(found, margin)}"
    if verdict is Verdict.inconclusive:
        kept = "no margin is given" if margin is None else f"may be beyond ±{_amount(found, margin)}"
        return f"{text}: it may be 0, and {kept}"
    return f"{text} and excludes 0, {'but' if direction.holds else 'and'} {direction.text}"
