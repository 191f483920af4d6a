"""Counts without rows: the prompts' texts through the model, and its counts beside those that were recorded."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np

from moexray.checks.alignment import Layers, align
from moexray.checks.result import CountedLayer
from moexray.engines.engine import Engine
from moexray.errors import MoexrayError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.replays.comparing import Announce, layers_of
from moexray.replays.recorded_file import chosen_prompts
from moexray.signatures import Signatures


def compare_counts(
    engine: Engine, signatures: Signatures, *, number: int, seed: int, announce: Announce
) -> tuple[tuple[CountedLayer, ...] | None, str | None]:
    """Return the counts of each layer beside the model's, or None and what is missing.

    Only the tokens of prompts are compared: which tokens were generated, counts do not tell.

    Parameters
    ----------
    engine
        The engine of the model, with the prompts' chat template.
    signatures
        Counts, with the texts of their prompts.
    number, seed
        How many prompts are compared, and the seed of their choice.
    announce
        Called with the name of each step.
    """
    chosen = signatures.take(chosen_prompts(signatures, number, seed))
    texts = chosen.prompts.texts
    if texts is None:
        return None, "there is no trace, and the file has no texts: record a trace, or import one with token ids"
    if "prompt" not in [one.phase for one in signatures.segments]:
        return None, "there is no trace, and the file does not tell prompts from generated tokens: record a trace"
    own = layers_of(engine)
    layers = (getattr(signatures, name).tolist() for name in ("layers", "experts", "top_k"))
    alignment = align(Layers.of(*layers), own)
    if alignment.problem is not None or alignment.diagnoses:
        return None, alignment.problem or alignment.diagnoses[0].text
    _set_clock(engine, signatures.meta)
    recorded = chosen.loads("prompt")
    expected = np.zeros(recorded.shape, dtype=np.int64)
    kept = []
    for place, text in enumerate(texts):
        name = chosen.prompts.ids[place]
        announce(f"prompt {place + 1} of {len(texts)}")
        prompt = Prompt(text, category="", id=name)
        try:
            length = int(engine.lengths([prompt], Generation(0))[0])
        except MoexrayError:
            length = 0
        if length != int(chosen.lengths("prompt")[place]):
            continue
        kept.append(place)
        _, sequence = next(iter(engine.run([prompt], Generation(0))))
        for layer in range(len(own.layers)):
            selected = sequence.experts[:, layer]
            expected[place, layer] = np.bincount(selected[selected >= 0], minlength=recorded.shape[2])
    if not kept:
        return None, "the texts in the file do not give the tokens that were counted: record a trace"
    # Prompt by prompt: counts that were given to each other's prompts have the same sum.
    off = np.abs(recorded[kept] - expected[kept]).sum(axis=(0, 2))
    counted = tuple(
        CountedLayer(layer, int(recorded[kept, place].sum()), int(off[place]) // 2)
        for place, layer in enumerate(own.layers)
    )
    left = len(texts) - len(kept)
    return (
        counted,
        f"{left} of {len(texts)} prompts are left out: their texts do not give their tokens" if left else None,
    )


def _set_clock(engine: Engine, meta: Mapping[str, Any]) -> None:
    """Give chat templates that ask for the date that of the recording: another day would be other tokens."""
    with suppress(KeyError, TypeError, ValueError):
        engine.begin_at(datetime.fromisoformat(meta["created"]))
