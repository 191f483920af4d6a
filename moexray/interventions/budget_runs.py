"""The runs of a budget study: texts scored and written under a rule, summed up, and timed."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Engine
from moexray.engines.rules import Normalisation, Rule, described
from moexray.errors import CaptureError, OutOfMemory
from moexray.generation import Generation
from moexray.interventions.shares import Share
from moexray.prompts import Prompt
from moexray.recording.scoring import diverge, score, write
from moexray.routing import RoutedSequence, RouterLayout, ScoredSequence
from moexray.segments import Segment
from moexray.studies.budget_measured import Measured, Routed

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What was measured under a policy, and what it wrote."""

    measured: Measured
    written: list[RoutedSequence]


@dataclass
class Runs:
    """Runs a model under rules.

    Attributes
    ----------
    engine, announce
        The engine, and what is called with the name of each step.
    normalisation, new_tokens, batch_tokens
        See `moexray.interventions.budget.BudgetOptions`.
    notes
        What to keep in mind of the results; runs add to them.
    """

    engine: Engine
    announce: Announce
    normalisation: Normalisation
    new_tokens: int
    batch_tokens: int | None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> RouterLayout:
        """The layout of the engine."""
        return self.engine.layout

    @property
    def kinds(self) -> list[str]:
        """The kinds of tokens that there may be."""
        return list(dict.fromkeys(one.kind for one in self.layout.segments))

    def kinds_of(self, segments: NDArray[np.int8], names: Sequence[Segment]) -> NDArray[np.int8]:  # (tokens,)
        """Return the place among `kinds` of the kind of each token."""
        return np.array([self.kinds.index(one.kind) for one in names], dtype=np.int8)[segments]

    def written(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, RoutedSequence]]:
        """Yield what is written after each prompt."""
        return write(self.engine, prompts, Generation(self.new_tokens), batch_tokens=self.batch_tokens)

    def scored(self, texts: Sequence[Prompt], *, want: Sequence[str] = ()) -> Iterator[tuple[int, ScoredSequence]]:
        """Yield the losses of each text."""
        return score(self.engine, texts, batch_tokens=self.batch_tokens, want=want)

    def divergences(
        self, texts: Sequence[Prompt], rules: Sequence[Rule]
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:  # (rules, tokens)
        """Yield how far each rule moves the predictions of the tokens of each text."""
        return diverge(self.engine, texts, rules, batch_tokens=self.batch_tokens)

    def measured(self, texts: Sequence[Prompt], policy: str, share: Share, rule: Rule | None, full: Run | None) -> Run:
        """Score the texts, and write others, under a rule; None for full routing."""
        with self.under(rule):
            found = self._collected(self.scored(texts), len(texts))
            written: list[RoutedSequence] = []
            if self.new_tokens:
                by_place = dict(self.written([replace(one, output=None) for one in texts]))
                written = [by_place[place] for place in range(len(texts))]
        compared: dict[str, Any] = {}
        if written:
            reference = written if full is None else full.written
            pairs = list(zip(written, reference, strict=True))
            compared = {
                "written": np.array([len(generated(other)) for _, other in pairs]),
                "same_tokens": np.array([_in_common(generated(one), generated(other)) for one, other in pairs]),
                "same_texts": np.array([one.output == other.output for one, other in pairs]),
            }
        named: dict[str, Any] = {
            "policy": policy,
            "keep": share.keep,
            "keep_kinds": share.kinds,
            "rule": {"normalisation": self.normalisation} if rule is None else described(rule),
            "normalisation": self.normalisation,
        }
        return Run(Measured(**named, **found, **compared), written)

    def under(self, rule: Rule | None) -> AbstractContextManager[None]:
        """Carry out a rule; None changes nothing."""
        return nullcontext() if rule is None else self.engine.ruled(rule)

    def timed(
        self, prompts: Sequence[Prompt], found: Sequence[Run], rules: Sequence[Rule | None], timing: "Timing"
    ) -> list[Run]:
        """Time runs under all rules in turns, so that what slows the machine down meets all of them."""
        sizes = tuple(timing.batches)
        if not sizes:
            self.notes["seconds"] = "nothing was timed"
            return list(found)
        seconds = np.full((len(rules), timing.turns, len(sizes)), np.nan)
        for place, size in enumerate(sizes):
            batch = [replace(prompts[i % len(prompts)], id=f"timed-{i}") for i in range(size)]
            reason = self._cannot_run(batch, timing.tokens)
            if reason is not None:
                self.notes[f"seconds.{size}"] = reason
                continue
            for turn in range(timing.turns):
                self.announce(f"timing batches of {size}: turn {turn + 1} of {timing.turns}")
                for which, rule in enumerate(rules):
                    with self.under(rule):
                        seconds[which, turn, place] = self._seconds(batch, timing.tokens)
        return [
            Run(replace(one.measured, batches=sizes, seconds=of_rule), one.written)
            for one, of_rule in zip(found, seconds, strict=True)
        ]

    def _cannot_run(self, batch: Sequence[Prompt], tokens: int) -> str | None:
        """Run a batch once, which also warms up, and return why it cannot run together."""
        generation = Generation(tokens, stop_at_eos=False)
        try:
            groups = self.engine.groups(self.engine.lengths(batch, generation), generation)
        except CaptureError as error:  # all else is measured by now: a context that is too short costs the times only
            return str(error)
        if len(batch) > 1 and (self.engine.batching == "alone" or len(set(groups.tolist())) > 1 or groups[0] < 0):
            return f"these {len(batch)} prompts do not share a batch of this model"
        try:
            self._seconds(batch, tokens)
        except OutOfMemory:
            return f"a batch of {len(batch)} prompts does not fit into memory"
        return None

    def _seconds(self, batch: Sequence[Prompt], tokens: int) -> float:
        generation = Generation(tokens, stop_at_eos=False)
        start = time.perf_counter()
        for _ in self.engine.run(batch, generation):
            pass
        return time.perf_counter() - start

    def _collected(self, found: Iterable[tuple[int, ScoredSequence]], prompts: int) -> dict[str, Any]:
        """Sum up scored sequences, of which one is held at a time."""
        layers, names = len(self.layout.layers), self.layout.segments
        losses, tokens = np.zeros((prompts, len(names))), np.zeros((prompts, len(names)), dtype=np.int64)
        selections = np.zeros((len(self.kinds), layers), dtype=np.int64)
        routed = np.zeros(len(self.kinds), dtype=np.int64)
        selected = np.zeros((0, layers, max(self.layout.experts)), dtype=np.int64)
        steps = np.zeros(0, dtype=np.int64)
        for place, one in found:
            segments, values = one.segments[one.predicted], one.losses[one.predicted].astype(np.float64)
            losses[place] = np.bincount(segments, values, minlength=len(names))
            tokens[place] = np.bincount(segments, minlength=len(names))
            experts = one.routed.experts
            kinds = self.kinds_of(one.routed.segments, one.routed.segment_names)
            np.add.at(selections, kinds, (experts >= 0).sum(axis=2))
            routed += np.bincount(kinds, minlength=len(routed))
            members = _members(experts[one.routed.prompt_length :], selected.shape[2])
            more = len(members) - len(steps)
            if more > 0:
                selected = np.concatenate([selected, np.zeros((more, *selected.shape[1:]), dtype=np.int64)])
                steps = np.concatenate([steps, np.zeros(more, dtype=np.int64)])
            selected[: len(members)] += members
            steps[: len(members)] += 1
        several = len(self.kinds) > 1
        of_kind = zip(self.kinds, routed.tolist(), selections, strict=True)
        return {
            "losses": losses,
            "tokens": tokens,
            "selections": selections.sum(axis=0),
            "routed": int(routed.sum()),
            "selected": selected,
            "steps": steps,
            "by_kind": {kind: Routed(number, those) for kind, number, those in of_kind} if several else None,
        }


@dataclass(frozen=True)
class Timing:
    """Sizes of timed batches, how often each is timed, and the tokens generated then."""

    batches: Sequence[int]
    turns: int
    tokens: int


def generated(sequence: RoutedSequence) -> NDArray[np.int32]:
    """Return the generated tokens but the last, which passes no router and is not recorded."""
    return sequence.token_ids[sequence.prompt_length :]


def _in_common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Return how many tokens two texts have in common before they differ."""
    shorter = min(len(one), len(other))
    differing = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differing[0]) if len(differing) else shorter


def _members(experts: NDArray[np.int16], number: int) -> NDArray[np.bool_]:  # (tokens, layers, experts)
    """Return which experts each token selects in each layer, from ids with −1 for none."""
    members = np.zeros((*experts.shape[:2], number + 1), dtype=bool)
    np.put_along_axis(members, experts.astype(np.int64), values=True, axis=2)  # −1 is the last place
    return members[:, :, :number]
