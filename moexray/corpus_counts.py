"""Counts that someone else made: a long table of model, corpus, layer, expert and count, as CSV or Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.counts_rows import COLUMNS, MOST, Row, rows_of_csv, rows_of_parquet
from moexray.errors import CountsError
from moexray.files import LFS_CURE, check_ordinary, is_lfs_pointer
from moexray.formats import in_plain_spelling
from moexray.parquet_file import open_parquet

_MOST_CELLS = 2**26


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


def corpora_text(number: int) -> str:
    """Return a number of corpora in words."""
    return f"{number:,} {'corpus' if number == 1 else 'corpora'}"


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
    readers = {".csv": rows_of_csv, ".parquet": rows_of_parquet}
    if path.suffix.lower() not in readers:
        message = f"{path} is neither a .csv nor a .parquet file"
        raise CountsError(message)
    check_ordinary(path, error=CountsError)
    if is_lfs_pointer(path):
        message = f"{path} {LFS_CURE}"
        raise CountsError(message)
    models: dict[str, _Model] = {}
    spellings = _Spellings()
    try:
        for row in readers[path.suffix.lower()](path):
            spellings.check(row.place, "model", row.model)
            spellings.check(row.place, "corpus", row.corpus)
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


class _Spellings:
    """The names of models and corpora in a table, none of which may look like another."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._plain: dict[tuple[str, str], str] = {}

    def check(self, place: str, kind: str, name: str) -> None:
        """Refuse a name that only capitals, spaces or what nobody can see tell from an earlier one."""
        if (kind, name) in self._known:
            return
        self._known.add((kind, name))
        alike = self._plain.setdefault((kind, in_plain_spelling(name).casefold()), name)
        if alike != name:
            message = (
                f"{place}: the {kind} {name!a} looks like {alike!a}, but is written otherwise: give both one spelling, "
                "or names that differ"
            )
            raise CountsError(message)


class _Model:
    """The counts of one model, gathered row by row."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._cells: dict[tuple[str, int, int], int] = {}
        self._corpora: dict[str, None] = {}
        self._reach: dict[int, int] = {}
        self._stated: dict[int, int | None] = {}

    def add(self, row: Row) -> None:
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
                f"{self._path}: {self._name} has {corpora_text(len(corpora))}, {len(layers)} layers and up to "
                f"{max(experts)} experts: counts of more than {_MOST_CELLS:,} experts are not read at once"
            )
            raise CountsError(message)
        of_corpus, of_layer = ({name: i for i, name in enumerate(names)} for names in (corpora, layers))
        counts = np.zeros((len(corpora), len(layers), max(experts)), dtype=np.int64)
        places = [(of_corpus[corpus], of_layer[layer], expert) for corpus, layer, expert in self._cells]
        counts[tuple(np.array(places).T)] = list(self._cells.values())
        # Of so many selections neither a sum nor a share would be exact, and sums of 64 bits wrap round.
        greatest = counts.sum(axis=2, dtype=np.float64).sum(axis=0).max()
        if greatest > MOST:
            message = f"{self._path}: {self._name} has {greatest:.3g} selections in a layer: nothing makes so many"
            raise CountsError(message)
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
