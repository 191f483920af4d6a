"""Parquet files, by pyarrow."""

from collections.abc import Iterator
from pathlib import Path

from moexray.errors import PromptsError
from moexray.prompts.arrow import BATCH_ROWS, columns_of, prompts_of
from moexray.prompts.columns import Columns
from moexray.prompts.extras import imported
from moexray.prompts.prompt import Prompt
from moexray.prompts.source import Source

_BUFFER_BYTES = 2**20


def read_parquet(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.parquet`` file batch by batch, and of each only the columns that hold something of a prompt."""
    parquet = imported("pyarrow.parquet", source, extra="parquet")
    pyarrow = imported("pyarrow", source, extra="parquet")
    # Without these two whole row groups would be held, and some writers make one of the whole file.
    reading = {"pre_buffer": False, "buffer_size": _BUFFER_BYTES}
    try:
        with source.opening(), parquet.ParquetFile(path, **reading) as file:
            found = columns_of(source, file.schema_arrow, columns)
            batches = file.iter_batches(BATCH_ROWS, columns=list(set(found.values())))
            yield from prompts_of(source, file.schema_arrow, batches, found)
    except pyarrow.ArrowException as error:
        problem = f"{source} is damaged or is not a Parquet file ({str(error).splitlines()[0]})"
        raise PromptsError(problem) from error
