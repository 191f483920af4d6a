"""The meta of merged signatures, and what captures must have in common to be merged."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from moexray.errors import SignaturesError
from moexray.model_fingerprint import KEY, differing_parts, same_part
from moexray.shards import KEY as SHARD
from moexray.shards import part_of
from moexray.signatures import Signatures

# What two captures may differ in and still be captures of the same thing.
_CIRCUMSTANCES = frozenset(
    {
        "created",
        "device",
        "moexray",
        "engine_version",
        "batch_size",
        "batch_tokens",
        "batches_halved",
        "verified",
        "imported",
    }
)
_DROPS = "router_may_drop"
# Names, each with the part of the fingerprint that says whether two of them stand for the same.
_NAMES = {"model": "weights", "adapter": "adapter"}
_CREATED, _BATCHES, _HALVED, _VERIFIED = "created", "batch_tokens", "batches_halved", "verified"


def check_layouts(parts: Sequence[Signatures], names: Sequence[str]) -> None:
    """Raise SignaturesError if signatures are of other layers, experts, k or segments than the first."""
    first = parts[0]
    for part, name in zip(parts[1:], names[1:], strict=True):
        both = _both(names[0], name)
        for attribute in ("layers", "top_k", "experts", "segments"):
            ours, theirs = (np.asarray(getattr(one, attribute)).tolist() for one in (first, part))
            if ours != theirs:
                shown = f"{getattr(first, attribute)} and {getattr(part, attribute)}"
                message = f"signatures differ in {attribute}: {shown}{both}"
                raise SignaturesError(message)
        if first.shape[3] != part.shape[3]:
            message = f"signatures differ in experts a layer: {first.shape[3]} and {part.shape[3]}{both}"
            raise SignaturesError(message)


def merged_meta(metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return what captures of the same thing say in common; circumstances that differ become lists.

    Raises
    ------
    SignaturesError
        If they are of another model, or were made with other settings.
    """
    _check_fingerprints(metas, names)
    recent = [meta for meta in metas if meta.get(KEY)] or metas
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for meta in metas for key in meta):
        values = [meta.get(key) for meta in metas]
        if not all(key in meta for meta in metas if meta not in recent) and key != _DROPS:
            continue  # files of earlier versions do not say it
        if key in _NAMES and all(same_part(metas[0], meta, _NAMES[key]) for meta in metas):
            values = values[:1]
        if all(value == values[0] for value in values):
            merged[key] = values[0]
        elif key in _CIRCUMSTANCES:
            merged[key] = _flat(values)
        else:
            place = next(place for place, value in enumerate(values) if value != values[0])
            both = _both(names[0], names[place])
            message = f"signatures differ in {key}: {values[0]!r} and {values[place]!r}{both}"
            raise SignaturesError(message)
    return merged


def meta_of_shards(metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the meta of the capture whose shards these are, all of them, in order.

    It is what the capture of all prompts at once would say: it began when its first shard began, its batches are of
    all sizes that shards planned, and were halved as often as those of all shards. Of other circumstances that differ,
    each value is there once.

    Raises
    ------
    SignaturesError
        As `merged_meta`.
    """
    observed = dict.fromkeys(chain.from_iterable(part.observed for part in map(part_of, metas) if part is not None))
    special = {SHARD, _CREATED, _BATCHES, _HALVED, _VERIFIED, *observed}
    merged = merged_meta([{key: meta[key] for key in meta if key not in special} for meta in metas], names)
    for key in _CIRCUMSTANCES - special:
        if key in merged and len({repr(meta.get(key)) for meta in metas}) > 1:
            merged[key] = _distinct(merged[key])
    for key in observed:
        if any(key in meta for meta in metas):
            merged[key] = sorted(set(_texts(key, metas, names)))
    merged[_CREATED] = min(_times(metas, names))
    batches = _distinct(_flat([meta.get(_BATCHES) for meta in metas]))
    merged[_BATCHES] = batches[0] if len(batches) == 1 else batches
    halved = sum(meta.get(_HALVED, 0) for meta in metas if isinstance(meta.get(_HALVED, 0), int))
    verified = [meta.get(_VERIFIED) for meta in metas if meta.get(_BATCHES) != []]  # one without prompts checks nothing
    if any(one is not None for one in verified):
        merged[_VERIFIED] = verified[0] if all(one == verified[0] for one in verified) else verified
    return merged | ({_HALVED: halved} if halved else {})


def _flat(values: Sequence[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Return each value once, in the order in which they come; JSON objects cannot be hashed."""
    return list({repr(value): value for value in values}.values())


def _texts(key: str, metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    for meta, name in zip(metas, names, strict=True):
        found = meta.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            message = f"{name}: meta says that {key} is {found!r:.60}, not a list of texts"
            raise SignaturesError(message)
    return [one for meta in metas for one in meta.get(key, [])]


def _times(metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    for meta, name in zip(metas, names, strict=True):
        if not isinstance(meta.get(_CREATED), str):
            message = f"{name}: meta says that it was created at {meta.get(_CREATED)!r:.60}, which is no time"
            raise SignaturesError(message)
    return [meta[_CREATED] for meta in metas]


def _check_fingerprints(metas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Refuse captures of models that have the same name and are not the same."""
    known = [(meta, name) for meta, name in zip(metas, names, strict=True) if meta.get(KEY)]
    for meta, name in known[1:]:
        different = differing_parts(known[0][0], meta)
        if different:
            message = (
                f"signatures differ in the {' and the '.join(different)} of their model{_both(known[0][1], name)}: "
                "merge captures of one model, or compare them"
            )
            raise SignaturesError(message)


def _both(one: str, other: str) -> str:
    return f" ({one} and {other})" if one or other else ""
