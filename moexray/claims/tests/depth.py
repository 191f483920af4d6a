"""The test of where the effect is largest."""

from dataclasses import asdict

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.claims.judging import Direction, Value, judged
from moexray.claims.published import published_estimate
from moexray.formats import interval, number, p_text
from moexray.stats.inference.replication import Estimate
from moexray.studies.limits import LEVEL


@claim_test(
    "peak_layer",
    rule="consistent: the effect grows with depth, p < 0.05, and the 90 % interval of the difference of the peaks lies "
    "inside of the margin; different: it falls, p < 0.05, or the 95 % interval excludes 0; direction only: it grows, "
    "but the peak is different",
    values={"layer": "count"},
    compares=True,
)
def peak_layer(claim: Claim, case: Case) -> Finding:
    """Compare the layer of the greatest effect, and ask that the effect grows with depth.

    An interval of the peak that holds most layers says nothing, whichever layer was published.
    """
    depth, published = case.known(case.analysis.depth, "depth"), claim.values["layer"]
    trend_of = depth.spearman if depth.slope is None else depth.slope
    rising, significant = trend_of > 0, depth.p_value < LEVEL
    course = {True: "the effect grows with depth", False: "the effect falls with depth"}[rising]
    trend = f"Spearman {number(depth.spearman, signed=True)}"
    text = f"{course if significant else 'no growth with depth is shown'} ({trend}, {p_text(depth.p_value)})"
    about = case.analysis.signatures
    ends = depth.peak_layer_ci
    value = Value(
        value=depth.peak_layer,
        ci=None if ends is None else (float(ends[0]), float(ends[1])),
        name="depth.peak_layer_ci",
        write=_layers,
        unit=" layers",
        shown=f"layer {depth.peak_layer} {interval(ends, 0)}".rstrip() + f", {trend}",
        here=asdict(depth),
    )

    def scaled(here: Estimate) -> Estimate:
        return published_estimate(published, claim.error, here, prompts=about.prompts, categories=len(about.categories))

    found = judged(claim, case, value, scaled, Direction(rising and significant, text))
    if significant and not rising:
        return _with(found, Verdict.different, f"{text}; {found.reason}")
    if found.verdict is Verdict.consistent:
        verdict = Verdict.consistent if significant else Verdict.inconclusive
        return _with(found, verdict, f"{found.reason}, {'and' if significant else 'but'} {text}")
    return found if text in found.reason else _with(found, found.verdict, f"{found.reason}; {text}")


def _with(found: Finding, verdict: Verdict, reason: str) -> Finding:
    return Finding(verdict, reason, found.here, found.shown, found.detectable, found.detects)


def _layers(difference: float) -> str:
    return number(difference, 0 if float(difference).is_integer() else 1, signed=True)
