"""The interface of a recorder: it writes one file from all routed sequences of a capture."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from moexray.routing import RoutedSequence, RouterLayout


@dataclass(frozen=True)
class Recorded:
    """Everything that a recorder may write.

    Attributes
    ----------
    sequences
        One for each prompt, in the order of the prompts; they can be read once.
    prompt_ids
        The ids of the prompts.
    layout
        The model's MoE layers.
    text_of
        Returns the text of a token.
    scores, weights
        Whether the sequences hold router scores, and gate weights.
    """

    sequences: Iterable[RoutedSequence]
    prompt_ids: Sequence[str]
    layout: RouterLayout
    text_of: Callable[[int], str]
    scores: bool = False
    weights: bool = False


@dataclass(frozen=True)
class Recorder:
    """Writes a file beside the signatures.

    Attributes
    ----------
    suffix
        The end of the file's name.
    write
        Writes the file.
    check
        Raises MoexrayError before a long capture if the file could not be written after it.
    wants
        What sequences must hold beside the selected experts: see `moexray.engines.engine.Engine.run`.
    takes
        What is written beside it where the engine offers it.
    """

    suffix: str
    write: Callable[[Path, Recorded], None]
    check: Callable[[], None] = lambda: None
    wants: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
