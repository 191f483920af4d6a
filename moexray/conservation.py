"""What must hold of counts: parts that fit together, and in each layer tokens times k selections."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.prompt_table import PromptTable
from moexray.segments import Segment, short_names


class Layout(Protocol):
    """What counts are checked against; see `moexray.signatures.Signatures`."""

    prompts: PromptTable
    segments: tuple[Segment, ...]
    tokens: NDArray[np.int32]
    layers: NDArray[np.int16]
    top_k: NDArray[np.int16]
    experts: NDArray[np.int16]
    meta: Mapping[str, Any]


def check_shapes(s: Layout, counts: Any, mass: Any) -> None:
    """Raise SignaturesError if shapes, types or ranges do not fit together."""
    prompts, segments = len(s.prompts), len(s.segments)
    if len(counts.shape) != 4 or not np.issubdtype(counts.dtype, np.unsignedinteger):
        message = f"counts must be unsigned (prompts, segments, layers, experts), not {counts.dtype} {counts.shape}"
        raise SignaturesError(message)
    expected = {
        "counts": ((prompts, segments, *counts.shape[2:]), counts.shape),
        "tokens": ((prompts, segments), s.tokens.shape),
        "layers": ((counts.shape[2],), s.layers.shape),
        "top_k": ((counts.shape[2],), s.top_k.shape),
        "experts": ((counts.shape[2],), s.experts.shape),
    }
    for name, (wanted, found) in expected.items():
        if wanted != found:
            message = f"{name} of shape {found} do not fit {prompts} prompts: {wanted} is needed"
            raise SignaturesError(message)
    for name in ("tokens", "layers", "top_k", "experts"):
        array = getattr(s, name)
        if not np.issubdtype(array.dtype, np.integer):
            message = f"{name} must be whole numbers, not {array.dtype}"
            raise SignaturesError(message)
        most = np.iinfo(np.int32 if name == "tokens" else np.int16).max  # as they are stored
        if array.min(initial=0) < 0 or array.max(initial=0) > most:
            message = f"{name} must be from 0 to {most}, not from {array.min()} to {array.max()}"
            raise SignaturesError(message)
    if not len(s.layers) or not segments or s.experts.min() < 1 or s.experts.max() > counts.shape[3]:
        message = (
            f"signatures need a segment, a layer, and in each layer from one to {counts.shape[3]} experts, "
            f"not {s.experts.tolist()}"
        )
        raise SignaturesError(message)
    for name, several in (("layer", s.layers.tolist()), ("segment", [str(one) for one in s.segments])):
        if len(set(several)) != len(several):
            message = f"a {name} occurs twice among {several}"
            raise SignaturesError(message)
    if mass is not None and (mass.shape != counts.shape or mass.dtype != np.float32):
        message = f"mass must be float32 {counts.shape} as the counts, not {mass.dtype} {mass.shape}"
        raise SignaturesError(message)


def check_conservation(s: Layout, counts: NDArray[np.unsignedinteger[Any]]) -> None:
    """Raise SignaturesError unless each layer's counts of a segment sum to tokens times k.

    A router that may drop tokens is allowed less.
    """
    wanted = s.tokens[:, :, None].astype(np.int64) * s.top_k  # (prompts, segments, layers), at most 2^46
    found = counts.sum(axis=3, dtype=np.int64)
    wrong = found > wanted if s.meta.get("router_may_drop") else found != wanted
    if counts.dtype.itemsize == 8:  # sums of such counts may wrap round; those of smaller ones cannot
        greatest = counts.max(axis=3, initial=0)
        beyond = greatest > wanted.astype(np.uint64)
        found, wrong = np.where(beyond, greatest, found.astype(np.uint64)), wrong | beyond
    if wrong.any():
        prompt, segment, layer = np.argwhere(wrong)[0]
        message = (
            f"prompt {s.prompts.ids[prompt]!r}, {short_names(s.segments)[segment]} tokens, layer {s.layers[layer]}: "
            f"{found[prompt, segment, layer]} selections, but {s.tokens[prompt, segment]} tokens "
            f"times k = {s.top_k[layer]} make {wanted[prompt, segment, layer]}"
        )
        raise SignaturesError(message)
    for layer in np.flatnonzero(s.experts < counts.shape[3]):
        if counts[:, :, layer, s.experts[layer] :].any():
            message = f"layer {s.layers[layer]} has {s.experts[layer]} experts, but selections of one beyond them"
            raise SignaturesError(message)


def check_mass(counts: NDArray[np.unsignedinteger[Any]], mass: NDArray[np.float32]) -> None:
    """Raise SignaturesError if gate mass is not finite, negative, or where nothing was selected."""
    if not np.isfinite(mass).all() or (mass < 0).any() or mass[counts == 0].any():
        message = "mass must be finite and not negative, and zero where an expert was not selected"
        raise SignaturesError(message)
