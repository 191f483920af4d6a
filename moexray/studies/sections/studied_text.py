"""The text of the tokens under study, and how many tokens there are in each phase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.prompt_table import Strings
from moexray.segments import WORDLESS, Segment
from moexray.studies.cohort import Cohort


@dataclass(frozen=True)
class StudiedText:
    """The text of the tokens under study.

    Attributes
    ----------
    of
        ``prompt``, ``output`` or ``prompt and output``.
    texts
        The text of each prompt.
    """

    of: str
    texts: Sequence[str]


def studied_text(cohort: Cohort) -> StudiedText:
    """Return the text of the tokens under study: of prompts, of what was generated, or of both.

    Raises
    ------
    NotComputable
        If it is not known: the signatures do not hold it, or the tokens are only some of a prompt or output, or an
        image.
    """
    prompts = cohort.signatures.prompts
    kept = {"prompt": ("prompt", "texts", prompts.texts), "generated": ("output", "outputs", prompts.outputs)}
    names, parts = [], []
    for phase in _phases(cohort):
        if phase not in kept:
            message = "the recording does not tell tokens of prompts from generated ones"
            raise NotComputable(message)
        name, column, strings = kept[phase]
        _check_known(cohort, phase)
        if strings is None:
            message = f"the signatures hold no {column}"
            raise NotComputable(message)
        names.append(name)
        parts.append(strings)
    return StudiedText(" and ".join(names), parts[0] if len(parts) == 1 else _joined(parts))


def lengths_by_segment(cohort: Cohort) -> NDArray[np.int64]:  # (prompts, segments)
    """Return the number of tokens under study of each prompt, of each segment that has some.

    All are needed where several are studied, as prompt and generated tokens, or text and image: a signature mixes them
    in proportion.
    """
    chosen = set(cohort.signatures.places(cohort.tokens))
    there = [place for place, _ in _with_tokens(cohort) if place in chosen]
    return np.asarray(cohort.signatures.tokens[:, there], dtype=np.int64)


def _phases(cohort: Cohort) -> list[str]:
    """Return the phases of the tokens under study."""
    chosen = set(cohort.signatures.places(cohort.tokens))
    return list(dict.fromkeys(one.phase for place, one in _with_tokens(cohort) if place in chosen))


def _check_known(cohort: Cohort, phase: str) -> None:
    chosen = set(cohort.signatures.places(cohort.tokens))
    there = [(place, one) for place, one in _with_tokens(cohort) if one.phase == phase]
    unread = [one.kind for place, one in there if place in chosen and one.kind in WORDLESS]
    if unread:
        texts = any(place in chosen and one.kind == "text" for place, one in _with_tokens(cohort))
        advice = ": an analysis of the tokens 'text' has this control" if texts else ""
        message = f"no words say what {unread[0]} tokens show{advice}"
        raise NotComputable(message)
    if any(place not in chosen and one.kind not in WORDLESS for place, one in there):
        message = f"which words of the {phase} are those of the tokens {cohort.tokens!r} is not known"
        raise NotComputable(message)


def _with_tokens(cohort: Cohort) -> list[tuple[int, Segment]]:
    """Return the segments in which some prompt has a token, with their places."""
    held = cohort.signatures.tokens.sum(axis=0) > 0
    return [(place, one) for place, one in enumerate(cohort.signatures.segments) if held[place]]


def _joined(parts: Sequence[Strings]) -> tuple[str, ...]:
    return tuple("\n".join(texts) for texts in zip(*parts, strict=True))
