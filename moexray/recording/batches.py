"""Batches: which prompts run together, and the run of those that are left."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Engine
from moexray.errors import CaptureError, ModelError, OutOfMemory
from moexray.generation import Generation
from moexray.recording.checking import check_sequence
from moexray.recording.counting import totals_of
from moexray.recording.job import Job
from moexray.recording.journal import Journal
from moexray.recording.progress import Reporter
from moexray.routing import RoutedSequence

# An engine with its own batching gets this many prompts at a time, and what it yields is kept after some seconds.
_TOGETHER = 4096
_SECONDS = 5.0

_NOTHING: dict[str, Any] = {"prompts": 0, "tokens": 0, "largest": 0, "observations": {}, "batch_tokens": []}


def began(journal: Journal, moment: str | None = None) -> str:
    """Return when the capture of a journal began: at `moment`, by default now, if it is new."""
    return (moment or now()) if journal.is_new else str(journal.fact("created"))


def begin(journal: Journal, engine: Engine, job: Job, *, inputs: dict[str, Any], created: str) -> None:
    """Plan the batches and keep the plan: a resumed capture runs the very same ones, unless it asks for others.

    Raises
    ------
    CaptureError
        If a prompt gives no token or exceeds the model's context, or batches are asked for that the engine decides.
    ModelError
        If the engine does not give a length for each prompt.
    """
    # Of all prompts: what cannot be run stops every shard, before it is one that is missing in the end.
    everything, places = job.all_prompts, np.array(job.places, dtype=np.int64)
    of_all = np.asarray(engine.lengths(everything, job.generation))
    if of_all.shape != (len(everything),):
        message = f"engine {engine.description['engine']} gave lengths {of_all.shape} of {len(everything)} prompts"
        raise ModelError(message)
    given = np.asarray(engine.given_lengths(everything, of_all))[places] if job.is_given else None
    lengths = of_all[places]
    # The last token that is generated passes no router.
    most_tokens = lengths + (max(0, job.generation.max_new_tokens - 1) if given is None else given)
    budget = _budget(engine, job)
    if budget is None or not job.prompts:
        own = list(range(len(job.prompts)))
        batches = [own[start : start + _TOGETHER] for start in range(0, len(own), _TOGETHER)]
    else:
        batches = _planned(engine, job, budget, lengths=lengths, most_tokens=most_tokens)
    facts = {"inputs": inputs, "created": created, "batch_tokens": budget}
    facts |= {"prompt_tokens": lengths.tolist(), "most_tokens": most_tokens.tolist()}
    journal.begin({**facts, "done": _NOTHING}, batches)


def plan_again(journal: Journal, engine: Engine, job: Job) -> None:
    """Plan the batches that are left anew if a resumed capture asks for others than it began with.

    Raises
    ------
    CaptureError
        If batches are asked for that the engine decides.
    """
    budget = None if job.batch_tokens is None else _budget(engine, job)
    if budget is None or budget == journal.fact("batch_tokens"):
        return
    left = np.array(sorted(chain.from_iterable(journal.all_pending())), dtype=np.int64)
    lengths, most_tokens = (np.array(journal.fact(name))[left] for name in ("prompt_tokens", "most_tokens"))
    batches = _planned(engine, job, budget, lengths=lengths, most_tokens=most_tokens)
    journal.replace_pending([left[batch].tolist() for batch in batches], batch_tokens=budget)


def run_batches(journal: Journal, engine: Engine, job: Job, reporter: Reporter) -> None:
    """Run the batches that are left; one that does not fit into memory is halved, with all after it.

    Raises
    ------
    CaptureError
        If not even one prompt fits into memory, or the journal cannot be written.
    ModelError
        If the routing cannot be recorded, or the engine does not yield each prompt once.
    """
    prompt_tokens, most_tokens = (np.array(journal.fact(name)) for name in ("prompt_tokens", "most_tokens"))
    done = journal.fact("done")
    left = sum(int(most_tokens[batch].sum()) for batch in journal.all_pending())
    reporter.run(done["prompts"], done["tokens"], done["tokens"] + left)
    run = _Run(journal, engine, job, reporter, prompt_tokens, most_tokens)
    while (pending := journal.pending()) is not None:
        try:
            run.batch(*pending)
        except OutOfMemory as error:
            if len(pending[1]) == 1:
                message = "not even one prompt at a time fits into memory: choose a smaller `dtype`, or shorter prompts"
                raise CaptureError(message) from error
            journal.replace_pending(halves(journal.all_pending()), halved=halvings(journal) + 1)
            reporter.lost()


def plan_batches(
    costs: NDArray[np.number], new_tokens: float, batch_tokens: int, *, groups: NDArray[np.integer] | None = None
) -> list[list[int]]:
    """Put prompts of similar length together, the longest first, each batch within the budget.

    A batch costs its rows times what its longest prompt costs with the tokens generated after it, padding included.
    The longest come first, so that what does not fit into memory shows at once.

    Parameters
    ----------
    costs
        What each prompt costs ``(prompts,)``, in tokens: a longer one costs more.
    new_tokens
        What the tokens generated after each cost, at most.
    batch_tokens
        The most that a batch may cost. A prompt that costs more by itself runs alone.
    groups
        A number for each prompt: a batch holds prompts of one number only, and prompts with −1 run alone. By default
        all may share a batch.
    """
    batches: list[list[int]] = []
    open_batch: dict[int, list[int]] = {}  # the batch of each group that has room
    for prompt in np.argsort(-np.asarray(costs), kind="stable").tolist():
        group = 0 if groups is None else int(groups[prompt])
        batch = open_batch.get(group, [])
        if not batch or group < 0 or (len(batch) + 1) * (float(costs[batch[0]]) + new_tokens) > batch_tokens:
            batch = open_batch[group] = []
            batches.append(batch)
        batch.append(prompt)
    return batches


def _planned(
    engine: Engine, job: Job, budget: int, *, lengths: NDArray[np.integer], most_tokens: NDArray[np.integer]
) -> list[list[int]]:
    """Plan batches within a budget; outputs that are given run in one pass with their prompts."""
    tokens, generation = (most_tokens, Generation(0)) if job.is_given else (lengths, job.generation)
    # A budget that the user gave is one of tokens, whatever else they take.
    costs = engine.costs_of_prompts(tokens) if job.batch_tokens is None else tokens
    new_tokens = engine.cost_of_generated() * generation.max_new_tokens
    return plan_batches(costs, new_tokens, budget, groups=engine.groups(tokens, generation))


def halvings(journal: Journal) -> int:
    """Return how often the batches that were left have been halved, because one did not fit into memory."""
    return int(journal.fact("halved") or 0)


def halves(batches: Sequence[Sequence[int]]) -> list[list[int]]:
    """Split batches that do not fit into memory; single prompts stay."""
    middles = [(len(batch) + 1) // 2 for batch in batches]
    parts = [part for batch, middle in zip(batches, middles, strict=True) for part in (batch[:middle], batch[middle:])]
    return [list(part) for part in parts if part]


def now() -> str:
    """Return the time as the meta of signatures has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _budget(engine: Engine, job: Job) -> int | None:
    """Return the tokens of a batch; None where the engine decides."""
    if engine.batching == "alone":
        return 1
    if engine.batching == "tokens":
        return 1 if job.reproducible else job.batch_tokens or engine.budget()
    asked = "reproducible" if job.reproducible else "batch_tokens"
    if job.reproducible or job.batch_tokens is not None:
        message = f"engine {engine.description['engine']} decides what runs together: leave out `{asked}`"
        raise CaptureError(message)
    return None


@dataclass(frozen=True)
class _Run:
    """The run of a job's batches."""

    journal: Journal
    engine: Engine
    job: Job
    reporter: Reporter
    prompt_tokens: NDArray[np.int64]  # (prompts,)
    most_tokens: NDArray[np.int64]  # (prompts,)

    def batch(self, number: int, prompts: Sequence[int]) -> None:
        """Run a batch and keep its sequences: at once, or as they come where the engine batches by itself."""
        own = self.engine.batching == "own"
        sequences = self.engine.run(
            [self.job.prompts[prompt] for prompt in prompts],
            self.job.generation,
            want=self.job.want(self.engine.capabilities),
            on_tokens=None if own else self.reporter.on_tokens,
        )
        done: dict[int, RoutedSequence] = {}
        left = set(range(len(prompts)))
        due = time.monotonic() + _SECONDS
        try:
            for place, sequence in sequences:
                if place not in left:
                    of = f"place {place} of {len(prompts)} prompts"
                    message = f"{self._engine_name} yielded {of}, which is none or came before"
                    raise ModelError(message)
                left.remove(place)
                self._check(prompts[place], sequence)
                done[prompts[place]] = sequence
                if own:
                    self.reporter.passed(len(sequence.token_ids))
                    if time.monotonic() >= due:
                        # Emptied first: an interruption after they were kept must not keep them again.
                        ready, done = done, {}
                        self._keep(number, ready)
                        due = time.monotonic() + _SECONDS
            if left:
                name = self.job.prompts[prompts[min(left)]].id
                message = f"{self._engine_name} ended without the routing of prompt {name!r}"
                raise ModelError(message)
        except BaseException:
            if own:  # the rest of a planned batch would run in another shape, which rounds differently
                self._keep(number, done)
            raise
        self._keep(number, done)

    @property
    def _engine_name(self) -> str:
        return f"engine {self.engine.description['engine']}"

    def _check(self, prompt: int, sequence: RoutedSequence) -> None:
        check_sequence(
            sequence,
            self.engine.layout,
            prompt=self.job.prompts[prompt].id,
            prompt_tokens=int(self.prompt_tokens[prompt]),
            want=self.job.want(self.engine.capabilities),
            may_drop=bool(self.engine.description.get("router_may_drop")),
        )

    def _keep(self, number: int, sequences: Mapping[int, RoutedSequence]) -> None:
        """Put sequences by prompt into the journal."""
        if not sequences:
            return
        layout = self.engine.layout
        totals = {prompt: totals_of(one, layout, mass=self.job.mass) for prompt, one in sequences.items()}
        tokens = sum(len(sequence.token_ids) for sequence in sequences.values())
        before, budget = self.journal.fact("done"), self.journal.fact("batch_tokens")
        done = {
            "prompts": before["prompts"] + len(sequences),
            "tokens": before["tokens"] + tokens,
            "largest": max(before["largest"], *(int(one.counts.max()) for one in totals.values())),
            "observations": _united(before["observations"], self.engine.observations()),
            "batch_tokens": [*before["batch_tokens"], *([] if budget in before["batch_tokens"] else [budget])],
        }
        self.journal.keep(number, totals, sequences if self.job.recorders else {}, done=done)
        self.reporter.kept(len(sequences), tokens, int(self.most_tokens[list(sequences)].sum()))


def _united(*observations: Any) -> dict[str, list[str]]:
    names = dict.fromkeys(name for one in observations for name in one)
    return {name: sorted({value for one in observations for value in one.get(name, ())}) for name in names}
