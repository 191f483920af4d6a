"""Records of JSON Lines, Parquet and .npz files: one a prompt, with the values of the fields that were asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray import strict_json
from moexray.errors import ImportingError
from moexray.importing.arrays import check_file, read_npz
from moexray.parquet_file import batches_of, check_once, open_parquet, reading_parquet

# A longer line is refused: as Python lists it takes up to 27 times as much memory, here just below 1 GB.
_LONGEST_LINE = 2**25
_ROWS = 16
Record = tuple[str, dict[str, Any]]  # its place, and its values by part


def json_records(path: Path, fields: Mapping[str, str]) -> Iterator[Record]:
    """Yield the objects of a file of JSON Lines."""
    check_file(path)
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                place = f"{path} line {number}"
                if len(line) > _LONGEST_LINE:
                    message = f"{place} is longer than {_LONGEST_LINE:,} bytes: pack its numbers, or split the file"
                    raise ImportingError(message)
                yield place, _of_line(line, fields, place)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error


def _of_line(line: bytes, fields: Mapping[str, str], place: str) -> dict[str, Any]:
    try:
        row = strict_json.loads(line)
    except ValueError as error:
        message = f"{place} is not JSON ({str(error).splitlines()[0]})"
        raise ImportingError(message) from error
    return {part: _inside(row, name, place) for part, name in fields.items()}


def _inside(row: Any, name: str, place: str) -> Any:
    """Return the value of a field: of that very name, or of a path with dots into objects and lists."""
    if isinstance(row, dict) and name in row:
        return row[name]
    value = row
    for step in name.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(value):
            value = value[int(step[:9])]
        else:
            message = f"{place} has no {name!r} (nothing at {step!r})"
            raise ImportingError(message)
    return value


def parquet_records(path: Path, fields: Mapping[str, str]) -> Iterator[Record]:
    """Yield the rows of a Parquet file."""
    names = list(dict.fromkeys(fields.values()))
    with open_parquet(path, error=ImportingError) as file:
        there = file.schema_arrow.names
        missing = next((name for name in names if name not in there), None)
        if missing is not None:
            message = f"{path} has no column {missing!r}: it has {', '.join(there[:20])}"
            raise ImportingError(message)
        check_once(path, there, names, error=ImportingError)
        number = 0
        for batch in batches_of(file, path, names, rows=_ROWS, error=ImportingError):
            for row in range(batch.num_rows):
                number += 1
                place = f"{path} row {number}"
                with reading_parquet(path, error=ImportingError):
                    values = {name: _cell(batch.column(name)[row], f"{place}, {name}") for name in names}
                yield place, {part: values[name] for part, name in fields.items()}


def _cell(cell: Any, place: str) -> Any:
    """Return a value of Arrow as Python has it; lists become arrays."""
    from pyarrow import types

    if not (types.is_list(cell.type) or types.is_large_list(cell.type) or types.is_fixed_size_list(cell.type)):
        return cell.as_py()
    if not cell.is_valid:
        return None
    values, shape = cell.values, [len(cell.values)]
    while not types.is_primitive(values.type):
        if values.null_count or not hasattr(values, "value_lengths"):
            message = f"{place} holds {values.type}, or lists that are missing: lists of whole numbers are read"
            raise ImportingError(message)
        lengths = np.asarray(values.value_lengths())
        if (lengths != lengths[:1]).any():
            message = f"{place} holds lists of {lengths.min()} to {lengths.max()} values: they must be equally long"
            raise ImportingError(message)
        shape.append(int(lengths[0]) if len(lengths) else 0)
        values = values.flatten()
    if values.null_count:
        message = f"{place} has a value that is missing"
        raise ImportingError(message)
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def npz_records(path: Path, fields: Mapping[str, str]) -> Iterator[Record]:
    """Yield the prompts of an .npz file.

    Experts are ``(prompts, …)`` with four axes, of which each prompt has the first `length` tokens, or those of all
    prompts one after the other with three; so are token ids, with two axes or with one. Other arrays have one value a
    prompt.
    """
    arrays = read_npz(path, fields)
    experts = arrays["experts"]
    lengths = arrays.get("length")
    if experts.ndim not in (3, 4) or (lengths is None and experts.ndim == 3):
        needed = "three or four axes" if lengths is not None else "an array `length`, the tokens of each prompt"
        message = f"{path}: experts of shape {experts.shape} need {needed}"
        raise ImportingError(message)
    prompts = len(experts) if lengths is None else len(np.atleast_1d(lengths))
    for part, array in arrays.items():
        by_token = part == "experts" or part.startswith("token_ids")
        if not (by_token and experts.ndim == 3) and (array.ndim < 1 or len(array) != prompts):
            message = f"{path}: {part} of shape {array.shape} does not fit {prompts} prompts"
            raise ImportingError(message)
    if lengths is not None and (lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min(initial=0) < 0):
        message = f"{path}: length must be whole numbers, one a prompt"
        raise ImportingError(message)
    start = 0
    for row in range(prompts):
        length = None if lengths is None else int(lengths[row])
        record = {}
        for part, array in arrays.items():
            if part == "experts" or part.startswith("token_ids"):
                record[part] = _tokens_of(array, row, start, length, packed=experts.ndim == 3)
            else:
                record[part] = _scalar(array[row])
        start += length or 0
        yield f"{path} prompt {row + 1}", record
    if experts.ndim == 3 and start != len(experts):
        message = f"{path}: length adds up to {start:,} tokens, and experts has {len(experts):,}"
        raise ImportingError(message)


def _tokens_of(array: NDArray[Any], row: int, start: int, length: int | None, *, packed: bool) -> NDArray[Any]:
    if packed:
        return array[start : start + (length or 0)]
    found: NDArray[Any] = array[row]
    return found if length is None else found[:length]


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
