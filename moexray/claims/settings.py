"""Tests of how a study was set up: what was run, and for how long."""

from moexray.claims.claim import Claim, Finding, Verdict
from moexray.claims.evidence import Evidence
from moexray.errors import NotComputable


def layout(claim: Claim, evidence: Evidence) -> Finding:
    """Compare numbers of MoE layers, experts a layer and selections a token: all must be the same."""
    signatures = evidence.signatures
    here = {
        "layers": [len(signatures.layers)],
        "experts": [evidence.document["signatures"]["experts"]],
        "top_k": sorted(set(signatures.top_k.tolist())),
    }
    other = [name for name, values in here.items() if values != [claim.values[name]]]
    texts = {name: ", ".join(map(str, values)) for name, values in here.items()}
    differing = "; ".join(f"{name} is {texts[name]}, not {claim.values[name]}" for name in other)
    figures = {name: values[0] if len(values) == 1 else values for name, values in here.items()}
    verdict = Verdict.not_reproduced if other else Verdict.reproduced
    return Finding(verdict, differing or "layers, experts and k are the same", figures, " / ".join(texts.values()))


def generated_tokens(claim: Claim, evidence: Evidence) -> Finding:
    """Compare the tokens generated: the setting must be the same, and every prompt must have made use of it.

    The last token generated never passes a router, so n tokens show as n − 1 of the phase ``generated``.
    """
    wanted, setting = claim.values["tokens"], evidence.signatures.meta.get("max_new_tokens")
    if setting is None:
        message = "the signatures do not say how many tokens were to be generated"
        raise NotComputable(message)
    routed = evidence.signatures.tokens[:, 1]
    short, shortest = int((routed + 1 < wanted).sum()), int(routed.min(initial=wanted)) + 1
    figures = {"max_new_tokens": setting, "prompts": len(routed), "ended_before": short}
    if setting != wanted:
        return Finding(Verdict.not_reproduced, f"max_new_tokens is {setting}, not {wanted}", figures, str(setting))
    if short:
        reason = f"{short} of {len(routed)} prompts ended before {wanted} tokens, the shortest after {shortest}"
        return Finding(Verdict.not_reproduced, reason, figures, f"{setting};\n{short} ended before")
    return Finding(Verdict.reproduced, f"every prompt generated {wanted} tokens", figures, str(setting))
