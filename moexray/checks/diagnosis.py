"""The cause of what differs, and a cause that is to be tried."""

from dataclasses import dataclass

from moexray.checks.recording import Recording


@dataclass(frozen=True)
class Diagnosis:
    """The cause of all rows that differ.

    Attributes
    ----------
    name
        ``unwritten``, ``one_row``, ``stale``, ``one_layer``, ``tokens_shifted``, ``layers_shifted``, ``layers_moved``,
        ``ids_renamed``, ``padding``, ``layer_numbers``, ``truncated`` or ``another_checkpoint``.
    text
        What it is, and how it was proven.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A cause to try.

    Attributes
    ----------
    diagnosis
        What it is called if it is proven.
    recordings
        What was recorded, with the cause undone.
    instead
        Another way to undo it, of each prompt, for those that the first one does not make true.
    """

    diagnosis: Diagnosis
    recordings: tuple[Recording, ...]
    instead: tuple[Recording, ...] = ()
