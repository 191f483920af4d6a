"""The check of a journal that a capture goes on from: what is missing or odd shows before the model is loaded."""

from collections import Counter
from datetime import datetime
from itertools import chain
from typing import Any

from moexray.recording.journal import Journal

# Of each prompt; a shard may have none.
_LENGTHS = ("prompt_tokens", "most_tokens")


def check_journal(journal: Journal) -> None:
    """Check that a journal holds what a capture needs to go on, if it has begun.

    Raises
    ------
    CaptureError
        If a fact is missing or no such fact, a prompt is not exactly once among those that are done and left, or what
        is kept of one has changed.
    """
    if not (journal.is_new or (_facts(journal) and _prompts(journal) and journal.rows_are_whole())):
        raise journal.damaged


def _facts(journal: Journal) -> bool:
    budget, done = journal.fact("batch_tokens"), journal.fact("done")
    return (
        isinstance(journal.fact("inputs"), dict)
        and _is_time(journal.fact("created"))
        and (budget is None or _is_number(budget))
        and isinstance(journal.fact("verified") or {}, dict)
        and _is_number(journal.fact("halved") or 0)
        and all(journal.fact(name) == [] or _are_numbers(journal.fact(name)) for name in _LENGTHS)
        and len(journal.fact("prompt_tokens")) == len(journal.fact("most_tokens"))
        and isinstance(done, dict)
        and all(_is_number(done.get(name)) for name in ("prompts", "tokens", "largest"))
        and isinstance(done.get("batch_tokens"), list)
        and isinstance(done.get("observations"), dict)
        and all(_are_names(names) for names in done["observations"].values())
    )


def _prompts(journal: Journal) -> bool:
    pending, done = journal.all_pending(), journal.done()
    if not all(map(_are_numbers, pending)) or journal.fact("done")["prompts"] != len(done):
        return False
    return Counter(chain(done, *pending)) == Counter(range(len(journal.fact("most_tokens"))))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(map(_is_number, values))


def _are_names(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value) is not None
    except (TypeError, ValueError):
        return False
