"""Run every batch that is left, and put what it gave into the journal."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moexray.errors import OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.counting import tokens_of, totals_of
from moexray.recording.journal import Journal
from moexray.recording.plan import halves, plan_batches
from moexray.routing import RoutedSequence

if TYPE_CHECKING:
    from moexray.engines.transformers.engine import TransformersEngine

Progress = Callable[[int, int], None]

_NOTHING: dict[str, Any] = {"prompts": 0, "tokens": 0, "largest": 0, "implementations": []}


def begin(
    journal: Journal,
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: Generation,
    *,
    batch_tokens: int | None,
    inputs: dict[str, Any] | None = None,
) -> None:
    """Plan the batches by a budget of tokens, and keep the plan: a resumed capture runs the very same ones.

    Raises
    ------
    CaptureError
        If a prompt gives no token, or more than the model's context holds.
    """
    budget = 1 if engine.batching == "alone" else batch_tokens or engine.budget()
    batches = plan_batches(engine.lengths(prompts, generation), generation.max_new_tokens, budget)
    facts = {"inputs": inputs, "created": now(), "batch_tokens": budget, "done": _NOTHING}
    journal.begin(facts, batches)


def run_batches(
    journal: Journal,
    engine: "TransformersEngine",
    prompts: Sequence[Prompt],
    generation: Generation,
    *,
    mass: bool,
    recorders: Collection[str],
    on_progress: Progress | None,
) -> None:
    """Run the batches of the journal's plan; one that does not fit into memory is halved, with all after it.

    Raises
    ------
    CaptureError
        If not even one prompt fits into memory, or the journal cannot be written.
    ModelError
        If the model's gate weights are wanted and cannot be read.
    """
    if on_progress is not None and (done := journal.fact("done"))["prompts"]:
        on_progress(done["prompts"], done["tokens"])
    want = {"weights"} if mass or "trace" in recorders else frozenset[str]()
    while (pending := journal.pending()) is not None:
        number, batch = pending
        try:
            found = dict(engine.run([prompts[i] for i in batch], generation, want=want))
        except OutOfMemory:
            journal.replace_pending(halves(journal.all_pending()))
            continue
        routed = {batch[place]: sequence for place, sequence in found.items()}
        totals = {prompt: totals_of(sequence, engine.layout, mass=mass) for prompt, sequence in routed.items()}
        tokens = {prompt: tokens_of(sequence) for prompt, sequence in routed.items()} if recorders else {}
        largest = max(int(row["counts"].max()) for row in totals.values())
        done = _added(
            journal.fact("done"), list(routed.values()), largest, engine.observations()["experts_implementation"]
        )
        journal.finish(number, totals, tokens, done=done)
        if on_progress is not None:
            on_progress(done["prompts"], done["tokens"])


def _added(
    done: dict[str, Any], sequences: Sequence[RoutedSequence], largest: int, implementations: Sequence[str]
) -> dict[str, Any]:
    """Sum up what is done so far."""
    return {
        "prompts": done["prompts"] + len(sequences),
        "tokens": done["tokens"] + sum(len(sequence.token_ids) for sequence in sequences),
        "largest": max(done["largest"], largest),
        "implementations": sorted({*done["implementations"], *implementations}),
    }


def now() -> str:
    """Return the time, as kept in the meta of signatures."""
    return datetime.now(UTC).isoformat(timespec="seconds")
