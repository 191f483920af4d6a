"""capture(): from a model's name and prompts to signatures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from moexray.prompts import Prompt
from moexray.recording.journal import journal_of
from moexray.recording.options import CaptureOptions, engine_of
from moexray.recording.recorders import files_of
from moexray.recording.recording import check_prompts, record, record_to
from moexray.signatures import Signatures

_RECORDING = ("batch_tokens", "weights", "verify", "on_progress")


def capture(prompts: Sequence[Prompt], **options: Unpack[CaptureOptions]) -> Signatures:
    """Run a model on `prompts`, let it go on, and count the experts that every token was sent to.

    Parameters
    ----------
    prompts
        What to run; their ids must be unique.
    options
        See `moexray.recording.options.CaptureOptions`.

    Raises
    ------
    ModelError
        If the model cannot be loaded or heard.
    CaptureError
        If the options or the prompts cannot be run.
    """
    check_prompts(prompts)
    engine, generation = engine_of(options)
    return record(engine, prompts, generation, **_recording(options))


def capture_to(
    out: Path, prompts: Sequence[Prompt], *, recorders: Sequence[str] = (), **options: Unpack[CaptureOptions]
) -> list[Path]:
    """Capture into files; killed and called again with the same inputs, it goes on where it was.

    What is done is kept in a journal beside `out`. A resumed capture runs the very batches that the first
    one planned, and its files are the same, byte for byte.

    Parameters
    ----------
    out
        The file of signatures.
    prompts
        What to run; their ids must be unique.
    recorders
        What else to record, each into a file of its own beside `out`: see `moexray.recording.recorders`.
    options
        See `moexray.recording.options.CaptureOptions`.

    Returns
    -------
    The files that were written.

    Raises
    ------
    ModelError
        If the model cannot be loaded or heard.
    CaptureError
        If the options or the prompts cannot be run, or the journal is of a capture of something else.
    MoexrayError
        If a file cannot be written.
    """
    check_prompts(prompts)
    files_of(out, recorders)
    with journal_of(out):
        pass  # what would refuse a capture is met before its model is loaded
    engine, generation = engine_of(options)
    return record_to(out, engine, prompts, generation, recorders=recorders, **_recording(options))


def _recording(options: CaptureOptions) -> dict[str, Any]:
    given: dict[str, Any] = dict(options)
    return {name: given[name] for name in _RECORDING if name in given}
