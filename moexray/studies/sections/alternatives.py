"""The headline under every other sensible choice, and what each choice does to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.segments import selectors
from moexray.stats.categories.alternatives import Specification, specifications
from moexray.stats.categories.joint import SpecificationTest, specification_test
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes

NOT_ASKED = "it is of specifications, which `moexray analyze --specifications` computes"
CHOICES = ("measure", "layers", "phase", "left_out")


def alternatives(cohort: Cohort, _notes: Notes) -> tuple[Specification, ...]:
    """Compute every specification, for prompt tokens, generated tokens and all of them."""
    return tuple(specifications(*_loads(cohort), **_options(cohort), rng=cohort.seed))


def all_alternatives(cohort: Cohort, _notes: Notes) -> SpecificationTest:
    """Test all of them together.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across, or labels change no specification.
    """
    return specification_test(*_loads(cohort), **_options(cohort), rng=cohort.rng("specifications"))


def _loads(cohort: Cohort) -> tuple[dict[str, NDArray[np.integer]], Sequence[str]]:
    signatures = cohort.signatures
    return {tokens: signatures.loads(tokens) for tokens in _tokens(cohort)}, cohort.labels


def _tokens(cohort: Cohort) -> list[str]:
    return [name for name in ("prompt", "generated") if name in selectors(cohort.signatures.segments)] + ["all"]


def _options(cohort: Cohort) -> dict[str, Any]:
    signatures = cohort.signatures
    return {
        "groups": cohort.groups,
        "masses": {tokens: signatures.masses(tokens) for tokens in _tokens(cohort)} if signatures.has_mass else None,
        "permutations": min(cohort.permutations, cohort.limits.specification_permutations),
    }


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
