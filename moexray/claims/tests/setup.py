"""Tests of the setup of a study: what was run, and for how long."""

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.claim_tests import claim_test
from moexray.errors import NotComputable
from moexray.segments import selectors


@claim_test(
    "layout",
    rule="consistent: layers, experts and k are equal",
    values={"layers": "count", "experts": "count", "top_k": "count"},
)
def layout(claim: Claim, case: Case) -> Finding:
    """Compare numbers of MoE layers, experts a layer and selections a token: all must be the same."""
    signatures = case.signatures
    here = {
        "layers": [len(signatures.layers)],
        "experts": sorted(set(signatures.experts.tolist())),
        "top_k": sorted(set(signatures.top_k.tolist())),
    }
    other = [name for name, values in here.items() if values != [claim.values[name]]]
    texts = {name: ", ".join(map(str, values)) for name, values in here.items()}
    differing = "; ".join(f"{name} is {texts[name]}, not {claim.values[name]}" for name in other)
    values = {name: values[0] if len(values) == 1 else values for name, values in here.items()}
    verdict = Verdict.different if other else Verdict.consistent
    return Finding(verdict, differing or "layers, experts and k are the same", values, " / ".join(texts.values()))


@claim_test(
    "generated_tokens", rule="consistent: the setting is equal, and no prompt ended before", values={"tokens": "count"}
)
def generated_tokens(claim: Claim, case: Case) -> Finding:
    """Compare the tokens generated: the setting must be the same, and every prompt must have made use of it.

    The last token generated never passes a router, so n tokens show as n − 1 of the phase ``generated``.
    """
    signatures = case.signatures
    wanted, setting = claim.values["tokens"], signatures.meta.get("max_new_tokens")
    if setting is None or "generated" not in selectors(signatures.segments):
        message = "the signatures do not say how many tokens were to be generated"
        raise NotComputable(message)
    routed = signatures.lengths("generated")
    short, shortest = int((routed + 1 < wanted).sum()), int(routed.min(initial=wanted)) + 1
    here = {"max_new_tokens": setting, "prompts": len(routed), "ended_before": short}
    if setting != wanted:
        return Finding(Verdict.different, f"max_new_tokens is {setting}, not {wanted}", here, str(setting))
    if short:
        reason = f"{short} of {len(routed)} prompts ended before {wanted} tokens, the shortest after {shortest}"
        return Finding(Verdict.different, reason, here, f"{setting}; {short} ended before")
    return Finding(Verdict.consistent, f"every prompt generated {wanted} tokens", here, str(setting))
