"""check_engine(): what an engine says of some prompts now, beside the model's own routing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moexray.checks.alignment import Layers
from moexray.checks.integrity import Inspector
from moexray.checks.recording import PHASES
from moexray.checks.result import RoutingCheck
from moexray.checks.rows import rows_of_sequence
from moexray.checks.ties import limit_of
from moexray.engines.engine import Engine, open_engine, takes
from moexray.errors import AnalysisError, CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.scoring import write
from moexray.replays.check import PROMPTS, REFERENCE, against
from moexray.replays.comparing import Announce, layers_of
from moexray.replays.recorded_file import Kept, by_turns
from moexray.routing import RoutedSequence


def check_engine(
    name: str,
    prompts: Sequence[Prompt],
    *,
    model: str | Path,
    number: int = PROMPTS,
    seed: int = 0,
    max_new_tokens: int = 16,
    options: Mapping[str, Any] | None = None,
    on_step: Announce | None = None,
) -> RoutingCheck:
    """Run a few prompts through an engine, and compare what it says with the routing of transformers.

    Parameters
    ----------
    name, model
        The engine, and the model as it calls it.
    prompts
        What to choose from.
    number, seed
        How many prompts are run, drawn by turns from each category, and the seed of their choice.
    max_new_tokens
        The most tokens to generate after each.
    options
        What both engines are opened with: each gets those that it takes. None stands for one that was not given.
    on_step
        Called with the name of each step.

    Raises
    ------
    MoexrayError
        If an engine or the model cannot be opened, or a prompt cannot be run or has an image.
    """
    announce = on_step or (lambda _name: None)
    some = _chosen(prompts, number, seed)
    _check_no_images(some)
    announce(f"{name}: opening {model}")
    inspector, kept = None, []
    given = {one: value for one, value in (options or {}).items() if value is not None}
    of_engine, of_reference = ({one: given[one] for one in given if takes(of, one)} for of in (name, REFERENCE))
    idle = next((one for one in given if one not in of_engine and one not in of_reference), None)
    if idle is not None:
        message = f"engine {name} takes no `{idle}`: leave it out"
        raise CaptureError(message)
    with open_engine(name, str(model), **of_engine) as engine:
        layers, meta = layers_of(engine), dict(engine.description)
        may_drop = bool(meta.get("router_may_drop"))
        inspector = Inspector(layers.layers, layers.experts, layers.top_k, may_drop=may_drop)
        announce(f"{name}: running {len(some)} prompts")
        try:
            kept = _recorded(engine, some, Generation(max_new_tokens), layers, inspector)
        except ModelError as error:
            inspector.refuse(f"engine {name} refuses its own recording: {error}")
    if limit_of(meta.get("dtype")) is not None:
        of_reference.setdefault("dtype", meta["dtype"])
    announce(f"loading {model}")
    with open_engine(REFERENCE, str(model), **of_reference) as own:
        return against(
            own,
            kept,
            layers,
            source=f"engine {name}",
            meta=meta,
            integrity=inspector.result(),
            notes=_notes(layers),
            fingerprint=None,
            announce=announce,
        )


def _chosen(prompts: Sequence[Prompt], number: int, seed: int) -> list[Prompt]:
    if number < 1 or not prompts:
        message = f"`number` is {number}: the least is 1" if prompts else "there is no prompt to run"
        raise AnalysisError(message)
    return [prompts[place] for place in by_turns([one.category for one in prompts], number, seed)]


def _check_no_images(prompts: Sequence[Prompt]) -> None:
    """Raise CaptureError if a prompt has an image: the reference routes tokens, which do not say what it shows."""
    first = next((prompt for prompt in prompts if prompt.images), None)
    if first is not None:
        message = (
            f"prompt {first.id!r} has an image, and tokens are routed again without their images: leave images out "
            "with an empty `image_column`, or check them as they are recorded, with `moexray capture --verify`"
        )
        raise CaptureError(message)


def _recorded(
    engine: Engine, prompts: Sequence[Prompt], generation: Generation, layers: Layers, inspector: Inspector
) -> list[Kept]:
    """Run prompts, look at what comes back, and return it in the order of the prompts."""
    found: dict[int, Kept] = {}
    for place, sequence in write(engine, prompts, generation):
        experts = sequence.experts
        width = len(layers.layers), max(layers.top_k)
        if experts.shape[1:] != width:
            inspector.refuse(f"prompt {prompts[place].id!r} has rows of shape {experts.shape[1:]}, not {width}")
            continue
        phases, passes = _phases(sequence), max(engine.layout.passes)
        if passes == 1:  # ids of two passes may be the same; an engine's own check looks at each
            inspector.add(rows_of_sequence(prompts[place].id, sequence.token_ids, phases, experts, layers.top_k))
        found[place] = Kept(
            prompts[place].id,
            sequence.token_ids.astype(np.int64),
            phases,
            experts.astype(np.int64),
            np.ones(experts.shape[:2], dtype=bool),
        )
    return [found[place] for place in sorted(found)]


def _phases(sequence: RoutedSequence) -> Any:
    of = np.array([PHASES.index(one.phase) for one in sequence.segment_names], dtype=np.int64)
    return of[sequence.segments]


def _notes(layers: Layers) -> dict[str, str]:
    if 1 not in layers.top_k:
        return {}
    return {
        "integrity.faults": "with k = 1 a row that was never written looks like one that was sent to expert 0: only "
        "the model tells"
    }
