"""The recorder of traces: every token's experts and gate weights where the engine gives them, as a Parquet file."""

from pathlib import Path

from moexray import trace_file
from moexray.recording.recorders.recorder import Recorded, Recorder


def _write(path: Path, recorded: Recorded) -> None:
    trace_file.write_trace(
        path,
        recorded.sequences,
        recorded.prompt_ids,
        recorded.layout,
        recorded.text_of,
        scores=recorded.scores,
        weights=recorded.weights,
    )


def _check() -> None:
    trace_file.import_parquet("a trace is a Parquet file, which")


TRACE = Recorder(trace_file.SUFFIX, _write, _check, takes=frozenset({"weights"}))
