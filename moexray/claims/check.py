"""check_claims(): a study's claims, each with its figure here and a verdict."""

from collections.abc import Mapping
from typing import Any

from moexray.claims.claim import Claim, Result, Study, Verdict
from moexray.claims.evidence import Evidence
from moexray.claims.kinds import KINDS
from moexray.claims.tokens import token_remark
from moexray.errors import NotComputable
from moexray.signatures import Signatures


def check_claims(signatures: Signatures, document: Mapping[str, Any], study: Study) -> list[Result]:
    """Test every claim of a study.

    A claim is `reproduced` if its test holds, `direction only` if the figure is another but points the same way,
    and else `not reproduced`; each kind of test says what that means. It is `not applicable` where the signatures
    are of another model, of other categories or other settings than the claim needs, or where the figure cannot be
    computed. In the first cases the figure is given all the same, with what the test says of it.

    Parameters
    ----------
    signatures
        What was analyzed.
    document
        Of the analysis of these signatures.
    study
        Its claims.
    """
    evidence = Evidence(signatures, document)
    return [_result(claim, study, evidence) for claim in study.claims]


def _result(claim: Claim, study: Study, evidence: Evidence) -> Result:
    kind = KINDS[claim.kind]
    differing = [reason for name in claim.needs if (reason := _differs(name, study.settings[name], evidence))]
    blocked = "; ".join(differing)
    try:
        found = kind.run(claim, evidence)
    except NotComputable as error:
        return Result(claim, kind.rule, {}, "", Verdict.not_applicable, blocked or f"not computed: {error}")
    tokens = token_remark(claim.kind, evidence.document)
    if blocked:
        as_if = (Verdict.not_applicable, blocked, found.verdict, found.reason)
        return Result(claim, kind.rule, found.figures, found.shown, *as_if, tokens=tokens)
    return Result(claim, kind.rule, found.figures, found.shown, found.verdict, found.reason, tokens=tokens)


def _differs(name: str, wanted: Any, evidence: Evidence) -> str | None:
    """Say how a setting differs from the study's; None where it does not."""
    if name == "categories":
        return _other_categories(set(wanted), set(evidence.document["signatures"]["categories"]))
    here = evidence.signatures.meta.get(name)
    if here == wanted:
        return None
    if here is None:
        return f"the signatures do not say their {name}"
    return f"another model: {here}" if name == "model" else f"other settings: {name} is {here}, not {wanted}"


def _other_categories(wanted: set[str], here: set[str]) -> str | None:
    if missing := sorted(wanted - here):
        return f"other categories: there is no {' and no '.join(missing)}"
    if more := sorted(here - wanted):
        return f"other categories: {', '.join(more)} as well"
    return None
