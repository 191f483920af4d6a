"""Losses of given texts, and texts that a model writes, through an engine, in batches that memory holds."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Engine, require_images
from moexray.engines.rules import Rule
from moexray.errors import CaptureError, OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.batches import halves, plan_batches
from moexray.routing import RoutedSequence, ScoredSequence

Sequenced = TypeVar("Sequenced", RoutedSequence, ScoredSequence, NDArray[np.float64])


def score(
    engine: Engine,
    prompts: Sequence[Prompt],
    *,
    batch_tokens: int | None = None,
    want: Collection[str] = (),
    on_tokens: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, ScoredSequence]]:
    """Yield the place of each prompt and the losses of its tokens, in the order of completion; see `Engine.loss`.

    Parameters
    ----------
    engine
        An open engine; under a rule, `Engine.ruled` lasts until the last sequence is taken.
    prompts
        With the outputs of all, or of none.
    batch_tokens
        The most tokens that run together, padding included; by default what memory holds.
    want, on_tokens
        See `Engine.run`.

    Raises
    ------
    CaptureError
        If a prompt cannot be run, or not even one fits into memory.
    ModelError
        If the routing or the logits cannot be had.
    """

    def run(some: Sequence[Prompt]) -> Iterator[tuple[int, ScoredSequence]]:
        return engine.loss(some, want=want, on_tokens=on_tokens)

    budget = engine.budget_of_loss() if batch_tokens is None else batch_tokens
    yield from _in_batches(prompts, _of_given(engine, prompts, budget), run)


def diverge(
    engine: Engine, prompts: Sequence[Prompt], rules: Sequence[Rule], *, batch_tokens: int | None = None
) -> Iterator[tuple[int, NDArray[np.float64]]]:  # (rules, tokens)
    """Yield the place of each prompt and how far rules move its predictions; see `Engine.divergences`.

    Parameters
    ----------
    engine, prompts, batch_tokens
        See `score`; the logits of each token are held twice.
    rules
        Each is compared with the model as it routes by itself.

    Raises
    ------
    CaptureError
        If a prompt cannot be run, or not even one fits into memory.
    ModelError
        If the model cannot follow a rule, or the logits cannot be had.
    """

    def run(some: Sequence[Prompt]) -> Iterator[tuple[int, NDArray[np.float64]]]:
        return engine.divergences(some, rules)

    budget = max(1, engine.budget_of_loss() // 2) if batch_tokens is None else batch_tokens
    yield from _in_batches(prompts, _of_given(engine, prompts, budget), run)


def _of_given(engine: Engine, prompts: Sequence[Prompt], budget: int) -> list[list[int]]:
    """Return batches of prompts that run with their outputs."""
    require_images(engine, prompts)
    lengths = np.asarray(engine.lengths(prompts, Generation(0)))
    given = bool(prompts) and all(prompt.output is not None for prompt in prompts)
    tokens = lengths + (engine.given_lengths(prompts, lengths) if given else 0)
    return _planned(engine, engine.costs_of_prompts(tokens), 0, budget, engine.groups(tokens, Generation(0)))


def write(
    engine: Engine,
    prompts: Sequence[Prompt],
    generation: Generation,
    *,
    batch_tokens: int | None = None,
    want: Collection[str] = (),
    on_tokens: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, RoutedSequence]]:
    """Yield the place of each prompt and its routed sequence, in the order of completion; see `Engine.run`.

    Parameters
    ----------
    engine, batch_tokens, want, on_tokens
        See `score`.
    prompts
        Without outputs.
    generation
        What is generated after each.

    Raises
    ------
    CaptureError
        If a prompt cannot be run, or not even one fits into memory.
    ModelError
        If the routing cannot be recorded.
    """
    require_images(engine, prompts)
    lengths = np.asarray(engine.lengths(prompts, generation))

    def run(some: Sequence[Prompt]) -> Iterator[tuple[int, RoutedSequence]]:
        return engine.run(some, generation, want=want, on_tokens=on_tokens)

    budget = engine.budget() if batch_tokens is None else batch_tokens
    new_tokens = engine.cost_of_generated() * generation.max_new_tokens
    costs, groups = engine.costs_of_prompts(lengths), engine.groups(lengths, generation)
    yield from _in_batches(prompts, _planned(engine, costs, new_tokens, budget, groups), run)


def _planned(
    engine: Engine, costs: NDArray[np.number], new_tokens: float, budget: int, groups: NDArray[np.integer]
) -> list[list[int]]:
    if engine.batching == "own":
        return [list(range(len(costs)))]
    return plan_batches(costs, new_tokens, 1 if engine.batching == "alone" else budget, groups=groups)


def _in_batches(
    prompts: Sequence[Prompt],
    batches: list[list[int]],
    run: Callable[[Sequence[Prompt]], Iterator[tuple[int, Sequenced]]],
) -> Iterator[tuple[int, Sequenced]]:
    """Run batches; one that does not fit into memory is halved, with all after it."""
    while batches:
        try:
            found = dict(run([prompts[place] for place in batches[0]]))
        except OutOfMemory as error:
            if len(batches[0]) == 1:
                message = "not even one prompt at a time fits into memory: choose a smaller `dtype`, or shorter prompts"
                raise CaptureError(message) from error
            batches = halves(batches)
            continue
        yield from ((batches[0][place], sequence) for place, sequence in found.items())
        batches = batches[1:]
