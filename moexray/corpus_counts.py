"""Counts that someone else made: a long table of model, corpus, layer, expert and count, as CSV or Parquet."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import CountsError
from moexray.extras import import_extra

COLUMNS = ("model", "corpus", "layer", "expert", "count")
# The column that may say how many experts a layer has.
WIDTH = "experts"


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
    """Whether a file is a long table of counts, by its name and its columns."""
    if path.suffix == ".csv":
        return True
    if path.suffix != ".parquet":
        return False
    return set(COLUMNS) <= set(_parquet(path).read_schema(path).names)


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
    if path.suffix not in {".csv", ".parquet"}:
        message = f"{path} is neither a .csv nor a .parquet file"
        raise CountsError(message)
    try:
        rows = list(_csv_rows(path) if path.suffix == ".csv" else _parquet_rows(path))
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise CountsError(message) from error
    if not rows:
        message = f"{path} holds no counts"
        raise CountsError(message)
    return [
        _of_model(path, model, [row for row in rows if row[0] == model]) for model in dict.fromkeys(r[0] for r in rows)
    ]


# Model, corpus, layer, expert, count, and how many experts the layer has, where a column says so.
Row = tuple[str, str, int, int, int, int | None]


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


def _csv_rows(path: Path) -> Iterable[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                yield _row(f"{path} line {reader.line_num}", [row[name] for name in COLUMNS], row.get(WIDTH))
        except (UnicodeDecodeError, csv.Error) as error:
            message = f"{path} is not a CSV file in UTF-8: {error}"
            raise CountsError(message) from error


def _parquet_rows(path: Path) -> Iterable[Row]:
    from pyarrow import ArrowException

    try:
        names = _parquet(path).read_schema(path).names
        _check_columns(path, names)
        columns = [*COLUMNS, *([WIDTH] if WIDTH in names else [])]
        table = _parquet(path).read_table(path, columns=columns).to_pydict()
    except ArrowException as error:
        message = f"{path} is not a Parquet file: {str(error).splitlines()[0]}"
        raise CountsError(message) from error
    widths = table.get(WIDTH, [None] * len(table["model"]))
    for number, (width, *values) in enumerate(zip(widths, *(table[name] for name in COLUMNS), strict=True), start=1):
        yield _row(f"{path} row {number}", values, width)


def _parquet(path: Path) -> Any:
    return import_extra("pyarrow.parquet", extra="parquet", purpose=f"reading {path}")


def _check_columns(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        message = f"{path} has no column {missing[0]!r}: a table of counts has {', '.join(COLUMNS)}"
        raise CountsError(message)


def _row(place: str, values: Sequence[Any], width: Any) -> Row:
    model, corpus, *numbers = values
    if not model or not corpus:
        message = f"{place}: model and corpus must be named"
        raise CountsError(message)
    try:
        layer, expert, count = (int(number) for number in numbers)
        experts = None if width is None else int(width)
    except (TypeError, ValueError) as error:
        message = f"{place}: layer, expert and count must be whole numbers, not {', '.join(map(str, numbers))}"
        raise CountsError(message) from error
    if min(layer, expert, count) < 0:
        message = f"{place}: layer, expert and count must be zero or more, not {layer}, {expert}, {count}"
        raise CountsError(message)
    if experts is not None and expert >= experts:
        message = f"{place}: expert {expert} is not one of the layer's {experts} experts, 0 to {experts - 1}"
        raise CountsError(message)
    return str(model), str(corpus), layer, expert, count, experts


def _of_model(path: Path, model: str, rows: Sequence[Row]) -> CorpusCounts:
    corpora = tuple(dict.fromkeys(row[1] for row in rows))
    layers = tuple(sorted({row[2] for row in rows}))
    places = [(corpora.index(corpus), layers.index(layer), expert) for _, corpus, layer, expert, *_ in rows]
    if len(set(places)) < len(places):
        twice = next(place for place, times in Counter(places).items() if times > 1)
        message = f"{path}: {model}, {corpora[twice[0]]}, layer {layers[twice[1]]}, expert {twice[2]} occurs twice"
        raise CountsError(message)
    experts = tuple(_experts(path, model, layer, rows) for layer in layers)
    counts = np.zeros((len(corpora), len(layers), max(experts)), dtype=np.int64)
    counts[tuple(np.array(places).T)] = [row[4] for row in rows]
    sums = counts.sum(axis=2)
    for corpus, of_corpus in zip(corpora, sums, strict=True):
        for layer, total in zip(layers, of_corpus, strict=True):
            if total == 0:
                message = (
                    f"{path}: {model}, {corpus}: layer {layer} adds up to 0 selections: give it some, or leave it out"
                )
                raise CountsError(message)
            if total != of_corpus[0]:
                message = (
                    f"{path}: {model}, {corpus}: layer {layer} adds up to {total:,} selections, layer {layers[0]} to "
                    f"{of_corpus[0]:,}: every layer selects k experts for the same tokens"
                )
                raise CountsError(message)
    return CorpusCounts(model, corpora, layers, experts, counts)


def _experts(path: Path, model: str, layer: int, rows: Sequence[Row]) -> int:
    """Return how many experts a layer has: as its rows say, else as many as reach to the last one that has a row."""
    stated = {row[5] for row in rows if row[2] == layer}
    if len(stated) > 1:
        message = f"{path}: {model}, layer {layer}: rows disagree on how many experts it has"
        raise CountsError(message)
    return stated.pop() or 1 + max(row[3] for row in rows if row[2] == layer)
