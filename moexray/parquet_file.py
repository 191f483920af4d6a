"""Parquet files from anywhere: opened with bounds on what they unpack to, and every damage is one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moexray.errors import MoexrayError
from moexray.extras import import_extra
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

# A file that unpacks to more than this, and to more than so many times its size, is there to fill memory.
_MOST_UNPACKED = 2**28
_MOST_TIMES = 256
_BUFFER_BYTES = 2**20


def open_parquet(path: Path, *, error: type[MoexrayError]) -> "ParquetFile":
    """Open a Parquet file; of its texts each is in memory once, however many rows have it.

    Parameters
    ----------
    path
        The file.
    error
        The exception of a file that cannot be read.

    Raises
    ------
    MissingExtra
        If pyarrow is not installed.
    MoexrayError
        As `error` says: if the file is missing, damaged or a pointer of git-lfs, or unpacks to far more than it is.
    """
    parquet = import_extra("pyarrow.parquet", extra="parquet", purpose=f"reading {path}")
    check_ordinary(path, error=error)
    if is_lfs_pointer(path):
        message = f"{path} {LFS_CURE}"
        raise error(message)
    # Without these two, pyarrow holds whole row groups in memory, and some writers put a file into one row group.
    reading: dict[str, Any] = {"pre_buffer": False, "buffer_size": _BUFFER_BYTES}
    with reading_parquet(path, error=error):
        file = parquet.ParquetFile(path, **reading)
        _check_metadata(path, file.metadata, error)
        names = file.schema_arrow.names
        texts = [name for name in names if names.count(name) == 1 and _is_text(file.schema_arrow.field(name).type)]
        return parquet.ParquetFile(path, metadata=file.metadata, read_dictionary=texts, **reading) if texts else file


def batches_of(
    file: "ParquetFile",
    path: Path,
    columns: Sequence[str],
    *,
    rows: int,
    error: type[MoexrayError],
    group: int | None = None,
) -> Iterator[Any]:
    """Yield record batches of some columns, of all row groups or of one.

    Parameters
    ----------
    file, path
        What `open_parquet` opened, and where.
    columns
        The columns to read; nothing of others is.
    rows
        How many a batch has at most.
    error
        Raised if a page is damaged, or the file does not hold as many rows as it says.
    """
    groups = range(file.num_row_groups) if group is None else [group]
    with reading_parquet(path, error=error):
        batches = file.iter_batches(rows, row_groups=list(groups), columns=list(columns))
        claimed = sum(file.metadata.row_group(one).num_rows for one in groups)
    found = 0
    while True:
        with reading_parquet(path, error=error):
            batch = next(batches, None)
        if batch is None:
            break
        found += batch.num_rows
        yield batch
    if found != claimed:
        message = f"{path} is damaged: it says that it has {claimed:,} rows, and holds {found:,}"
        raise error(message)


@contextmanager
def reading_parquet(name: object, *, error: type[MoexrayError]) -> Iterator[None]:
    """Turn what pyarrow raises of a file that is damaged into one sentence that names the file."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, UnicodeDecodeError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None and problem.strerror:
            message = f"{name} could not be read: {problem.strerror}"
        else:
            message = f"{name} is not a Parquet file, or not a whole one ({_first_line(problem)})"
        raise error(message) from problem


def check_once(path: Path, names: Sequence[str], wanted: Sequence[str], *, error: type[MoexrayError]) -> None:
    """Raise `error` if two columns have one of the wanted names."""
    for name in wanted:
        if names.count(name) > 1:
            message = f"{path} has {names.count(name)} columns called {name!r}: rename all but one"
            raise error(message)


def _check_metadata(path: Path, metadata: Any, error: type[MoexrayError]) -> None:
    # Of its columns pyarrow is not asked: a damaged description of one ends the process.
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        message = f"{path} is damaged: it says that it has {metadata.num_rows:,} rows, and its row groups have others"
        raise error(message)
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > max(_MOST_UNPACKED, _MOST_TIMES * path.stat().st_size):
        message = (
            f"{path} unpacks to {unpacked:,} bytes, {_MOST_TIMES} times its size or more: such a file is made to fill "
            "memory"
        )
        raise error(message)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(is_one(kind) for is_one in (types.is_string, types.is_large_string, types.is_string_view))


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]
