"""Signatures of several captures as one, in memory or from file to file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial as bound
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.merging.meta import check_layouts, merged_meta, meta_of_shards
from moexray.merging.order import Order, order_of
from moexray.prompt_table import PromptTable
from moexray.segments import Segment
from moexray.signatures import Signatures
from moexray.signatures_file import (
    arrays_at_end,
    arrays_of_layers,
    fill_members,
    header_bytes,
    npy_bytes,
    smallest_unsigned,
    stored_name,
)

# Numbers that are in memory at once, of all parts together, and the fewest prompts that are read of one at a time.
_NUMBERS = 2**22
_FEWEST = 16


@dataclass(frozen=True)
class Plan:
    """Signatures that can be merged, checked: the order of their prompts, and what they have in common.

    Attributes
    ----------
    parts, names
        The signatures, in the order of `order`, and what errors call each.
    order
        How their prompts follow each other.
    meta
        The meta of the whole.
    """

    parts: Sequence[Signatures]
    names: Sequence[str]
    order: Order
    meta: Mapping[str, Any]

    @property
    def layers(self) -> NDArray[np.int16]:
        """Index of each MoE layer."""
        return self.parts[0].layers

    @property
    def top_k(self) -> NDArray[np.int16]:
        """Selections a token."""
        return self.parts[0].top_k

    @property
    def experts(self) -> NDArray[np.int16]:
        """Experts of each layer."""
        return self.parts[0].experts

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of the tokens."""
        return self.parts[0].segments


def plan_of(parts: Sequence[Signatures], names: Sequence[str] | None = None) -> Plan:
    """Check that signatures can be merged, without reading their counts.

    Raises
    ------
    SignaturesError
        As `merge`.
    """
    named = [""] * len(parts) if names is None else list(names)
    order, places = order_of(parts, named)
    parts, named = [parts[place] for place in places], [named[place] for place in places]
    check_layouts(parts, named)
    metas = [part.meta for part in parts]
    if not order.is_interleaved:
        return Plan(parts, named, order, merged_meta(metas, named))
    _check_held(parts, named)
    return Plan(parts, named, order, meta_of_shards(metas, named))


def _check_held(parts: Sequence[Signatures], names: Sequence[str]) -> None:
    """Refuse shards of which one lacks gate mass or a column: the whole would lose that of all others."""
    for part, name in zip(parts, names, strict=True):
        if part.has_mass != parts[0].has_mass:
            with_mass, without = (names[0], name) if parts[0].has_mass else (name, names[0])
            message = f"{with_mass} has gate mass and {without} has none: capture all shards with the same `record`"
            raise SignaturesError(message)
        first, held = (set(one.prompts.all_columns()) - {"groups"} for one in (parts[0], part))
        if first != held:
            column = min(first ^ held)
            with_it, without = (names[0], name) if column in first else (name, names[0])
            message = f"{with_it} has the column {column!r} and {without} has none: merge shards as they were captured"
            raise SignaturesError(message)


def merge(parts: Sequence[Signatures]) -> Signatures:
    """Join captures of different prompts by the same model into one, in the order given.

    Texts, outputs, further columns and gate mass are kept where all parts have them. Shards of a capture, in whatever
    order, give the capture of all its prompts. `merge_files` does the same from files to a file, in little memory.

    Raises
    ------
    SignaturesError
        If nothing is given, a prompt id occurs twice, the parts differ in model, layout or settings, or they are shards
        and not each shard of one capture once.
    """
    plan = plan_of(parts)
    whole = joined(plan.parts, plan.meta)
    return whole.take(plan.order.rows) if plan.order.is_interleaved else whole


def joined(parts: Sequence[Signatures], meta: Mapping[str, Any] | None = None) -> Signatures:
    """Return signatures of the same layers as one, one after the other, with the meta of the first or the one given."""
    first = parts[0]
    masses = [part.mass for part in parts if part.mass is not None]
    return Signatures(
        counts=np.concatenate([part.counts for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        prompts=PromptTable.concat([part.prompts for part in parts]),
        layers=first.layers,
        top_k=first.top_k,
        experts=first.experts,
        segments=first.segments,
        meta=first.meta if meta is None else meta,
        mass=np.concatenate(masses) if len(masses) == len(parts) else None,
    )


def fill_merged(plan: Plan, partial: Path) -> None:
    """Write what `merge` returns to a file that is not there yet, some prompts at a time; counts are checked.

    Raises
    ------
    SignaturesError
        If a prompt id occurs twice, or a part is damaged.
    OSError
        If the file cannot be written.
    """
    PromptTable.concat(
        [PromptTable(part.prompts.ids, part.prompts.categories) for part in plan.parts]
    )  # ids are unique
    fill_members(partial, members_of(plan, columns_of_plan(plan)))


def members_of(plan: Plan, columns: Sequence[str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the name and the content of each member of the merged file; a content is used before the next."""
    shape = (sum(plan.order.lengths), *plan.parts[0].shape[1:])
    yield "counts", _numbers(plan, "counts", shape, _dtype(plan))
    if all(part.has_mass for part in plan.parts):
        yield "mass", _numbers(plan, "mass", shape, np.dtype(np.float32))
    tokens = np.concatenate([part.tokens for part in plan.parts])[plan.order.rows]
    further = [name for name in columns if name in plan.parts[0].prompts.columns]
    for name, array in arrays_of_layers(plan, tokens):
        yield name, [npy_bytes(array)]
    for column in columns:
        lengths: list[int] = []
        stored = stored_name(column, further)
        yield f"{stored}.utf8", _characters(plan, column, lengths)
        offsets = np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))]).astype(np.int64)
        yield f"{stored}.offsets", [npy_bytes(offsets)]
    for name, array in arrays_at_end(plan, further):
        yield name, [npy_bytes(array)]


def _numbers(plan: Plan, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[bytes]:
    yield header_bytes(shape, dtype)
    for array in plan.order.arrays([_arrays(plan, part, name) for part in plan.parts]):
        yield np.ascontiguousarray(array, dtype=dtype).tobytes()


def _arrays(plan: Plan, part: Signatures, name: str) -> Iterator[NDArray[Any]]:
    size = max(_FEWEST, _NUMBERS // (part.shape[2] * part.shape[3]))
    if plan.order.is_interleaved:
        size = max(_FEWEST, size // len(plan.parts))
    return (getattr(block, name) for block in part.blocks(size))


def _dtype(plan: Plan) -> np.dtype[Any]:
    """Return the smallest type of the largest count."""
    largest = 0
    for part in plan.parts:
        largest = max([largest, *(int(block.counts.max(initial=0)) for block in part.blocks())])
    return smallest_unsigned(np.array(largest, dtype=np.uint64)).dtype


def columns_of_plan(plan: Plan) -> list[str]:
    """Return the columns that the whole has: those that all parts have, and groups where one has some."""
    there = [part.prompts.all_columns() for part in plan.parts]
    own = [one.name for one in fields(PromptTable) if one.name != "columns"]
    names = [*own, *(name for name in there[0] if name not in own)]
    return [name for name in names if (any if name == "groups" else all)(name in one for one in there)]


def _characters(plan: Plan, column: str, lengths: list[int]) -> Iterator[bytes]:
    """Yield the content of the member of a column's characters, and note how many each string has."""
    tables = [part.prompts for part in plan.parts]
    size = sum(_size(table, column) for table in tables)
    yield header_bytes((size,), np.dtype(np.uint8))
    for string in plan.order.each([bound(_strings, table, column) for table in tables]):
        encoded = string.encode()
        lengths.append(len(encoded))
        yield encoded


def _size(table: PromptTable, column: str) -> int:
    strings = table.all_columns().get(column, ())
    offsets = getattr(strings, "offsets", None)
    return sum(len(string.encode()) for string in strings) if offsets is None else int(offsets[-1])


def _strings(table: PromptTable, column: str) -> Iterable[str]:
    """Return the strings of a column, read on where they lie in a file."""
    strings = table.all_columns().get(column)
    if strings is None:
        return ("",) * len(table)
    each: Callable[[], Iterator[str]] | None = getattr(strings, "each", None)
    return strings if each is None else each()
