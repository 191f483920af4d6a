"""The recorder of traces: every token's experts, as a Parquet file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moexray import trace_file
from moexray.prompts import Prompt
from moexray.recording.counting import sequence_of
from moexray.recording.journal import Row

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine


def check_trace() -> None:
    """Raise MissingExtra where pyarrow is not installed."""
    trace_file.import_parquet("a trace is a Parquet file, which")


def write_trace(path: Path, rows: Iterable[Row], prompts: Sequence[Prompt], engine: "TransformersEngine") -> None:
    """Write one row for each token and layer: see docs/trace.md."""
    sequences = (sequence_of(row, engine.layout) for row in rows)
    trace_file.write_trace(path, sequences, [prompt.id for prompt in prompts], engine.layout, engine.text_of)
