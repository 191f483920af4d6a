"""What must hold of signatures whenever they are made, merged or read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from moexray.errors import SignaturesError

if TYPE_CHECKING:
    from moexray.signatures import Signatures

_PHASES = ("prompt", "generated")


def check(signatures: "Signatures") -> None:
    """Raise SignaturesError if the parts do not fit together, or a layer's counts are not tokens times k."""
    _check_shapes(signatures)
    check_ids(signatures.prompt_ids)
    _check_layers(signatures)
    _check_conservation(signatures)
    _check_mass(signatures)


def check_ids(prompt_ids: Sequence[str]) -> None:
    """Raise SignaturesError if two prompts have one id."""
    seen: set[str] = set()
    for name in prompt_ids:
        if name in seen:
            message = f"two prompts have the id {name!r}: ids must be unique"
            raise SignaturesError(message)
        seen.add(name)


def _check_shapes(s: "Signatures") -> None:
    prompts = len(s.prompt_ids)
    if s.counts.ndim != 4 or not np.issubdtype(s.counts.dtype, np.unsignedinteger):
        message = f"counts must be unsigned (prompts, 2, layers, experts), not {s.counts.dtype} {s.counts.shape}"
        raise SignaturesError(message)
    expected = {
        "counts": ((prompts, 2, len(s.layers), s.counts.shape[3]), s.counts.shape),
        "tokens": ((prompts, 2), s.tokens.shape),
        "layers": ((s.counts.shape[2],), s.layers.shape),
        "top_k": ((s.counts.shape[2],), s.top_k.shape),
        "categories": ((prompts,), (len(s.categories),)),
        "texts": ((prompts,), (prompts if s.texts is None else len(s.texts),)),
        "outputs": ((prompts,), (prompts if s.outputs is None else len(s.outputs),)),
        "groups": ((prompts,), (prompts if s.groups is None else len(s.groups),)),
    }
    for name, (wanted, found) in expected.items():
        if wanted != found:
            message = f"{name} of shape {found} do not fit {prompts} prompts: {wanted} is needed"
            raise SignaturesError(message)
    for name in ("tokens", "layers", "top_k"):
        array = getattr(s, name)
        if not np.issubdtype(array.dtype, np.integer) or (array.size and array.min() < 0):
            message = f"{name} must be whole numbers from zero up, not {array.dtype} with {array.min(initial=0)}"
            raise SignaturesError(message)
    if s.counts.shape[2] == 0 or s.counts.shape[3] == 0:
        message = "signatures need at least one layer and one expert"
        raise SignaturesError(message)


def _check_layers(s: "Signatures") -> None:
    if len(set(s.layers.tolist())) != len(s.layers):
        message = f"a layer occurs twice among {s.layers.tolist()}"
        raise SignaturesError(message)


def _check_conservation(s: "Signatures") -> None:
    """Each layer's counts of a phase sum to tokens times k; a router that may drop is allowed less."""
    found = s.counts.sum(axis=3, dtype=np.int64)  # (prompts, 2, layers)
    wanted = s.tokens[:, :, None].astype(np.int64) * s.top_k
    wrong = found > wanted if s.meta.get("router_may_drop") else found != wanted
    if wrong.any():
        prompt, phase, layer = np.argwhere(wrong)[0]
        message = (
            f"prompt {s.prompt_ids[prompt]!r}, {_PHASES[phase]} phase, layer {s.layers[layer]}: "
            f"{found[prompt, phase, layer]} selections, but {s.tokens[prompt, phase]} tokens "
            f"times k = {s.top_k[layer]} make {wanted[prompt, phase, layer]}"
        )
        raise SignaturesError(message)


def _check_mass(s: "Signatures") -> None:
    if s.mass is None:
        return
    if s.mass.shape != s.counts.shape or s.mass.dtype != np.float32:
        message = f"mass must be float32 {s.counts.shape} as the counts, not {s.mass.dtype} {s.mass.shape}"
        raise SignaturesError(message)
    if not np.isfinite(s.mass).all() or (s.mass < 0).any() or s.mass[s.counts == 0].any():
        message = "mass must be finite and not negative, and zero where an expert was not selected"
        raise SignaturesError(message)
