"""The result of a power analysis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.stats.categories.power import NeededNumber, PowerPoint
from moexray.stats.inference.units import Design
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.results import Result, rows_of
from moexray.studies.study_sizes import Vary


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of its population.

    Attributes
    ----------
    model, phase
        The model, and which tokens.
    prompts, units, design
        Prompts, units and how they go with categories: see `moexray.stats.inference.units`.
    squared_distance, ci, p_value
        The squared distance between mean signatures, its 95 % interval, and p of the test of location.
    group_share
        The share of the variance within categories that prompts of one group have in common.
    token_share
        The share that the number of tokens makes, as if tokens were independent.
    tokens
        Harmonic mean of the prompts' tokens.
    """

    model: str | None
    phase: str
    prompts: int
    units: int
    design: Design
    squared_distance: float
    ci: Interval
    p_value: float
    group_share: float
    token_share: float
    tokens: int


@dataclass(frozen=True)
class IfOtherwise:
    """What would be needed if the difference were as at the ends of its interval.

    Attributes
    ----------
    smaller, larger
        At the lower and at the upper end; at a lower end of zero or less no size is enough.
    """

    smaller: NeededNumber
    larger: NeededNumber


@dataclass(frozen=True, repr=False, kw_only=True)
class Power(Result):
    """Power of the test of location by the size of a study.

    Attributes
    ----------
    effect
        The stated Cohen's d of pairs of prompts; None where a pilot says how large the difference is.
    pilot
        The pilot, if there is one.
    categories
        Number of categories.
    varied
        What the numbers of `curve` and `needed` count: prompts of a category (or of a group and category), groups
        (of a category; of all where groups hold several categories), or tokens of a prompt.
    groups, prompts, tokens
        What is held: groups of a category, prompts of a category or of a group and category, tokens of a prompt; None
        for what is varied, or is not known.
    level, target
        p is to be at most `level` in a share of `target` of all studies.
    studies, permutations, seed
        Simulated studies of each size, permutations of each test, and the seed.
    curve
        Power at each size.
    needed
        The smallest size with enough power.
    needed_if
        The same at the ends of the interval of the pilot's difference.
    notes
        What limits the answer.
    """

    WHAT: ClassVar[str] = "a power analysis"
    MADE_BY: ClassVar[str] = "moexray power --json"
    MARK: ClassVar[str] = "needed"

    effect: float | None = optional()
    pilot: Pilot | None = optional()
    categories: int
    varied: Vary
    groups: int | None = optional()
    prompts: int | None = optional()
    tokens: int | None = optional()
    level: float
    target: float
    studies: int
    permutations: int
    seed: int
    curve: tuple[PowerPoint, ...]
    needed: NeededNumber
    needed_if: IfOtherwise | None = optional()
    fingerprint: str | None = optional()
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the pilot."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return what is needed, and the largest size that was simulated."""
        found = "more than were simulated" if self.needed.number is None else f"{self.needed.number:,}"
        last = self.curve[-1]
        return [
            f"{found} {self.varied} for a power of {self.target:.0%}",
            f"power {last.power:.2f} at {last.number:,} {self.varied}, {last.prompts:,} prompts in all",
        ]

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.curve)
