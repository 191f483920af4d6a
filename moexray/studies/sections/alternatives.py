"""The headline under every other sensible choice, and what each choice does to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.segments import selectors
from moexray.stats.categories.alternatives import Specification, specifications
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes

CHOICES = ("measure", "layers", "phase", "left_out")


def alternatives(cohort: Cohort, _notes: Notes) -> tuple[Specification, ...]:
    """Compute every specification, for prompt tokens, generated tokens and all of them."""
    signatures = cohort.signatures
    chosen = [name for name in ("prompt", "generated") if name in selectors(signatures.segments)] + ["all"]
    loads: dict[str, NDArray[np.integer]] = {tokens: signatures.loads(tokens) for tokens in chosen}
    masses: dict[str, NDArray[np.floating]] | None = (
        {tokens: signatures.masses(tokens) for tokens in chosen} if signatures.has_mass else None
    )
    permutations = min(cohort.permutations, cohort.limits.specification_permutations)
    return tuple(specifications(loads, cohort.labels, masses=masses, permutations=permutations, rng=cohort.seed))


@dataclass(frozen=True)
class ChoiceSummary:
    """Cohen's d over all specifications that make one choice.

    Attributes
    ----------
    choice, value
        One of `CHOICES`, and what was chosen.
    specifications
        Their number.
    least, median, greatest
        Of Cohen's d; None where none has one.
    significant
        How many have p < 0.05.
    """

    choice: str
    value: str
    specifications: int
    least: float | None
    median: float | None
    greatest: float | None
    significant: int


def by_choice(found: Sequence[Specification]) -> tuple[ChoiceSummary, ...]:
    """Summarise the specifications that make each choice."""
    return tuple(
        _summary(choice, value, [one for one in found if getattr(one, choice) == value])
        for choice in CHOICES
        for value in dict.fromkeys(getattr(one, choice) for one in found)
    )


def _summary(choice: str, value: str, found: Sequence[Specification]) -> ChoiceSummary:
    effects = [one.cohens_d for one in found if one.cohens_d is not None]
    return ChoiceSummary(
        choice=choice,
        value=value,
        specifications=len(found),
        least=min(effects, default=None),
        median=float(np.median(effects)) if effects else None,
        greatest=max(effects, default=None),
        significant=sum(one.p_value is not None and one.p_value < LEVEL for one in found),
    )
