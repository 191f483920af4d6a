"""What a capture is of: two with the same inputs compute the same, so one may go on with what the other has done."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.version import __version__

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine


def inputs_of(
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: Generation,
    batch_tokens: int | None,
    *,
    weights: bool,
    recorders: Sequence[str],
) -> dict[str, Any]:
    """Everything that decides what a capture records, as JSON values by name."""
    return {
        "moexray": __version__,
        **engine.inputs(),
        "number of prompts": len(prompts),
        "prompts": _fingerprint(prompts),
        **asdict(generation),
        "batch_tokens": batch_tokens,
        "weights": weights,
        "recorders": sorted(recorders),
    }


def check_same(begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a capture of something else.

    Raises
    ------
    CaptureError
        Which names what differs.
    """
    for name in {**begun, **now}:
        before, after = begun.get(name), now.get(name)
        if before == after:
            continue
        if name in ("prompts", "checkpoint"):
            difference = f"other {name}" if name == "prompts" else "another checkpoint of that name"
        else:
            difference = f"{name} {before!r} and not {after!r}"
        message = (
            f"an unfinished capture stands beside this output, with {difference}: finish it with the same inputs, "
            "or delete its .journal to begin anew"
        )
        raise CaptureError(message)


def _fingerprint(prompts: Sequence[Prompt]) -> str:
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(json.dumps(asdict(prompt)).encode())
    return digest.hexdigest()
