"""Tables of checked claims."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from moexray.claims.claim import Verdict
from moexray.claims.report import CheckedClaim, ClaimsReport
from moexray.formats import MISSING, count, listed, tokens_text
from moexray.views.tables.table import Cell, Column, Page, Table, Tone

_TONES: dict[str, Tone] = {
    Verdict.consistent: "good",
    Verdict.direction_only: "fair",
    Verdict.inconclusive: "fair",
    Verdict.different: "bad",
    Verdict.not_applicable: "faint",
}


def claims_page(report: ClaimsReport) -> Page:
    """Return the study and what it was checked against, the claims, the reasons, and the count."""
    study = report.study
    about = (f"Published: {study.settings['model']}.", _here(report))
    tables = (claims_table(report), reasons_table(report))
    return Page(f"{study.title} ({study.source})", *about, *tables, count_sentence(report))


def claims_document(report: ClaimsReport) -> Page:
    """Return the same for a page, which is wider than a terminal: claims in their own words, with reason and test."""
    study = report.study
    about = f"{study.title}, about {study.settings['model']}. {_here(report)}"
    return Page(f"Claims of {study.source}, checked", about, full_table(report), count_sentence(report))


def claims_table(report: ClaimsReport) -> Table:
    """Return each claim beside the value here; in parentheses the verdict of the test of one that does not apply."""
    rows = [
        [one.id, _line(one.name), _line(one.published), _parts(one.shown or MISSING), _verdict(one)]
        for one in report.claims
    ]
    columns = [
        Column(whole=True),
        Column("claim"),
        Column("published", least=min(16, max(len(one.published) for one in report.claims))),
        Column("here"),
        Column("verdict", whole=True, tones=_TONES),
    ]
    return Table("", columns, rows)


def reasons_table(report: ClaimsReport) -> Table:
    """Return the reason of each verdict; what keeps claims in a row from applying is said once, above their tests."""
    rows = []
    for blocked, group in groupby(report.claims, key=lambda one: None if one.as_if is None else one.reason):
        those = list(group)
        if blocked is not None:
            span = those[0].id if len(those) == 1 else f"{those[0].id}–{those[-1].id}"
            rows.append(("", f"{span} not applicable ({blocked}); the same tests say:"))
        rows += [(one.id, one.explanation) for one in those]
    return Table("", [Column(whole=True), Column()], rows)


def full_table(report: ClaimsReport) -> Table:
    """Return claims in their own words, with the reason of the verdict and the test that decides."""
    names = ("", "claim", "published", "here", "verdict", "reason", "the test that decides")
    rows = [
        [
            one.id,
            _line(one.text),
            _line(one.published),
            one.shown or MISSING,
            _verdict(one),
            _full_reason(one),
            one.test,
        ]
        for one in report.claims
    ]
    return Table("", names, rows)


def _here(report: ClaimsReport) -> str:
    """Say what the claims were checked against."""
    header = report.signatures
    return f"Here: {header.model or 'unknown model'}, {count(header.prompts, 'prompt')}, {tokens_text(header.phase)}."


def count_sentence(report: ClaimsReport) -> str:
    """Say how many claims got which verdict, and what the tests say of those that do not apply."""
    verdicts = _counted(one.verdict for one in report.claims)
    sentence = f"Of {count(len(report.claims), 'claim')}: {verdicts}."
    as_if = [one.as_if for one in report.claims if one.as_if is not None]
    return f"{sentence} If they applied, the same tests would say: {_counted(as_if)}." if as_if else sentence


def _counted(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdicts)
    return listed([f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]])


def _parts(shown: str) -> list[str]:
    """Return the parts of a value, one a line: they end at commas and semicolons that are not inside of an interval."""
    return re.split(r"(?<=[;,]) (?![^\[]*\])", shown)


def _line(text: str) -> str:
    """Return a text of a file of claims, where it may have several lines, as one."""
    return " ".join(text.split())


def _verdict(claim: CheckedClaim) -> Cell:
    return claim.verdict if claim.as_if is None else (claim.verdict, f"({claim.as_if})")


def _full_reason(claim: CheckedClaim) -> str:
    if claim.as_if is None:
        return claim.explanation
    return f"{claim.reason}; the same test says: {claim.explanation}"
