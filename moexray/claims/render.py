"""Checked claims as Markdown, and in a sentence."""

from collections import Counter
from collections.abc import Sequence

from moexray.claims.claim import Verdict
from moexray.claims.report import CheckedClaim, ClaimsReport
from moexray.formats import count, tokens_text


def claims_markdown(report: ClaimsReport) -> str:
    """Return a table in Markdown, with its heading, and what decides each claim."""
    lines = [
        f"# Claims of {report.study.source}, checked",
        "",
        f"*{report.study.title}*, about {report.study.settings['model']}. {subject_line(report)}",
        "",
        "| | claim | published | here | verdict | reason | the test that decides |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in report.claims:
        reason = one.explanation if one.as_if is None else f"{one.reason}; the same test says: {one.explanation}"
        cells = (
            one.id,
            one.text,
            one.published,
            one.shown or "–",
            _verdict_text(one),
            reason,
            one.test,
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*lines, "", count_sentence(report), ""])


def count_sentence(report: ClaimsReport) -> str:
    """Say how many claims got which verdict, and what the tests say of those that do not apply."""
    verdicts = _listed([one.verdict for one in report.claims])
    sentence = f"Of {len(report.claims)} claim{'' if len(report.claims) == 1 else 's'}: {verdicts}."
    as_if = [one.as_if for one in report.claims if one.as_if is not None]
    return f"{sentence} If they applied, the same tests would say: {_listed(as_if)}." if as_if else sentence


def subject_line(report: ClaimsReport) -> str:
    """Say what the claims were checked against."""
    about = report.signatures
    return f"Here: {about.model}, {count(about.prompts, 'prompt')}, {tokens_text(about.phase)}."


def _verdict_text(claim: CheckedClaim) -> str:
    """Return the verdict, with what the test says in parentheses where it does not apply."""
    return str(claim.verdict) if claim.as_if is None else f"{claim.verdict} ({claim.as_if})"


def _listed(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdicts)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
