"""What can be recorded beside signatures, each into a file of its own: one entry here, one file each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moexray.errors import CaptureError
from moexray.files import check_writable
from moexray.prompts import Prompt
from moexray.recording.coselection import write_coselection
from moexray.recording.journal import Row
from moexray.recording.trace import check_trace, write_trace

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine


@dataclass(frozen=True)
class Recorder:
    """A recorder.

    Attributes
    ----------
    suffix
        The end of its file's name.
    write
        What writes the file from every prompt's tokens, in the order of the prompts.
    check
        What raises before a long capture if the file could not be written after it.
    """

    suffix: str
    write: "Callable[[Path, Iterable[Row], Sequence[Prompt], TransformersEngine], None]"
    check: Callable[[], None] = lambda: None


RECORDERS: Mapping[str, Recorder] = {
    "trace": Recorder("trace.parquet", write_trace, check_trace),
    "coselection": Recorder("coselection.npz", write_coselection),
}


def files_of(out: Path, recorders: Sequence[str]) -> dict[str, Path]:
    """Return the file of each recorder, beside the signatures at `out`.

    Raises
    ------
    CaptureError
        If there is no such recorder, or a package that it needs is not installed.
    MoexrayError
        If one of the files, or `out`, could not be written.
    """
    for name in recorders:
        if name not in RECORDERS:
            message = f"no recorder {name!r}: there are {', '.join(RECORDERS)}"
            raise CaptureError(message)
        RECORDERS[name].check()
    files = {name: out.with_name(f"{out.stem}.{RECORDERS[name].suffix}") for name in recorders}
    for file in (out, *files.values()):
        check_writable(file)
    return files
