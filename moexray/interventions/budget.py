"""The budget study: runs a model under policies that keep fewer experts, and hands what it measured to the study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moexray.engines.engine import Engine, require
from moexray.engines.rules import Normalisation, Rule
from moexray.errors import CaptureError, NotComputable
from moexray.formats import listed
from moexray.interventions.budget_learning import NOTHING_SCORED, Lesson, learn
from moexray.interventions.budget_runs import Announce, Run, Runs, Timing, generated
from moexray.interventions.policies import POLICIES, means_of, rule_by_kind, rule_of
from moexray.interventions.shares import Share
from moexray.prompts import Prompt
from moexray.segments import short_names
from moexray.studies.budget import study_budget
from moexray.studies.budget_result import ALL, Budget
from moexray.studies.halves import Halves, halves_of

KEEP = (75.0, 50.0, 25.0)
BATCHES = (1, 8)
# Policies that are tried by default: all but that which needs the divergence of predictions.
USUAL = tuple(name for name in POLICIES if name != "threshold")


@dataclass(frozen=True)
class BudgetOptions:
    """What a budget study does.

    Attributes
    ----------
    policies, keep
        Names of `POLICIES`, and shares of the experts in percent, of all tokens.
    keep_kinds
        Shares by the kind of token, each for every kind: ``{"image": 25, "text": 100}``. Beside each, its policies keep
        one share for all tokens that comes to as many experts.
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

    policies: Sequence[str] = USUAL
    keep: Sequence[float] = KEEP
    keep_kinds: Sequence[Mapping[str, float]] = ()
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
        elif not self.policies or not (self.keep or self.keep_kinds):
            problem = "name at least one `policy`, and one share to `keep`"
        elif any(len(set(some)) < len(some) for some in (self.policies, self.keep, self._of_kinds())):
            problem = "a `policy` or a share to `keep` is named twice"
        elif min(self.batches, default=1) < 1:
            problem = f"`batches` holds {min(self.batches)}: a batch has at least one prompt"
        elif self.new_tokens < 0 or self.turns < 1 or self.timed_tokens < 1 or self.layer_prompts < 1:
            problem = "`new_tokens` is at least 0; `turns`, `timed_tokens` and `layer_prompts` are at least 1"
        if problem:
            raise CaptureError(problem)

    def _of_kinds(self) -> list[tuple[tuple[str, float], ...]]:
        return [tuple(sorted(one.items())) for one in self.keep_kinds]


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
        If the engine or the prompts cannot be used, a share is below one expert, or shares are by other kinds than
        the prompts' tokens.
    ModelError
        If a router of this model cannot follow a rule.
    NotComputable
        If all prompts are of one unit.
    """
    options = options or BudgetOptions()
    needed = ["divergence"] if "threshold" in options.policies else []
    require(engine, ["rules", "score", "weights", "outputs", *needed])
    _check_shares(engine, options)
    labels = [prompt.category for prompt in prompts]
    if ALL in labels:
        message = f"a category is called {ALL!r}, which stands for the prompts of all: call it otherwise"
        raise CaptureError(message)
    groups = [prompt.group or "" for prompt in prompts] if any(prompt.group for prompt in prompts) else None
    announce = on_step or (lambda _name: None)
    runs = Runs(engine, announce, options.normalisation, options.new_tokens, options.batch_tokens)
    return _Study(runs, options, halves_of(labels, groups, options.seed)).of(prompts)


def _check_shares(engine: Engine, options: BudgetOptions) -> None:
    kinds = list(dict.fromkeys(one.kind for one in engine.layout.segments))
    for keep in [*options.keep, *(share for one in options.keep_kinds for share in one.values())]:
        means_of(engine.layout, keep)
    for one in options.keep_kinds:
        if set(one) != set(kinds):
            names = ", ".join(sorted(one)) or "none"
            message = (
                f"shares are to be kept by kind ({names}), but these prompts have tokens of kind {listed(kinds)} only"
            )
            raise CaptureError(message)


@dataclass
class _Study:
    runs: Runs
    options: BudgetOptions
    halves: Halves

    def of(self, prompts: Sequence[Prompt]) -> Budget:
        options, runs = self.options, self.runs
        given = all(prompt.output is not None for prompt in prompts)
        texts = self._with_outputs(prompts, given=given)
        learnt, scored = ([texts[place] for place in half] for half in (self.halves.learnt, self.halves.scored))
        lesson = learn(
            runs,
            learnt,
            policies=options.policies,
            keep=options.keep,
            keep_kinds=options.keep_kinds,
            sample=options.layer_prompts,
        )
        rules = self._rules(lesson)
        found = self._measured(scored, rules)
        unscored = sorted({one.category for one in prompts} - {one.category for one in scored})
        if unscored:
            runs.notes["loss"] = f"{listed(unscored)}: of one unit, which is learnt from, so it is not scored"
        texts_of = "given" if given else "written by the model" if options.new_tokens else "none"
        return study_budget(
            found[0].measured,
            [one.measured for one in found[1:]],
            categories=[prompt.category for prompt in scored],
            segments=short_names(runs.layout.segments),
            halves=self.halves,
            experts=runs.layout.experts,
            facts={**self._facts(), "prompts": len(prompts), "learnt": len(learnt), "texts": texts_of},
        )

    def _measured(self, scored: Sequence[Prompt], rules: Sequence[tuple[str, Share, Rule]]) -> list[Run]:
        """Return what was measured under full routing, and then under each rule."""
        runs, options = self.runs, self.options
        runs.announce("full routing: scoring")
        full = runs.measured(scored, "full", Share(100.0), None, None)
        if not full.measured.tokens.any():
            raise CaptureError(NOTHING_SCORED)
        if not len(full.measured.steps):
            runs.notes["distinct"] = "no generated token passed a router, so there are no decoding steps"
        found = [full]
        for place, (policy, share, rule) in enumerate(rules):
            runs.announce(f"{place + 1} of {len(rules)}, {policy} at {share}: scoring")
            found.append(runs.measured(scored, policy, share, rule, full))
        timing = Timing(options.batches, options.turns, options.timed_tokens)
        each = [None, *(rule for _, _, rule in rules)]
        return runs.timed([replace(one, output=None) for one in scored], found, each, timing)

    def _facts(self) -> dict[str, Any]:
        engine, layout = self.runs.engine, self.runs.layout
        return {
            **{name: engine.description.get(name) for name in ("model", "dtype", "device")},
            "experts_implementation": tuple(engine.observations().get("experts_implementation", ())),
            "layers": layout.layers,
            "experts": layout.experts,
            "top_k": layout.top_k,
            "new_tokens": self.options.new_tokens,
            "seed": self.options.seed,
            "notes": dict(sorted(self.runs.notes.items())),
        }

    def _with_outputs(self, prompts: Sequence[Prompt], *, given: bool) -> list[Prompt]:
        """Return the prompts with the outputs that are scored: their own, or what the model writes; or without any."""
        if given or not self.options.new_tokens:
            return list(prompts)
        self.runs.announce("full routing: writing the texts that are scored")
        written = dict(self.runs.written(prompts))
        return [
            replace(prompt, output=tuple(generated(written[place]).tolist())) for place, prompt in enumerate(prompts)
        ]

    def _rules(self, lesson: Lesson) -> list[tuple[str, Share, Rule]]:
        """Return the policies that can be, with the share and rule of each; the others are noted."""
        found = []
        for share in lesson.shares:
            for policy in self.options.policies:
                try:
                    found.append((policy, share, self._rule(policy, share, lesson)))
                except NotComputable as reason:
                    self.runs.notes[f"{policy} at {share}"] = str(reason)
        if not found:
            message = f"no policy can be measured: {'; '.join(self.runs.notes.values())}"
            raise CaptureError(message)
        return found

    def _rule(self, policy: str, share: Share, lesson: Lesson) -> Rule:
        how: dict[str, Any] = {"normalisation": self.options.normalisation, "seed": self.options.seed}
        if share.kinds is None:
            return rule_of(policy, share.keep, self.runs.layout, lesson.learnt[None], **how)
        of_kinds = {kind: one for kind, one in lesson.learnt.items() if kind is not None}
        return rule_by_kind(policy, share.kinds, self.runs.layout, of_kinds, **how)
