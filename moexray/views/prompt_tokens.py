"""The tokens of a prompt as runs of tinted text, for a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moexray.formats import count, number, visible
from moexray.studies.shown_report import ShownPiece, ShownPrompt

_RAISED = str.maketrans("0123456789().+–×", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾·⁺⁻ˣ")
# Experts of an image that are named beside it.
_NAMED = 3


@dataclass(frozen=True)
class Run:
    """A stretch of text.

    Attributes
    ----------
    text
        What stands there; line breaks are meant, and nothing in it moves a cursor.
    tone
        ``lead1`` to ``lead7`` for the leading experts, ``other`` for the rest, ``weight1`` to ``weight4`` for one
        expert, and ``plain`` for what is no token.
    beside
        The number that says the same without colour; empty for none.
    written
        Whether the model wrote it.
    first
        The place of its first token among those shown; −1 for what is no token.
    """

    text: str
    tone: str
    beside: str = ""
    written: bool = False
    first: int = -1


def parts_of(found: ShownPrompt, *, most: int) -> Iterator[tuple[str, tuple[Run, ...]]]:
    """Yield the given part of a prompt and the generated one, each with its heading, where they have a token.

    Parameters
    ----------
    found
        A prompt.
    most
        Pieces of a part that are shown, half of them from its start and half from its end; 0 for all.
    """
    tokens = found.sequence
    for phase in dict.fromkeys(one.phase for one in tokens):
        pieces = [one for one in found.pieces if tokens[one.first].phase == phase]
        heading = f"{phase}, {count(sum(one.tokens for one in pieces), 'token')}"
        yield heading, tuple(_cut(found, pieces, most))


def _cut(found: ShownPrompt, pieces: Sequence[ShownPiece], most: int) -> Iterator[Run]:
    """Yield the runs of a part, and in their middle what says how many tokens are left out."""
    if not most or len(pieces) <= most:
        yield from (_run(found, one) for one in pieces)
        return
    start, end = (most + 1) // 2, len(pieces) - most // 2
    yield from (_run(found, one) for one in pieces[:start])
    tokens = sum(one.tokens for one in pieces[start:end])
    yield Run(f"\n… {count(tokens, 'token')} left out; --limit 0 shows all …\n", "plain")
    yield from (_run(found, one) for one in pieces[end:])


def _run(found: ShownPrompt, piece: ShownPiece) -> Run:
    inside = found.sequence[piece.first : piece.first + piece.tokens]
    written = inside[0].phase == "generated"
    text = _text(piece.text) if piece.image is None else _image(piece)
    if found.expert is not None:
        strengths = [one.strength for one in inside if one.strength is not None]
        tone = f"weight{max(strengths)}" if strengths else "other"
        return Run(text, tone, _of_expert(found, piece), written, piece.first)
    own = [one.expert for one in inside]
    shown = piece.leading[0].expert if piece.image is not None and piece.leading else own[0]
    places = [one.expert for one in found.leading]
    tone = f"lead{places.index(shown) + 1}" if shown in places else "other"
    if piece.image is not None:
        named = [f"{one.expert}×{one.tokens}" for one in piece.leading[:_NAMED]]
        beside = f"({'+'.join(named)})" if named else ""
    else:
        beside = f"({'+'.join('–' if one is None else str(one) for one in own)})"
    return Run(text, tone, beside, written, piece.first)


def _of_expert(found: ShownPrompt, piece: ShownPiece) -> str:
    """Return what says without colour how strongly one expert takes part: weights, ranks, or how many tokens."""
    expert = -1 if found.expert is None else found.expert.expert
    inside = [one for one in found.sequence[piece.first : piece.first + piece.tokens] if expert in one.experts]
    if not inside:
        return ""
    if piece.image is not None:
        return f"(×{len(inside)})"
    if found.weighted:
        return f"({'+'.join(number((one.weights or ())[one.experts.index(expert)]) for one in inside)})"
    if found.ranked:
        return f"({'+'.join(f'{one.experts.index(expert) + 1}' for one in inside)})"
    return "(×)"


def raised(beside: str) -> str:
    """Return a number in parentheses as superscripts.

    Examples
    --------
    >>> raised("(12+7)")
    '⁽¹²⁺⁷⁾'
    """
    return beside.translate(_RAISED)


def _text(text: str) -> str:
    """Return the text of a token: a line break is seen and breaks the line, a tab is seen."""
    return "⏎\n".join("⇥".join(visible(one) for one in line.split("\t")) for line in text.split("\n"))


def _image(piece: ShownPiece) -> str:
    kind = visible(piece.image or "")
    if piece.rows is not None and piece.columns is not None:
        return f"[{kind} {piece.rows} × {piece.columns}]"
    return f"[{kind}, {count(piece.tokens, 'token')}]"
