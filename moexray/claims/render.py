"""Checked claims as a JSON document, as Markdown, and in a sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moexray.claims.claim import Result, Study, Verdict

SCHEMA = 1


def claims_document(results: Sequence[Result], study: Study, analysis: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values: the study, what it was checked against, and each claim with figures and verdict."""
    return {
        "schema": SCHEMA,
        "study": {"title": study.title, "source": study.source, "settings": dict(study.settings)},
        "signatures": analysis["signatures"],
        "settings": analysis["settings"],
        "claims": [_entry(result) for result in results],
        "verdicts": {str(verdict): count for verdict, count in _counts(results).items()},
    }


def claims_markdown(results: Sequence[Result], study: Study, analysis: Mapping[str, Any]) -> str:
    """Return a table in Markdown, with its heading, and what decides each claim."""
    lines = [
        f"# Claims of {study.source}, checked",
        "",
        f"*{study.title}*, about {study.settings['model']}. {subject_line(analysis)}",
        "",
        "| | claim | published | here | verdict | reason | the test that decides |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in results:
        reason = one.said if one.as_if is None else f"{one.reason}; the same test says: {one.said}"
        cells = (
            one.claim.id,
            one.claim.text,
            one.claim.published,
            one.shown or "–",
            _verdict_text(one),
            reason,
            one.test,
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*lines, "", count_sentence(results), ""])


def count_sentence(results: Sequence[Result]) -> str:
    """Say how many claims got which verdict, and what the tests say of those that do not apply."""
    verdicts = _listed([result.verdict for result in results])
    sentence = f"Of {len(results)} claim{'' if len(results) == 1 else 's'}: {verdicts}."
    as_if = [result.as_if for result in results if result.as_if is not None]
    return f"{sentence} If they applied, the same tests would say: {_listed(as_if)}." if as_if else sentence


def subject_line(analysis: Mapping[str, Any]) -> str:
    """Say what the claims were checked against."""
    subject = analysis["signatures"]
    tokens = {"all": "prompt and generated tokens", "prompt": "prompt tokens", "generated": "generated tokens"}
    prompts = f"{subject['prompts']:,} prompt{'' if subject['prompts'] == 1 else 's'}"
    return f"Here: {subject['model']}, {prompts}, {tokens[subject['phase']]}."


def _verdict_text(result: Result) -> str:
    """Return the verdict, with what the test says in parentheses where it does not apply."""
    return str(result.verdict) if result.as_if is None else f"{result.verdict} ({result.as_if})"


def _entry(result: Result) -> dict[str, Any]:
    claim = asdict(result.claim)
    return {
        **{key: claim[key] for key in ("id", "name", "text", "kind", "needs", "published", "values")},
        "test": result.test,
        "here": dict(result.figures) or None,
        "shown": " ".join(result.shown.split()) or None,
        "verdict": str(result.verdict),
        "reason": result.reason,
        "as_if": None if result.as_if is None else str(result.as_if),
        "as_if_reason": result.as_if_reason,
        "tokens": result.tokens,
    }


def _counts(results: Sequence[Result]) -> dict[Verdict, int]:
    found = Counter(result.verdict for result in results)
    return {verdict: found[verdict] for verdict in Verdict}


def _listed(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdicts)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
