"""The budget study: runs a model under policies that keep fewer experts, and hands what it measured to the study."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Engine, require
from moexray.engines.rules import FixedK, Normalisation, Rule, described, k_of_pass
from moexray.errors import CaptureError, NotComputable, OutOfMemory
from moexray.formats import listed
from moexray.generation import Generation
from moexray.interventions.policies import POLICIES, Learnt, means_of, options_of, rule_of
from moexray.prompts import Prompt
from moexray.recording.scoring import score, write
from moexray.routing import RoutedSequence, RouterLayout, ScoredSequence
from moexray.studies.budget import ALL, Budget, study_budget
from moexray.studies.budget_measured import Measured
from moexray.studies.halves import Halves, halves_of

KEEP = (75.0, 50.0, 25.0)
BATCHES = (1, 8)
SEGMENTS = ("prompt", "generated")
# Tokens whose gate weights parameters are learnt from, at most.
_MOST_TOKENS = 20_000
# Prompts that are run for them before the tokens are counted.
_TOGETHER = 256
_NOTHING_SCORED = "no token is scored in half of the prompts: one of one token comes after nothing, and has no output"

Announce = Callable[[str], None]


@dataclass(frozen=True)
class BudgetOptions:
    """What a budget study does.

    Attributes
    ----------
    policies, keep
        Names of `POLICIES`, and shares of the experts in percent.
    normalisation
        How the experts that are left are weighed: see `moexray.engines.rules.Rule`.
    new_tokens
        The most tokens to generate after each prompt; 0 scores the given text alone.
    batches, turns, timed_tokens
        Sizes of timed batches, how often each is timed, and the tokens generated then.
    layer_prompts
        Prompts on which each layer is measured, for the policy ``layers``.
    batch_tokens, seed
        The most tokens that run together, and the seed of the halves and of random drops.

    Raises
    ------
    CaptureError
        If a value cannot be used.
    """

    policies: Sequence[str] = POLICIES
    keep: Sequence[float] = KEEP
    normalisation: Normalisation = "native"
    new_tokens: int = 8
    batches: Sequence[int] = BATCHES
    turns: int = 3
    timed_tokens: int = 3
    layer_prompts: int = 12
    batch_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.policies if name not in POLICIES]
        problem = None
        if unknown:
            problem = f"`policy` {unknown[0]!r} is none of {', '.join(POLICIES)}"
        elif not self.policies or not self.keep:
            problem = "name at least one `policy`, and one share to `keep`"
        elif len(set(self.policies)) < len(self.policies) or len(set(self.keep)) < len(self.keep):
            problem = "a `policy` or a share to `keep` is named twice"
        elif min(self.batches, default=1) < 1:
            problem = f"`batches` holds {min(self.batches)}: a batch has at least one prompt"
        elif self.new_tokens < 0 or self.turns < 1 or self.timed_tokens < 1 or self.layer_prompts < 1:
            problem = "`new_tokens` is at least 0; `turns`, `timed_tokens` and `layer_prompts` are at least 1"
        if problem:
            raise CaptureError(problem)


def measure_budget(
    engine: Engine,
    prompts: Sequence[Prompt],
    options: BudgetOptions | None = None,
    *,
    on_step: Announce | None = None,
) -> Budget:
    """Measure what fewer experts cost a model, in loss, changed text and time: see docs/budget.md.

    Parameters
    ----------
    engine
        An open engine with the capabilities ``rules``, ``score`` and ``weights``.
    prompts
        What to run, with the outputs of all or of none.
    options
        What to do.
    on_step
        Called with the name of each step.

    Raises
    ------
    CaptureError
        If the engine or the prompts cannot be used, or a share is below one expert.
    ModelError
        If a router of this model cannot follow a rule.
    NotComputable
        If all prompts are of one unit.
    """
    options = options or BudgetOptions()
    require(engine, ["rules", "score", "weights", "outputs"])
    for keep in options.keep:
        means_of(engine.layout, keep)
    labels = [prompt.category for prompt in prompts]
    if ALL in labels:
        message = f"a category is called {ALL!r}, which stands for the prompts of all: call it otherwise"
        raise CaptureError(message)
    groups = [prompt.group or "" for prompt in prompts] if any(prompt.group for prompt in prompts) else None
    run = _Run(engine, options, on_step or (lambda _name: None), halves_of(labels, groups, options.seed))
    return run.study(prompts)


@dataclass
class _Run:
    engine: Engine
    options: BudgetOptions
    announce: Announce
    halves: Halves
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> RouterLayout:
        return self.engine.layout

    def study(self, prompts: Sequence[Prompt]) -> Budget:
        given = all(prompt.output is not None for prompt in prompts)
        texts = self._with_outputs(prompts, given=given)
        learnt, scored = ([texts[place] for place in half] for half in (self.halves.learnt, self.halves.scored))
        rules = self._rules(self._learnt(learnt))
        self.announce("full routing: scoring")
        full = self._measured(scored, "full", 100.0, None, None)
        if not full.measured.tokens.any():
            raise CaptureError(_NOTHING_SCORED)
        if not len(full.measured.steps):
            self.notes["distinct"] = "no generated token passed a router, so there are no decoding steps"
        policies = []
        for place, (policy, keep, rule) in enumerate(rules):
            self.announce(f"{place + 1} of {len(rules)}, {policy} at {keep:g} %: scoring")
            policies.append(self._measured(scored, policy, keep, rule, full))
        full, policies = self._timed([replace(one, output=None) for one in scored], full, policies, rules)
        unscored = sorted({one.category for one in prompts} - {one.category for one in scored})
        if unscored:
            self.notes["loss"] = f"{listed(unscored)}: of one unit, which is learnt from, so it is not scored"
        description = self.engine.description
        names = ("model", "dtype", "device")
        facts: dict[str, Any] = {
            **{name: description.get(name) for name in names},
            "experts_implementation": tuple(self.engine.observations().get("experts_implementation", ())),
            "layers": self.layout.layers,
            "experts": self.layout.experts,
            "top_k": self.layout.top_k,
            "prompts": len(prompts),
            "learnt": len(learnt),
            "texts": "given" if given else "written by the model" if self.options.new_tokens else "none",
            "new_tokens": self.options.new_tokens,
            "seed": self.options.seed,
            "notes": dict(sorted(self.notes.items())),
        }
        return study_budget(
            full.measured,
            [one.measured for one in policies],
            categories=[prompt.category for prompt in scored],
            segments=SEGMENTS,
            halves=self.halves,
            experts=self.layout.experts,
            facts=facts,
        )

    def _with_outputs(self, prompts: Sequence[Prompt], *, given: bool) -> list[Prompt]:
        """Return the prompts with the outputs that are scored: their own, or what the model writes; or without any."""
        if given or not self.options.new_tokens:
            return list(prompts)
        self.announce("full routing: writing the texts that are scored")
        written = dict(self._written(prompts))
        return [
            replace(prompt, output=tuple(_generated(written[place]).tolist())) for place, prompt in enumerate(prompts)
        ]

    def _written(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, RoutedSequence]]:
        generation = Generation(self.options.new_tokens)
        return write(self.engine, prompts, generation, batch_tokens=self.options.batch_tokens)

    def _scored(self, texts: Sequence[Prompt], *, want: Sequence[str] = ()) -> Iterator[tuple[int, ScoredSequence]]:
        return score(self.engine, texts, batch_tokens=self.options.batch_tokens, want=want)

    def _learnt(self, texts: Sequence[Prompt]) -> Learnt:
        """Return what the first half says: gate weights, and what each layer's experts are worth."""
        self.announce("full routing: gate weights of the first half")
        parts: list[NDArray[np.float16]] = []
        tokens, order = 0, _in_turn(texts)
        for start in range(0, len(order), _TOGETHER):
            some = [texts[place] for place in order[start : start + _TOGETHER]]
            found = dict(self._scored(some, want=["weights"]))
            for place in range(len(some)):
                of_prompt = found[place].routed.gate_weights
                assert of_prompt is not None
                parts.append(of_prompt)
                tokens += len(of_prompt)
            if tokens >= _MOST_TOKENS:
                self.notes["rule"] = f"parameters were learnt from the gate weights of {_MOST_TOKENS:,} tokens"
                break
        weights = np.concatenate(parts)[:_MOST_TOKENS]
        weights = weights[:, :, : max(k_of_pass(self.layout))]  # of the first pass, where there are several
        costs = self._costs(self._sample(texts)) if "layers" in self.options.policies else ()
        return Learnt(weights, costs)

    def _sample(self, texts: Sequence[Prompt]) -> list[Prompt]:
        """Return some of the prompts, as many of each category as there are, in turn."""
        order = _in_turn(texts)[: self.options.layer_prompts]
        if len(order) < len(texts):
            self.notes["layers"] = (
                f"each layer was measured alone on {len(order)} of the {len(texts)} prompts learnt from"
            )
        return [texts[place] for place in sorted(order)]

    def _costs(self, texts: Sequence[Prompt]) -> tuple[dict[int, float], ...]:
        """Return by layer and number of experts the loss in nats a token that is added where it alone keeps as many."""
        before = _mean_loss(self._scored(texts))
        costs = []
        for place, numbers in enumerate(options_of(self.layout, self.options.keep)):
            layer = self.layout.layers[place]
            self.announce(f"layer {layer}: the loss where it alone keeps fewer experts")
            of_layer = {}
            for number in numbers:
                if number == k_of_pass(self.layout)[place]:
                    of_layer[number] = 0.0
                    continue
                rule = FixedK(number, normalisation=self.options.normalisation, layers=(layer,))
                with self.engine.ruled(rule):
                    of_layer[number] = _mean_loss(self._scored(texts)) - before
            costs.append(of_layer)
        return tuple(costs)

    def _rules(self, learnt: Learnt) -> list[tuple[str, float, Rule]]:
        """Return the policies that can be, with the share and rule of each; the others are noted."""
        found = []
        for keep in sorted(self.options.keep, reverse=True):
            for policy in self.options.policies:
                try:
                    rule = rule_of(
                        policy,
                        keep,
                        self.layout,
                        learnt,
                        normalisation=self.options.normalisation,
                        seed=self.options.seed,
                    )
                except NotComputable as reason:
                    self.notes[f"{policy} at {keep:g} %"] = str(reason)
                    continue
                found.append((policy, keep, rule))
        if not found:
            message = f"no policy can be measured: {'; '.join(self.notes.values())}"
            raise CaptureError(message)
        return found

    def _measured(
        self, texts: Sequence[Prompt], policy: str, keep: float, rule: Rule | None, full: "_Policy | None"
    ) -> "_Policy":
        """Score the texts, and write others, under a rule; None for full routing."""
        with self._under(rule):
            found = _collected(self._scored(texts), len(texts), self.layout)
            written: list[RoutedSequence] = []
            if self.options.new_tokens:
                by_place = dict(self._written([replace(one, output=None) for one in texts]))
                written = [by_place[place] for place in range(len(texts))]
        compared: dict[str, Any] = {}
        if written:
            reference = written if full is None else full.written
            pairs = list(zip(written, reference, strict=True))
            compared = {
                "written": np.array([len(_generated(other)) for _, other in pairs]),
                "same_tokens": np.array([_in_common(_generated(one), _generated(other)) for one, other in pairs]),
                "same_texts": np.array([one.output == other.output for one, other in pairs]),
            }
        values = {"normalisation": self.options.normalisation} if rule is None else described(rule)
        return _Policy(Measured(policy=policy, keep=keep, rule=values, **found, **compared), written)

    def _under(self, rule: Rule | None) -> AbstractContextManager[None]:
        return nullcontext() if rule is None else self.engine.ruled(rule)

    def _timed(
        self,
        prompts: Sequence[Prompt],
        full: "_Policy",
        policies: Sequence["_Policy"],
        rules: Sequence[tuple[str, float, Rule]],
    ) -> "tuple[_Policy, list[_Policy]]":
        """Time full routing and all policies in turns, so that what slows the machine down meets all of them."""
        sizes = tuple(self.options.batches)
        if not sizes:
            self.notes["seconds"] = "nothing was timed"
            return full, list(policies)
        each: list[Rule | None] = [None, *(rule for _, _, rule in rules)]
        seconds = np.full((len(each), self.options.turns, len(sizes)), np.nan)
        for place, size in enumerate(sizes):
            batch = [replace(prompts[i % len(prompts)], id=f"timed-{i}") for i in range(size)]
            reason = self._cannot_run(batch)
            if reason is not None:
                self.notes[f"seconds.{size}"] = reason
                continue
            for turn in range(self.options.turns):
                self.announce(f"timing batches of {size}: turn {turn + 1} of {self.options.turns}")
                for which, rule in enumerate(each):
                    with self._under(rule):
                        seconds[which, turn, place] = self._seconds(batch)
        timed = [
            _Policy(replace(one.measured, batches=sizes, seconds=seconds[which]), one.written)
            for which, one in enumerate([full, *policies])
        ]
        return timed[0], timed[1:]

    def _cannot_run(self, batch: Sequence[Prompt]) -> str | None:
        """Run a batch once, which also warms up, and return why it cannot run together."""
        generation = Generation(self.options.timed_tokens, stop_at_eos=False)
        try:
            groups = self.engine.groups(self.engine.lengths(batch, generation), generation)
        except CaptureError as error:  # all else is measured by now: a context that is too short costs the times only
            return str(error)
        if len(batch) > 1 and (self.engine.batching == "alone" or len(set(groups.tolist())) > 1 or groups[0] < 0):
            return f"these {len(batch)} prompts do not share a batch of this model"
        try:
            self._seconds(batch)
        except OutOfMemory:
            return f"a batch of {len(batch)} prompts does not fit into memory"
        return None

    def _seconds(self, batch: Sequence[Prompt]) -> float:
        generation = Generation(self.options.timed_tokens, stop_at_eos=False)
        start = time.perf_counter()
        for _ in self.engine.run(batch, generation):
            pass
        return time.perf_counter() - start


@dataclass(frozen=True)
class _Policy:
    """What was measured under a policy, and what it wrote."""

    measured: Measured
    written: list[RoutedSequence]


def _generated(sequence: RoutedSequence) -> NDArray[np.int32]:
    """Return the generated tokens but the last, which passes no router and is not recorded."""
    return sequence.token_ids[sequence.prompt_length :]


def _in_turn(texts: Sequence[Prompt]) -> list[int]:
    """Return the places of prompts, one of each category in turn."""
    seen: dict[str, int] = {}
    ranks = []
    for prompt in texts:
        ranks.append(seen.get(prompt.category, 0))
        seen[prompt.category] = ranks[-1] + 1
    return sorted(range(len(ranks)), key=ranks.__getitem__)


def _in_common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Return how many tokens two texts have in common before they differ."""
    shorter = min(len(one), len(other))
    differing = np.flatnonzero(one[:shorter] != other[:shorter])
    return int(differing[0]) if len(differing) else shorter


def _mean_loss(found: Iterable[tuple[int, ScoredSequence]]) -> float:
    """Return the mean loss of all scored tokens."""
    losses = np.concatenate([one.losses[1:] for _, one in found])
    if not len(losses):
        raise CaptureError(_NOTHING_SCORED)
    return float(losses.astype(np.float64).mean())


def _collected(found: Iterable[tuple[int, ScoredSequence]], prompts: int, layout: RouterLayout) -> dict[str, Any]:
    """Sum up scored sequences, of which one is held at a time."""
    losses, tokens = np.zeros((prompts, len(SEGMENTS))), np.zeros((prompts, len(SEGMENTS)), dtype=np.int64)
    selections = np.zeros(len(layout.layers), dtype=np.int64)
    selected = np.zeros((0, len(layout.layers), max(layout.experts)), dtype=np.int64)
    steps = np.zeros(0, dtype=np.int64)
    routed = 0
    for place, one in found:
        segments, values = one.segments[1:], one.losses[1:].astype(np.float64)
        losses[place] = np.bincount(segments, values, minlength=len(SEGMENTS))
        tokens[place] = np.bincount(segments, minlength=len(SEGMENTS))
        experts = one.routed.experts
        selections += (experts >= 0).sum(axis=(0, 2))
        routed += len(experts)
        generated = _members(experts[one.routed.prompt_length :], selected.shape[2])
        more = len(generated) - len(steps)
        if more > 0:
            selected = np.concatenate([selected, np.zeros((more, *selected.shape[1:]), dtype=np.int64)])
            steps = np.concatenate([steps, np.zeros(more, dtype=np.int64)])
        selected[: len(generated)] += generated
        steps[: len(generated)] += 1
    return {
        "losses": losses,
        "tokens": tokens,
        "selections": selections,
        "routed": routed,
        "selected": selected,
        "steps": steps,
    }


def _members(experts: NDArray[np.int16], number: int) -> NDArray[np.bool_]:  # (tokens, layers, experts)
    """Return which experts each token selects in each layer, from ids with −1 for none."""
    members = np.zeros((*experts.shape[:2], number + 1), dtype=bool)
    np.put_along_axis(members, experts.astype(np.int64), values=True, axis=2)  # −1 is the last place
    return members[:, :, :number]
