"""Tests of values of other studies: of batches, caches, placements, and of a model without some experts."""

from functools import partial

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.claims.given_results import GIVEN, value_at
from moexray.claims.judging import RULE, Direction, Value, judged
from moexray.claims.published import published_estimate
from moexray.errors import NotComputable
from moexray.formats import interval, listed, number
from moexray.stats.inference.replication import Estimate
from moexray.studies.results import Result

_WHERE = {"result": "name", "place": "name"}
# Under which settings of the result, such as ``devices=4``.
_SETTINGS = {"with": "name"}
# What results call the prompts that were scored.
_SCORED = ("scored_prompts", "scored", "prompts")
_NO_INTERVAL, _NO_DIRECTION = "the value has no interval", "no direction is claimed"


@claim_test("measured", rule=RULE, values={**_WHERE, "value": "number"}, more=_SETTINGS, compares=True)
def measured(claim: Claim, case: Case) -> Finding:
    """Compare a value of a result that `moexray claims --result` was given."""
    result = _result(claim, case)
    value, ci = value_at(result, claim.values["place"])
    here, shown = {"value": value, "ci": ci}, _shown(value, ci)
    if ci is None:
        reason = f"no interval of the difference: {_NO_INTERVAL}; {_NO_DIRECTION}"
        return Finding(Verdict.inconclusive, reason, here, shown)
    found = Value(
        value=value,
        ci=ci,
        name=claim.values["place"],
        write=partial(number, digits=3, signed=True),
        shown=shown,
        here=here,
    )
    scored = next(size for name in _SCORED if type(size := getattr(result, name, None)) is int)

    def published(here: Estimate) -> Estimate:
        return published_estimate(claim.values["value"], claim.error, here, prompts=scored, categories=0)

    return judged(claim, case, found, published, Direction(holds=False, text=_NO_DIRECTION))


@claim_test(
    "measured_below",
    rule="consistent: the 95 % interval lies below the bound; different: it lies above",
    values={**_WHERE, "bound": "number"},
    more=_SETTINGS,
)
def measured_below(claim: Claim, case: Case) -> Finding:
    """Compare a value of such a result with a bound that it is to be below."""
    value, ci = value_at(_result(claim, case), claim.values["place"])
    bound, here, shown = claim.values["bound"], {"value": value, "ci": ci}, _shown(value, ci)
    if ci is None:
        return Finding(Verdict.inconclusive, _NO_INTERVAL, here, shown)
    if ci[1] < bound:
        return Finding(Verdict.consistent, f"the interval lies below {bound:g}", here, shown)
    if ci[0] > bound:
        return Finding(Verdict.different, f"the interval lies above {bound:g}", here, shown)
    return Finding(Verdict.inconclusive, f"the interval holds {bound:g}", here, shown)


def _result(claim: Claim, case: Case) -> Result:
    """Return the result that a claim is about.

    Raises
    ------
    NotComputable
        If it was not given, or has other settings than the claim.
    """
    command = claim.values["result"]
    result = case.results.get(command)
    if result is None and command not in GIVEN:
        message = f"there is no result {command!r} that claims can be about: there are {listed(list(GIVEN))}"
        raise NotComputable(message)
    if result is None:
        message = f"give the result of `moexray {command} --json` with --result"
        raise NotComputable(message)
    for setting in filter(None, claim.values.get("with", "").split(",")):
        name, _, wanted = setting.partition("=")
        if not hasattr(result, name):
            message = f"the claim is of {name!r}, and the result has no such setting"
            raise NotComputable(message)
        here = getattr(result, name)
        if str(here) != wanted:
            message = f"the claim is of {name} {wanted}, the result of {name} {here}"
            raise NotComputable(message)
    return result


def _shown(value: float, ci: tuple[float, float] | None) -> str:
    return " ".join(filter(None, (number(value, 3), interval(ci, 3))))
