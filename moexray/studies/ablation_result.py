"""The result of an ablation: what text costs a model without some of its experts, beside experts drawn at random."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from moexray.formats import count
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.results import Result

Kind = Literal["ranking", "chosen", "forced"]
# The key of all prompts among those of categories.
ALL = "all"


@dataclass(frozen=True)
class Loss:
    """What is added to the loss of the whole model, on the same tokens, in nats a token, and the loss itself.

    Attributes
    ----------
    mean, ci
        What is added, with the 95 % interval of the difference over units.
    loss, loss_ci
        The loss, with its interval.
    """

    mean: float
    ci: Interval | None
    loss: float
    loss_ci: Interval | None


@dataclass(frozen=True)
class AtRandom:
    """Added losses of as many experts drawn at random, and where a policy stands among them.

    Attributes
    ----------
    mean, least, most
        Added loss over the draws.
    cheaper
        Draws that add less than the policy does.
    excess, excess_ci
        The policy's added loss minus the mean of the draws, with its 95 % interval over units.
    """

    mean: float
    least: float
    most: float
    cheaper: int
    excess: float
    excess_ci: Interval | None


@dataclass(frozen=True)
class AblatedPolicy:
    """One choice of experts, and what it costs.

    Attributes
    ----------
    policy, kind
        Its name; ``ranking`` of experts that were left out, ``chosen`` ones that were left out, or ``forced`` ones.
    normalisation
        How the weights of the selections that are left are scaled.
    experts
        Those that were left out, or that all tokens are sent to, by layer.
    mean_k
        Experts that a token is sent to in a layer, on average.
    loss, random
        What is added, and what draws add, by category; of all prompts under ``all``.
    agreement, agreement_ci
        Share of the whole model's greedy tokens before the first that differs; None where nothing was written.
    text
        What it writes after the example prompt.
    kinds
        `mean_k` by the kind of token, where prompts hold images.
    """

    policy: str
    kind: Kind
    normalisation: str
    experts: Mapping[str, tuple[int, ...]]
    mean_k: float
    loss: Mapping[str, Loss]
    random: Mapping[str, AtRandom]
    agreement: float | None = optional()
    agreement_ci: Interval | None = optional(beside="agreement")
    text: str | None = optional()
    kinds: Mapping[str, float | None] | None = optional()

    @property
    def overall(self) -> Loss:
        """What is added over all prompts."""
        return self.loss[ALL]

    @property
    def random_overall(self) -> AtRandom:
        """What draws add over all prompts."""
        return self.random[ALL]


@dataclass(frozen=True)
class Full:
    """The whole model: its loss by category, of all prompts under ``all``, and what it writes after the example."""

    loss: Mapping[str, float]
    mean_k: float
    text: str | None = optional()

    @property
    def overall(self) -> float:
        """The loss of all prompts."""
        return self.loss[ALL]


@dataclass(frozen=True)
class ActiveLoss:
    """What is added where tokens go without the greatest `without` of their selections in one layer.

    Attributes
    ----------
    random
        What is added without as many of each token's selections drawn at random.
    excess, excess_ci
        `added` minus `random`, with its 95 % interval over units.
    """

    layer: int
    without: int
    added: float
    added_ci: Interval | None
    random: float
    excess: float
    excess_ci: Interval | None


@dataclass(frozen=True)
class Contrast:
    """By how much more one choice of experts adds than another, with the 95 % interval over units."""

    difference: float
    ci: Interval | None


@dataclass(frozen=True)
class Example:
    """The prompt whose continuations are shown."""

    prompt: str
    text: str


@dataclass(frozen=True, repr=False, kw_only=True)
class Ablation(Result):
    """What text costs without some experts.

    Attributes
    ----------
    model, layers, experts, top_k
        The model: index of each MoE layer, its experts, and how many it selects for a token.
    prompts, learnt_prompts, tokens, categories
        Prompts that were scored, prompts that rankings were learnt on, scored tokens, and the categories.
    scored
        What was scored: ``outputs`` that were given, or ``prompts`` themselves.
    meaning
        ``replaced``: routers choose among the other experts; ``skipped``: nothing takes their place.
    share
        Share of a layer's experts that rankings leave out; None without rankings.
    draws, seed
        Draws of as many experts at random for each size, and the seed of all that is drawn.
    new_tokens
        Greedy tokens that were compared.
    full, policies
        The whole model, and each choice.
    usage
        What the most used experts add beyond the least used: whether usage predicts loss. None without both rankings.
    active
        The loss without the greatest selections, layer by layer.
    kind
        The kind of tokens whose routing is changed, and whose use of experts ranks them; None for all.
    fingerprint
        That of the model's weights, where it is known.
    notes
        Why something is None, or what to keep in mind.
    """

    WHAT: ClassVar[str] = "an ablation"
    MADE_BY: ClassVar[str] = "moexray ablate --json"
    MARK: ClassVar[str] = "learnt_prompts"

    model: str | None
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    prompts: int
    learnt_prompts: int
    tokens: int
    categories: tuple[str, ...]
    scored: Literal["outputs", "prompts"]
    meaning: Literal["replaced", "skipped"]
    share: float | None
    draws: int
    new_tokens: int
    seed: int
    full: Full
    policies: tuple[AblatedPolicy, ...]
    usage: Contrast | None = optional()
    active: tuple[ActiveLoss, ...] | None = optional()
    example: Example | None = optional()
    fingerprint: str | None = optional()
    kind: str | None = optional()
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return None: no signatures were studied."""
        return (None,)

    def headline(self) -> list[str]:
        """Return the model, the loss of the whole, and whether rankings cost less than chance."""
        model = self.model or "unknown model"
        lines = [f"{model}: {self.full.overall:.3f} nats a token over {count(self.prompts, 'prompt')}"]
        rankings = [one for one in self.policies if one.kind == "ranking"]
        if rankings:
            better = [one.policy for one in rankings if _below(one.random_overall.excess_ci)]
            worse = [one.policy for one in rankings if _below(_turned(one.random_overall.excess_ci))]
            parts = [f"cost less than experts at random: {', '.join(better) or 'none'}"]
            parts.append(f"more: {', '.join(worse) or 'none'}")
            lines.append("; ".join(parts))
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each policy and category."""
        return [
            {
                "policy": one.policy,
                "category": category,
                "mean_k": one.mean_k,
                "loss": loss.loss,
                "added": loss.mean,
                "random": one.random[category].mean,
                "excess": one.random[category].excess,
            }
            for one in self.policies
            for category, loss in one.loss.items()
        ]


def _below(ci: Interval | None) -> bool:
    return ci is not None and ci[1] < 0


def _turned(ci: Interval | None) -> Interval | None:
    return None if ci is None else (-ci[1], -ci[0])
