"""Joining captures of different prompts by the same model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.model_fingerprint import KEY, differing_parts, same_part
from moexray.prompt_table import PromptTable
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


def merge(parts: Sequence[Signatures]) -> Signatures:
    """Join captures of different prompts by the same model into one, in the order given.

    Texts, outputs, further columns and gate mass are kept where all parts have them.

    Raises
    ------
    SignaturesError
        If nothing is given, a prompt id occurs twice, or the parts differ in model, layout or settings.
    """
    if not parts:
        message = "nothing to merge: name at least one file of signatures"
        raise SignaturesError(message)
    first = parts[0]
    for part in parts[1:]:
        _check_layout(first, part)
    return joined(parts, _merged_meta([part.meta for part in parts]))


def joined(parts: Sequence[Signatures], meta: Mapping[str, Any] | None = None) -> Signatures:
    """Return parts of one capture as one, with the meta of the first unless another is given."""
    first = parts[0]
    return Signatures(
        counts=np.concatenate([part.counts for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        prompts=PromptTable.concat([part.prompts for part in parts]),
        layers=first.layers,
        top_k=first.top_k,
        experts=first.experts,
        segments=first.segments,
        meta=first.meta if meta is None else meta,
        mass=_joined_mass(parts),
    )


def _check_layout(first: Signatures, part: Signatures) -> None:
    for name in ("layers", "top_k", "experts", "segments"):
        ours, theirs = (np.asarray(getattr(one, name)).tolist() for one in (first, part))
        if ours != theirs:
            message = f"signatures differ in {name}: {getattr(first, name)} and {getattr(part, name)}"
            raise SignaturesError(message)
    if first.shape[3] != part.shape[3]:
        message = f"signatures differ in experts a layer: {first.shape[3]} and {part.shape[3]}"
        raise SignaturesError(message)


def _merged_meta(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    _check_fingerprints(metas)
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
            merged[key] = [one for value in values for one in (value if isinstance(value, list) else [value])]
        else:
            message = f"signatures differ in {key}: {values[0]!r} and {next(v for v in values if v != values[0])!r}"
            raise SignaturesError(message)
    return merged


def _check_fingerprints(metas: Sequence[Mapping[str, Any]]) -> None:
    """Refuse captures of models that have the same name and are not the same."""
    known = [meta for meta in metas if meta.get(KEY)]
    for meta in known[1:]:
        different = differing_parts(known[0], meta)
        if different:
            message = (
                f"signatures differ in the {' and the '.join(different)} of their model: "
                "merge captures of one model, or compare them"
            )
            raise SignaturesError(message)


def _joined_mass(parts: Sequence[Signatures]) -> NDArray[np.float32] | None:
    masses = [part.mass for part in parts if part.mass is not None]
    return np.concatenate(masses) if len(masses) == len(parts) else None
