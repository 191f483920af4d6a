"""Counts that someone else made: a long table of model, corpus, layer, expert and count, as CSV or Parquet."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import CountsError
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer
from moexray.parquet_file import batches_of, check_once, open_parquet, reading_parquet

COLUMNS = ("model", "corpus", "layer", "expert", "count")
# The column that may say how many experts a layer has.
WIDTH = "experts"
_BATCH_ROWS = 2**16
# A count that any type of number holds exactly, layers and experts as signatures have them.
_MOST = 2**53
_MOST_INDEX = 2**15 - 1
_MOST_CELLS = 2**26
# A whole number as a data frame may write it.
_DIGITS = re.compile(r"(-?[0-9]{1,30})(?:\.0*)?")


@dataclass(frozen=True)
class CorpusCounts:
    """How often one model selected each expert, on each of some corpora.

    Attributes
    ----------
    model, corpora
        Their names.
    layers
        Index in the model of each layer.
    experts
        How many experts each layer has.
    counts
        Selections ``(corpora, layers, experts)``; those of experts that a layer does not have are zero.
    """

    model: str
    corpora: tuple[str, ...]
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    counts: NDArray[np.int64]

    @property
    def selections(self) -> NDArray[np.int64]:  # (corpora,)
        """Selections of a layer, tokens times k; every layer makes as many."""
        return np.asarray(self.counts[:, 0].sum(axis=1))

    def corpus(self, name: str) -> NDArray[np.int64]:  # (layers, experts)
        """Return the counts of one corpus.

        Raises
        ------
        CountsError
            If there is none of that name.
        """
        if name not in self.corpora:
            message = f"{self.model} has no corpus {name!r}: there are {', '.join(self.corpora)}"
            raise CountsError(message)
        return np.asarray(self.counts[self.corpora.index(name)])


def is_counts_table(path: Path) -> bool:
    """Whether a file is a long table of counts, by its name and its columns.

    Raises
    ------
    CountsError
        If it is called a Parquet file and cannot be read as one.
    """
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        return suffix == ".csv"
    with open_parquet(path, error=CountsError) as file:
        return set(COLUMNS) <= set(file.schema_arrow.names)


def read_counts(path: Path) -> list[CorpusCounts]:
    """Read the counts of every model in a CSV or Parquet file with the columns model, corpus, layer, expert, count.

    Corpora keep the order in which they come first. An expert without a row was never selected. A layer has as many
    experts as the column ``experts`` says; without that column, as many as reach to the last one that has a row in it,
    so a last expert that was never selected needs a row with a count of 0.

    Raises
    ------
    CountsError
        If the file cannot be read, a column is missing, a number is none, a row occurs twice, a corpus lacks a layer,
        or two layers of a corpus do not add up to as many selections.
    """
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows}
    if path.suffix.lower() not in readers:
        message = f"{path} is neither a .csv nor a .parquet file"
        raise CountsError(message)
    check_ordinary(path, error=CountsError)
    if is_lfs_pointer(path):
        message = f"{path} {LFS_CURE}"
        raise CountsError(message)
    models: dict[str, _Model] = {}
    try:
        for row in readers[path.suffix.lower()](path):
            models.setdefault(row.model, _Model(path, row.model)).add(row)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise CountsError(message) from error
    if not models:
        message = f"{path} holds no counts"
        raise CountsError(message)
    return [one.counts() for one in models.values()]


def read_model_counts(path: Path, model: str | None, *, advice: str) -> CorpusCounts:
    """Read the counts of one model; None takes the only one that there is.

    Raises
    ------
    CountsError
        As `read_counts`, or if there is no such model or there are several: with the advice what to do.
    """
    found = read_counts(path)
    chosen = [one for one in found if model in (None, one.model)]
    if len(chosen) != 1:
        message = f"{path} holds {', '.join(one.model for one in found)}: {advice}"
        raise CountsError(message)
    return chosen[0]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table; `experts` is how many experts the layer has, where a column says so."""

    place: str
    model: str
    corpus: str
    layer: int
    expert: int
    count: int
    experts: int | None


def _csv_rows(path: Path) -> Iterator[_Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, [])
            _check_columns(path, names)
            for values in reader:
                place = f"{path} line {reader.line_num}"
                if not values:
                    continue
                if len(values) != len(names):
                    message = (
                        f"{place} has {len(values)} values, but the header names {len(names)} columns, of which layer, "
                        "expert and count must be whole numbers"
                    )
                    raise CountsError(message)
                row = dict(zip(names, values, strict=True))
                yield _row(place, [row[name] for name in COLUMNS], row.get(WIDTH))
        except (UnicodeDecodeError, csv.Error) as error:
            message = f"{path} is not a CSV file in UTF-8: {error}"
            raise CountsError(message) from error


def _parquet_rows(path: Path) -> Iterator[_Row]:
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


def _row(place: str, values: Sequence[Any], width: Any) -> _Row:
    model, corpus, *numbers = values
    if not _is_name(model) or not _is_name(corpus):
        message = f"{place}: model and corpus must be named"
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
    for name, value, most in (("layer", layer, _MOST_INDEX), ("expert", expert, _MOST_INDEX), ("count", count, _MOST)):
        if value > most:
            message = f"{place}: {name} is {value}, more than {most:,}: nothing has so many"
            raise CountsError(message)
    if experts is not None and not 1 <= experts <= _MOST_INDEX + 1:
        message = f"{place}: a layer cannot have {experts} experts"
        raise CountsError(message)
    if experts is not None and expert >= experts:
        message = f"{place}: expert {expert} is not one of the layer's {experts} experts, 0 to {experts - 1}"
        raise CountsError(message)
    return _Row(place, sys.intern(str(model)), sys.intern(str(corpus)), layer, expert, count, experts)


def _is_name(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


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


class _Model:
    """The counts of one model, gathered row by row."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._cells: dict[tuple[str, int, int], int] = {}
        self._corpora: dict[str, None] = {}
        self._reach: dict[int, int] = {}
        self._stated: dict[int, int | None] = {}

    def add(self, row: _Row) -> None:
        cell = (row.corpus, row.layer, row.expert)
        if cell in self._cells:
            message = f"{row.place}: {self._name}, {row.corpus}, layer {row.layer}, expert {row.expert} occurs twice"
            raise CountsError(message)
        if self._stated.setdefault(row.layer, row.experts) != row.experts:
            message = f"{row.place}: {self._name}, layer {row.layer}: rows disagree on how many experts it has"
            raise CountsError(message)
        self._cells[cell] = row.count
        self._corpora.setdefault(row.corpus)
        self._reach[row.layer] = max(self._reach.get(row.layer, 1), row.expert + 1)

    def counts(self) -> CorpusCounts:
        corpora, layers = tuple(self._corpora), tuple(sorted(self._reach))
        # Without a number, as many experts as reach to the last one that has a row.
        experts = tuple(self._stated[layer] or self._reach[layer] for layer in layers)
        if len(corpora) * len(layers) * max(experts) > _MOST_CELLS:
            message = (
                f"{self._path}: {self._name} has {len(corpora)} corpora, {len(layers)} layers and up to {max(experts)} "
                f"experts: counts of more than {_MOST_CELLS:,} experts are not read at once"
            )
            raise CountsError(message)
        of_corpus, of_layer = ({name: i for i, name in enumerate(names)} for names in (corpora, layers))
        counts = np.zeros((len(corpora), len(layers), max(experts)), dtype=np.int64)
        places = [(of_corpus[corpus], of_layer[layer], expert) for corpus, layer, expert in self._cells]
        counts[tuple(np.array(places).T)] = list(self._cells.values())
        self._check_sums(corpora, layers, counts.sum(axis=2))
        return CorpusCounts(self._name, corpora, layers, experts, counts)

    def _check_sums(self, corpora: Sequence[str], layers: Sequence[int], sums: NDArray[np.int64]) -> None:
        for corpus, of_corpus in zip(corpora, sums, strict=True):
            where = f"{self._path}: {self._name}, {corpus}"
            for layer, total in zip(layers, of_corpus, strict=True):
                if total == 0:
                    message = f"{where}: layer {layer} adds up to 0 selections: give it some, or leave it out"
                    raise CountsError(message)
                if total != of_corpus[0]:
                    message = (
                        f"{where}: layer {layer} adds up to {total:,} selections, layer {layers[0]} to "
                        f"{of_corpus[0]:,}: every layer selects k experts for the same tokens"
                    )
                    raise CountsError(message)
