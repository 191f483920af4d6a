"""Recordings through the model: one pass a prompt, ties carried, and again with a cause undone."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.checks.alignment import Alignment, Layers
from moexray.checks.comparing import Compared, TieChooser, compared
from moexray.checks.recording import Recording, recording
from moexray.engines.engine import Engine
from moexray.errors import CaptureError

Announce = Callable[[str], None]


def layers_of(engine: Engine) -> Layers:
    """Return the layers of an engine's model."""
    layout = engine.layout
    return Layers.of(layout.layers, layout.experts, layout.top_k)


def aligned(
    name: str,
    token_ids: NDArray[np.integer],
    phases: NDArray[np.integer],
    experts: NDArray[np.integer],
    alignment: Alignment,
    *,
    width: int,
    known: NDArray[np.bool_] | None = None,
) -> Recording:
    """Return a prompt's recording, laid out as the model's layers are.

    Parameters
    ----------
    name, token_ids, phases
        See `Recording`.
    experts, known
        As they were recorded ``(tokens, recorded layers, k or more)``, and which rows there are.
    alignment
        Which recorded layer is which.
    width
        The k of the model's widest layer.
    """
    shape = len(token_ids), len(alignment.places)
    laid, there = np.full((*shape, width), -1, dtype=np.int64), np.zeros(shape, dtype=bool)
    for place, (source, kept) in enumerate(zip(alignment.places, alignment.kept, strict=True)):
        if source is not None:
            laid[:, place, :kept] = experts[:, source, :kept]
            there[:, place] = True if known is None else known[:, source]
    return recording(name, token_ids, phases, laid, there)


def compare_all(
    engine: Engine,
    recordings: Sequence[Recording],
    *,
    limit: float | None,
    kept: Sequence[int],
    notes: dict[str, str],
    announce: Announce,
) -> list[Compared]:
    """Return each recording beside what the model selects, from one pass a prompt.

    Where one pass would not route what was generated as it was written, the prompt's own tokens are compared alone, and
    a note says so.
    """
    found = []
    for number, one in enumerate(recordings):
        announce(f"prompt {number + 1} of {len(recordings)}: {len(one):,} tokens")
        try:
            found.append(_compared(engine, one, limit, kept))
        except CaptureError as error:
            if not 0 < one.written < len(one):
                raise
            found.append(_compared(engine, one.between(0, len(one) - one.written), limit, kept))
            notes["comparison.prompts"] = f"tokens of prompt {one.name!r} that were generated are left out: {error}"
    return found


def _compared(engine: Engine, one: Recording, limit: float | None, kept: Sequence[int]) -> Compared:
    chooser = TieChooser(one, engine.layout.top_k, engine.layout.experts, limit=limit, kept=kept)
    ran = engine.route(one.token_ids, written=one.written, name=one.name, chooser=chooser)
    return compared(one, ran, chooser)
