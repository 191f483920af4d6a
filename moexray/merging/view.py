"""Several files of signatures as one that is not written: they are read, some prompts at a time, when asked for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.files import whole_file
from moexray.merging.open_files import files_of_shards
from moexray.merging.order import Order
from moexray.merging.signatures import Plan, columns_of_plan, fill_merged, members_of, plan_of
from moexray.prompt_table import PromptTable, Strings, rows_of
from moexray.signatures import Signatures
from moexray.signatures_file import fingerprint_of_members
from moexray.stored_members import StringsAt

# Columns of a prompt table that are in memory anyway; all others may lie in the files.
_SHORT = ("ids", "categories", "groups")


def view_of(parts: Sequence[Signatures], names: Sequence[str] | None = None) -> Signatures:
    """Return signatures of several captures as one, as `merge` does, without reading their counts.

    It holds what `merge_files` would write, and has the same fingerprint. Only ids, categories and groups are in
    memory.

    Parameters
    ----------
    parts
        Signatures of different prompts by the same model, or the shards of a capture in whatever order.
    names
        What errors call each; by default their files.

    Raises
    ------
    SignaturesError
        As `merge`.
    """
    if len(parts) == 1:
        return parts[0]
    called = [str(part.file or "") for part in parts] if names is None else list(names)
    plan = plan_of(parts, called)
    _check_ids(plan)
    return SignaturesView(plan)


def files_open_for(signatures: Signatures) -> AbstractContextManager[None]:
    """Let this process open as many files at once as reading these signatures needs, where they are a view of shards.

    Raises
    ------
    SignaturesError
        If the system does not allow so many.
    """
    if isinstance(signatures, SignaturesView) and signatures.plan.order.is_interleaved:
        return files_of_shards(len(signatures.plan.parts))
    return nullcontext()


class SignaturesView(Signatures):
    """Signatures of the parts of a plan, which stay where they are; made by `view_of`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        parts, order = plan.parts, plan.order
        super().__init__(
            counts=_Rows(plan, "counts"),
            tokens=np.concatenate([part.tokens for part in parts])[order.rows],
            prompts=_table(plan),
            layers=plan.layers,
            top_k=plan.top_k,
            experts=plan.experts,
            segments=plan.segments,
            meta=plan.meta,
            mass=_Rows(plan, "mass") if all(part.has_mass for part in parts) else None,
        )

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the file that `save` writes."""
        return fingerprint_of_members(members_of(self.plan, columns_of_plan(self.plan)))

    def save(self, path: str | Path) -> None:
        """Write the merged file, some prompts at a time."""
        with whole_file(Path(path)) as partial_file:
            fill_merged(self.plan, partial_file)


@dataclass(frozen=True)
class _Rows:
    """Counts or gate mass of all parts in the order of their prompts; see `moexray.counts.Rows`."""

    plan: Plan
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all parts."""
        return (sum(self.plan.order.lengths), *self.plan.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds the numbers of every part."""
        if self.name == "mass":
            return np.dtype(np.float32)
        return np.result_type(*(part.dtype for part in self.plan.parts))

    def read(self) -> NDArray[Any]:
        """Read all rows."""
        found = np.empty(self.shape, self.dtype)
        start = 0
        for block in self._blocks(None):
            found[start : start + len(block)] = block
            start += len(block)
        return found

    def blocks(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield its rows in order, so many at a time of whatever part: sums over blocks are those of one file."""
        held: list[NDArray[Any]] = []
        there = 0
        for block in self._blocks(size):
            held.append(block)
            there += len(block)
            if there >= size:
                whole = np.concatenate(held)
                ends = range(size, there + 1, size)
                yield from (whole[end - size : end] for end in ends)
                held, there = [whole[ends[-1] :]], there - ends[-1]
        if there:
            yield np.concatenate(held)

    def _blocks(self, size: int | None) -> Iterator[NDArray[Any]]:
        order, parts = self.plan.order, self.plan.parts
        each = size if size is None or not order.is_interleaved else max(1, -(-size // len(parts)))
        streams = [(getattr(block, self.name) for block in part.blocks(each)) for part in parts]
        return (block.astype(self.dtype, copy=False) for block in order.arrays(streams))


@dataclass(frozen=True, eq=False)
class _Column(StringsAt):
    """A column of the prompt tables of all parts in the order of their prompts."""

    parts: tuple[Strings, ...]
    order: Order

    def __len__(self) -> int:
        return sum(self.order.lengths)

    def __iter__(self) -> Iterator[str]:
        return self.order.each([partial(_each, part) for part in self.parts])

    def at(self, places: Sequence[int]) -> tuple[str, ...]:
        """Return the strings at these places; every file is read once at most."""
        rows = self.order.rows[np.asarray(places, dtype=np.int64)]
        starts = np.cumsum([0, *self.order.lengths])
        found = np.empty(len(rows), dtype=object)
        for part, (start, end) in zip(self.parts, pairwise(starts), strict=True):
            mine = (rows >= start) & (rows < end)
            if mine.any():
                found[mine] = rows_of(part, (rows[mine] - start).tolist())
        return tuple(found.tolist())


def _table(plan: Plan) -> PromptTable:
    """Return the prompt table of all parts, of which texts, outputs and further columns stay where they are."""
    tables = [part.prompts for part in plan.parts]
    short = PromptTable.concat([table.bare() for table in tables]).take(plan.order.rows)
    long = {
        name: _Column(tuple(table.all_columns()[name] for table in tables), plan.order)
        for name in columns_of_plan(plan)
        if name not in _SHORT
    }
    texts = {name: long[name] for name in ("texts", "outputs") if name in long}
    columns = {name: column for name, column in long.items() if name not in texts}
    return PromptTable(short.ids, short.categories, short.groups, **texts, columns=columns)


def _check_ids(plan: Plan) -> None:
    """Refuse a prompt that two parts hold, by the names of both."""
    of: dict[str, int] = {}
    for place, part in enumerate(plan.parts):
        for name in part.prompts.ids:
            first = of.setdefault(name, place)
            if first != place:
                both = [plan.names[one] or f"part {one + 1}" for one in (first, place)]
                message = f"{both[0]} and {both[1]} both hold prompt {name!r}: ids must be unique"
                raise SignaturesError(message)


def _each(strings: Strings) -> Iterable[str]:
    """Return the strings of a column, read on where they lie in a file."""
    each: Callable[[], Iterator[str]] | None = getattr(strings, "each", None)
    return strings if each is None else each()
