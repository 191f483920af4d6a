"""Segments: the classes of tokens that are counted apart, and the selector that names them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moexray.errors import SignaturesError

ALL = "all"
_PHASES = ("prompt", "generated", "mixed")
# Kinds whose token ids are placeholders: they say neither which words nor which part of a picture a token stands for.
WORDLESS = ("image", "audio", "video")


@dataclass(frozen=True)
class Segment:
    """A class of tokens that is counted apart.

    Attributes
    ----------
    phase
        ``prompt`` for tokens that were given, ``generated`` for tokens that the model wrote; ``mixed`` for both, where
        an imported recording does not tell them apart.
    kind
        What the tokens stand for: ``text``, ``image``, ``audio``, or a part of a chat such as ``system``.

    Raises
    ------
    SignaturesError
        If the phase is unknown, or the kind is empty or holds a slash or a name that selectors use.
    """

    phase: Literal["prompt", "generated", "mixed"]
    kind: str = "text"

    def __post_init__(self) -> None:
        if self.phase not in _PHASES:
            message = f"a segment's phase is prompt, generated or mixed, not {self.phase!r}"
            raise SignaturesError(message)
        if not self.kind or "/" in self.kind or self.kind in (ALL, *_PHASES):
            message = f"a segment cannot be of kind {self.kind!r}: a selector could not name it"
            raise SignaturesError(message)

    def __str__(self) -> str:
        return f"{self.phase}/{self.kind}"

    @staticmethod
    def parse(name: str) -> "Segment":
        """Return the segment that `str` writes as `name`; `SignaturesError` if there is none."""
        phase, _, kind = name.partition("/")
        return Segment(phase, kind)  # type: ignore[arg-type]  # Segment checks its phase


# The segments of a capture of texts.
PLAIN = (Segment("prompt"), Segment("generated"))
# Those of a capture of texts with images; what a model writes is text.
WITH_IMAGES = (Segment("prompt"), Segment("prompt", "image"), Segment("generated"))


def places(tokens: str, segments: Sequence[Segment]) -> tuple[int, ...]:
    """Return the places of the segments that a selector names.

    Parameters
    ----------
    tokens
        ``all``, a phase (``prompt``, ``generated``), a kind (``image``), or both (``prompt/image``).
    segments
        The segments to choose from.

    Raises
    ------
    SignaturesError
        If it names none of them.

    Examples
    --------
    >>> places("generated", PLAIN)
    (1,)
    >>> places("text", PLAIN)
    (0, 1)
    """
    found = tuple(i for i, one in enumerate(segments) if tokens in (ALL, one.phase, one.kind, str(one)))
    if not found:
        message = f"no tokens are called {tokens!r}: there are {', '.join(selectors(segments))}"
        raise SignaturesError(message)
    return found


def short_names(segments: Sequence[Segment]) -> list[str]:
    """Return a name for each segment: its phase where all are of one kind, else phase and kind."""
    one_kind = len({one.kind for one in segments}) == 1
    return [one.phase if one_kind else str(one) for one in segments]


def selectors(segments: Sequence[Segment]) -> list[str]:
    """Return every selector that names at least one of the segments, from the widest to the narrowest."""
    phases = dict.fromkeys(one.phase for one in segments)
    kinds = dict.fromkeys(one.kind for one in segments)
    several = len(kinds) > 1
    return [ALL, *phases, *(kinds if several else ()), *(map(str, segments) if several else ())]
