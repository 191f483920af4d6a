"""The inputs that decide a capture's output; a resumed capture must have the same."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from moexray.engines.engine import Engine
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.model_fingerprint import same_part
from moexray.recording.job import Job
from moexray.version import __version__

# The inputs that are parameters of `moexray.capture`.
_PARAMETERS = {
    "model",
    "dtype",
    "revision",
    "template_options",
    "engine_options",
    "system",
    "adapter",
    "reproducible",
    "record",
    "shard",
    *(one.name for one in fields(Generation)),
}
# Inputs that are only names: the part of the fingerprint that says whether they stand for the same content.
_NAMES = {"model": "weights", "adapter": "adapter"}


def inputs_of(engine: Engine, job: Job) -> dict[str, Any]:
    """Return everything that decides what a capture records, as JSON values by name."""
    return {
        "moexray": __version__,
        **engine.inputs(),
        "layers": list(engine.layout.layers),
        "experts": list(engine.layout.experts),
        "k": list(engine.layout.top_k),
        "segments": list(map(str, engine.layout.segments)),
        "number of prompts": len(job.prompts),
        "prompts": job.digest,
        **({} if job.shard is None else {"shard": str(job.shard)}),
        **asdict(job.generation),
        "reproducible": job.reproducible,
        "record": sorted(job.record),
    }


def check_same(begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a capture of something else.

    Raises
    ------
    CaptureError
        If the inputs differ; it names the first difference.
    """
    for name in {**begun, **now}:
        before, after = begun.get(name), now.get(name)
        if before == after or (name in _NAMES and same_part(begun, now, _NAMES[name])):
            continue
        if name == "prompts":
            difference = "other prompts"
        elif name in ("checkpoint", "fingerprint", "weights"):
            difference = f"another checkpoint of that name{_changed(before, after)}"
        elif name == "image_settings":
            difference = f"another setting of the processor of images{_changed(before, after)}"
        else:
            shown = f"`{name}`" if name in _PARAMETERS else name
            difference = f"{shown} {before!r} and not {after!r}"
        message = (
            f"an unfinished capture stands beside this output, with {difference}: finish it with the same inputs, "
            "or delete its .journal to begin anew"
        )
        raise CaptureError(message)


def _changed(before: Any, after: Any) -> str:
    """Return the names of the parts that differ."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f" ({', '.join(names)} changed)"
