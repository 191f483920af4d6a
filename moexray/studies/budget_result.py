"""The result of a budget study: what it costs, in loss and in changed text, to send tokens to fewer experts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count, estimate
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.results import Result

ALL = "all"

Losses = Mapping[str, float | None]


@dataclass(frozen=True)
class LossChange:
    """What a policy adds to the loss, in nats a token.

    Attributes
    ----------
    mean
        Mean loss of a token minus that with full routing, over the same tokens.
    ci
        Its 95 % interval over units.
    loss
        Mean loss under the policy.
    """

    mean: float | None
    ci: Interval | None
    loss: float | None


@dataclass(frozen=True)
class Agreement:
    """How much of the text that full routing writes a policy writes as well, greedily.

    Attributes
    ----------
    tokens, tokens_ci
        Share of the generated tokens before the first that differs.
    texts, texts_ci
        Share of the texts that are equal.
    """

    tokens: float
    tokens_ci: Interval | None
    texts: float
    texts_ci: Interval | None


@dataclass(frozen=True)
class Kind:
    """Tokens of one kind that passed the routers while the texts were scored.

    Attributes
    ----------
    tokens
        How many.
    mean_k
        Their mean number of experts in a layer; None without a token.
    """

    tokens: int
    mean_k: float | None


@dataclass(frozen=True)
class FullRouting:
    """Full routing: what the policies are compared with.

    Attributes
    ----------
    loss, segments
        Mean loss of a token in nats, by category and by segment.
    mean_k
        Mean number of experts of a token and layer.
    distinct
        Mean distinct experts of a batch of generated tokens, by its size; None where there are too few prompts.
    seconds
        Median seconds of a run, by the size of the batch.
    kinds
        By the kind of token, where prompts hold images: see `Kind`.
    """

    loss: Losses
    segments: Losses
    mean_k: float
    distinct: Losses
    seconds: Losses
    kinds: Mapping[str, Kind] | None = optional()


@dataclass(frozen=True)
class PolicyCost:
    """What a policy costs.

    Attributes
    ----------
    policy, keep
        Its name, and the share of full routing's experts that it was made for, in percent.
    keep_kinds
        These shares by the kind of token, where they are not the same; `keep` is then what they come to over the tokens
        that were learnt from.
    mean_k, layers_k
        Mean number of experts of a token, recorded while the texts were scored: of all layers, and of each.
    normalisation
        How the experts that are left are weighed.
    rule
        The rule, with the parameters that were learnt.
    loss, segments
        What it adds to the loss, by category and by segment.
    against_random
        Its loss minus that of random drops for the same share, over the same tokens; None where they were not run.
    agreement
        None where no text was generated.
    distinct
        See `FullRouting`.
    seconds_ratio
        Median ratio of its seconds to those of full routing in the same turn, by the size of the batch.
    seconds_range
        The least and the greatest of these ratios.
    kinds
        By the kind of token, where prompts hold images: see `Kind`.
    against_even
        Its loss minus that of the same policy with one share for all tokens, `keep`; None where shares are not by kind,
        or that was not run.
    """

    policy: str
    keep: float
    mean_k: float
    layers_k: tuple[float, ...]
    normalisation: str
    rule: Mapping[str, Any]
    loss: Mapping[str, LossChange]
    segments: Mapping[str, LossChange]
    against_random: LossChange | None
    agreement: Agreement | None
    distinct: Losses
    seconds_ratio: Losses
    seconds_range: Mapping[str, Interval | None]
    keep_kinds: Mapping[str, float] | None = optional()
    kinds: Mapping[str, Kind] | None = optional()
    against_even: LossChange | None = optional()

    @property
    def kept(self) -> str:
        """The share that it was made for, of all tokens or by kind."""
        if self.keep_kinds is None:
            return f"{self.keep:g} %"
        return ", ".join(f"{kind} {share:g} %" for kind, share in self.keep_kinds.items())


@dataclass(frozen=True, repr=False, kw_only=True)
class Budget(Result):
    """What fewer experts cost.

    Attributes
    ----------
    model, dtype, device, experts_implementation
        What ran.
    layers, experts, top_k
        Indices of the MoE layers, and the experts and k of each.
    prompts, learnt, scored
        All prompts, those that parameters were learnt from, and those that everything else is about.
    units
        The blocks of units that intervals leave out.
    texts
        Whose words were scored after the prompts: ``given``, ``written by the model``, or ``none``.
    new_tokens
        The most tokens that were generated after a prompt.
    tokens
        Scored tokens by segment.
    full, policies
        Full routing, and the policies in the order of their share, the largest first.
    seed
        Of the halves and of random drops.
    notes
        Why something is None, and what was not looked at.
    """

    WHAT: ClassVar[str] = "a study of budgets"
    MADE_BY: ClassVar[str] = "moexray budget --json"
    MARK: ClassVar[str] = "policies"

    model: str | None
    dtype: str | None
    device: str | None
    experts_implementation: tuple[str, ...]
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]
    prompts: int
    learnt: int
    scored: int
    units: int
    texts: str
    new_tokens: int
    tokens: Mapping[str, int]
    full: FullRouting
    policies: tuple[PolicyCost, ...]
    seed: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return None: no signatures were studied."""
        return (None,)

    def headline(self) -> list[str]:
        """Return the model and its loss, and for each share the policy that adds least."""
        full = self.full.loss[ALL]
        lines = [
            f"{self.model or 'unknown model'}, {count(self.scored, 'prompt')} scored: "
            f"{'–' if full is None else f'{full:.3f}'} nats a token with all {self.full.mean_k:.3g} experts"
        ]
        for kept in dict.fromkeys(one.kept for one in self.policies):
            there = [one for one in self.policies if one.kept == kept and one.loss[ALL].mean is not None]
            if there:
                best = min(there, key=lambda one: one.loss[ALL].mean or 0.0)
                change = best.loss[ALL]
                lines.append(
                    f"{kept} of the experts: least loss by {best.policy}, "
                    f"{estimate(change.mean, change.ci, 3, signed=True)} nats a token"
                )
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each policy and category."""
        return [
            {
                "policy": one.policy,
                "keep": one.keep,
                "mean_k": one.mean_k,
                "category": category,
                "mean": change.mean,
                "ci.low": None if change.ci is None else change.ci[0],
                "ci.high": None if change.ci is None else change.ci[1],
                "loss": change.loss,
            }
            for one in self.policies
            for category, change in one.loss.items()
        ]
