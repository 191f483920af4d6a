"""check_claims(): a study's claims, each with its value here and a verdict."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from moexray.claims.case import Case
from moexray.claims.claim import Claim, Study, Verdict
from moexray.claims.remarks import token_remark
from moexray.claims.report import CheckedClaim, ClaimsReport, StudyHeader
from moexray.claims.study_file import shipped_study
from moexray.claims.tests import CLAIM_TESTS
from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.results import Result


def check_claims(
    signatures: Signatures,
    analysis: Analysis,
    study: Study | None = None,
    *,
    results: Mapping[str, Result] | None = None,
) -> ClaimsReport:
    """Test every claim of a published study.

    A claim is `consistent` if the value here is shown to be close to the published one, `different` if it is shown to
    be another, and then `direction only` if it points the same way; where the errors of both studies allow neither, it
    is `inconclusive`. Each test says what that means, and which difference these data could have shown. A claim is
    `not applicable` where the signatures are of another model, of other categories or other settings than the claim
    needs, or where the value cannot be computed. In the first cases the value is given all the same, with what the test
    says of it.

    Parameters
    ----------
    signatures
        What was analyzed.
    analysis
        The analysis of these signatures.
    study
        Whose claims; by default those of arXiv:2603.11114, which come with moexray.
    results
        Results of other studies, for claims that are about them: see `moexray.claims.given_results.read_given`.
    """
    study = shipped_study() if study is None else study
    case = Case(signatures, analysis, results or {})
    claims = tuple(_checked(claim, study, case) for claim in study.claims)
    found = Counter(claim.verdict for claim in claims)
    return ClaimsReport(
        study=StudyHeader(study.title, study.source, study.settings),
        signatures=analysis.signatures,
        settings=analysis.settings,
        claims=claims,
        verdicts={str(verdict): found[verdict] for verdict in Verdict},
    )


def _checked(claim: Claim, study: Study, case: Case) -> CheckedClaim:
    test = CLAIM_TESTS[claim.kind]
    blocked = "; ".join(
        reason for name in claim.needs if (reason := _difference(name, study.settings[name], case)) is not None
    )
    about = {**vars(claim), "test": test.rule}
    try:
        found = test.run(claim, case)
    except NotComputable as error:
        reason = blocked or f"not computed: {error}"
        return CheckedClaim(**about, here=None, shown=None, verdict=Verdict.not_applicable, reason=reason)
    about |= {
        "here": found.here,
        "shown": found.shown,
        "detectable": found.detectable,
        "detects": found.detects,
        "tokens": token_remark(claim.kind, case.analysis),
    }
    if not blocked:
        return CheckedClaim(**about, verdict=found.verdict, reason=found.reason)
    return CheckedClaim(
        **about,
        verdict=Verdict.not_applicable,
        reason=blocked,
        as_if=found.verdict,
        as_if_reason=found.reason,
    )


def _difference(name: str, wanted: Any, case: Case) -> str | None:
    """Return how a setting differs from the study's; None where it does not."""
    if name == "categories":
        return _other_categories(set(wanted), set(case.analysis.signatures.categories))
    here = case.signatures.meta.get(name)
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
