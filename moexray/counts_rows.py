"""The rows of a table of counts, CSV or Parquet: each checked by itself, and every damage one sentence."""

import re
import reprlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

from moexray.csv_file import csv_rows
from moexray.errors import CountsError
from moexray.parquet_file import batches_of, check_once, open_parquet, reading_parquet

COLUMNS = ("model", "corpus", "layer", "expert", "count")
# The column that may say how many experts a layer has.
WIDTH = "experts"
# A count that any type of number holds exactly, layers and experts as signatures have them.
MOST = 2**53
_MOST_INDEX = 2**15 - 1
_BATCH_ROWS = 2**16
# A whole number as a data frame may write it.
_DIGITS = re.compile(r"(-?[0-9]{1,30})(?:\.0*)?")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table; `experts` is how many experts the layer has, where a column says so."""

    place: str
    model: str
    corpus: str
    layer: int
    expert: int
    count: int
    experts: int | None


def rows_of_csv(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file; `CountsError` where one is none."""
    with path.open("rb") as file:
        rows = csv_rows(file, path, error=CountsError)
        _, names = next(rows, (0, []))
        _check_columns(path, names)
        for line, values in rows:
            place = f"{path} line {line}"
            if len(values) != len(names):
                message = (
                    f"{place} has {len(values)} values, but the header names {len(names)} columns, of which layer, "
                    "expert and count must be whole numbers"
                )
                raise CountsError(message)
            row = dict(zip(names, values, strict=True))
            yield _row(place, [row[name] for name in COLUMNS], row.get(WIDTH))


def rows_of_parquet(path: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file; `CountsError` where one is none."""
    with open_parquet(path, error=CountsError) as file:
        names = file.schema_arrow.names
        _check_columns(path, names)
        columns = [*COLUMNS, *([WIDTH] if WIDTH in names else [])]
        number = 0
        for table in batches_of(file, path, columns, rows=_BATCH_ROWS, error=CountsError):
            with reading_parquet(path, error=CountsError):
                values = table.to_pydict()
            widths = values.get(WIDTH, [None] * table.num_rows)
            for width, *cells in zip(widths, *(values[name] for name in COLUMNS), strict=True):
                number += 1
                yield _row(f"{path} row {number}", cells, width)


def _check_columns(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        message = f"{path} has no column {missing[0]!r}: a table of counts has {', '.join(COLUMNS)}"
        raise CountsError(message)
    check_once(path, names, (*COLUMNS, WIDTH), error=CountsError)


def _row(place: str, values: Sequence[Any], width: Any) -> Row:
    model, corpus, *numbers = values
    for name in (model, corpus):
        if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
            message = f"{place}: model and corpus must be named by texts, not {reprlib.repr(name)}"
            raise CountsError(message)
    layer, expert, count = (_whole(number) for number in numbers)
    experts = None if width is None else _whole(width)
    if layer is None or expert is None or count is None or (experts is None) != (width is None):
        cells = ", ".join(map(str, [*numbers, *([] if width is None else [width])]))
        message = f"{place}: layer, expert and count must be whole numbers, not {cells}"
        raise CountsError(message)
    if min(layer, expert, count) < 0:
        message = f"{place}: layer, expert and count must be zero or more, not {layer}, {expert}, {count}"
        raise CountsError(message)
    for name, value, most in (("layer", layer, _MOST_INDEX), ("expert", expert, _MOST_INDEX), ("count", count, MOST)):
        if value > most:
            message = f"{place}: {name} is {value}, more than {most:,}: nothing has so many"
            raise CountsError(message)
    if experts is not None and not 1 <= experts <= _MOST_INDEX + 1:
        message = f"{place}: a layer cannot have {experts} experts"
        raise CountsError(message)
    if experts is not None and expert >= experts:
        message = f"{place}: expert {expert} is not one of the layer's {experts} experts, 0 to {experts - 1}"
        raise CountsError(message)
    return Row(place, sys.intern(str(model)), sys.intern(str(corpus)), layer, expert, count, experts)


def _whole(value: Any) -> int | None:
    """Return a whole number, of whatever type a file has it; None for everything else.

    ``3.0`` is one: tables of data frames turn whole numbers into such where a value is missing.
    """
    if isinstance(value, str):
        found = _DIGITS.fullmatch(value.strip())
        return None if found is None else int(found[1])
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return int(value) if isfinite(value) and value == int(value) else None
