"""The result of a study of coverage: what is seldom reached, the most used, and the stability of rankings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count, percent
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.rankings import Stability
from moexray.studies.results import Result


@dataclass(frozen=True)
class Rare:
    """Experts that are reached fewer than n times.

    Attributes
    ----------
    found
        How many there are.
    load_matched
        How many are expected where every token selects each expert with its share, independently of other tokens.
    uniform
        How many are expected with even load; None where it was not computed.
    """

    found: int
    load_matched: float | None
    uniform: float | None


@dataclass(frozen=True)
class LayerCoverage:
    """One layer's experts: how many there are, are never selected, and are reached seldom, by tokens and by prompts."""

    layer: int
    experts: int
    top_k: int
    never: int
    tokens: Rare
    prompts: Rare


@dataclass(frozen=True)
class FewerPrompts:
    """Experts that fewer than n of some prompts reach, exactly, over all sets of so many of the prompts.

    Attributes
    ----------
    prompts
        Numbers of prompts.
    experts
        Mean number of experts, of all layers together.
    """

    prompts: tuple[int, ...]
    experts: tuple[float, ...]


@dataclass(frozen=True)
class MostUsed:
    """Share of selections that the N most used experts of each layer take, the mean of layers.

    Attributes
    ----------
    numbers
        N; a layer with fewer experts gives all.
    share, ci
        Chosen by one half of the prompts, scored on the other, with the 95 % interval over units.
    same_prompts
        Scored on the prompts that they were chosen by, which is too much.
    even
        With even load.
    """

    numbers: tuple[int, ...]
    share: tuple[float, ...]
    ci: tuple[Interval | None, ...]
    same_prompts: tuple[float, ...]
    even: tuple[float, ...]


@dataclass(frozen=True, repr=False, kw_only=True)
class Coverage(Result):
    """Which experts a set of prompts reaches.

    Attributes
    ----------
    model, prompts, units, tokens
        The model; prompts with a selected token, their units, and the selector of tokens.
    selected_tokens
        How many tokens it selects.
    below
        n: an expert is reached seldom that fewer than n tokens, or n prompts, select.
    experts, never
        Experts of all layers, and those that no token selects.
    by_tokens, by_prompts
        Experts of all layers that are reached seldom.
    layers
        The same by layer.
    fewer_prompts
        What fewer prompts would leave.
    most_used
        The share of selections that the most used experts take.
    stability
        Overlap of the least used half of experts between halves of the prompts and between categories.
    seed, notes, fingerprint
        Of splits; why something is None; `Signatures.fingerprint`.
    """

    WHAT: ClassVar[str] = "a study of coverage"
    MADE_BY: ClassVar[str] = "moexray coverage --json"
    MARK: ClassVar[str] = "never"

    model: str | None
    prompts: int
    units: int
    tokens: str
    selected_tokens: int
    below: int
    experts: int
    never: int
    by_tokens: Rare
    by_prompts: Rare
    layers: tuple[LayerCoverage, ...]
    fewer_prompts: FewerPrompts
    most_used: MostUsed | None = None
    stability: Stability | None = None
    seed: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return what was reached seldom, and how stable the ranking of experts is."""
        lines = [
            f"{self.model or 'unknown model'}, {count(self.prompts, 'prompt')}: coverage of {self.experts:,} experts",
            f"fewer than {self.below} tokens reach {self.by_tokens.found:,}, fewer than {self.below} prompts "
            f"{self.by_prompts.found:,}, none {self.never:,}",
        ]
        if self.stability is not None:
            lines.append(
                f"two halves of the prompts agree on {percent(self.stability.halves)} of the least used half of "
                f"experts, chance {percent(self.stability.chance)}"
            )
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each layer."""
        return [
            {
                "layer": one.layer,
                "experts": one.experts,
                "never": one.never,
                "below_tokens": one.tokens.found,
                "below_prompts": one.prompts.found,
            }
            for one in self.layers
        ]
