"""The specifications of signatures, and what each choice does to the headline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.segments import selectors
from moexray.signatures import Signatures
from moexray.stats.categories.alternatives import Specification, specifications

CHOICES = ("measure", "layers", "phase", "left_out")


def specifications_of(signatures: Signatures, *, permutations: int, seed: int) -> list[Specification]:
    """Compute every specification of `signatures`, in all phases."""
    phases = [name for name in ("prompt", "generated") if name in selectors(signatures.segments)] + ["all"]
    loads: dict[str, NDArray[np.integer]] = {phase: signatures.loads(phase) for phase in phases}
    masses: dict[str, NDArray[np.floating]] | None = (
        {phase: signatures.masses(phase) for phase in phases} if signatures.has_mass else None
    )
    return specifications(loads, signatures.prompts.categories, masses=masses, permutations=permutations, rng=seed)


def by_choice(found: Sequence[Specification]) -> list[dict[str, Any]]:
    """Sum up each choice: over all specifications that made it, the range of d, and how many have p < 0.05."""
    rows = []
    for choice in CHOICES:
        for value in dict.fromkeys(getattr(one, choice) for one in found):
            chosen = [one for one in found if getattr(one, choice) == value]
            effects = [one.cohens_d for one in chosen if one.cohens_d is not None]
            rows.append(
                {
                    "choice": choice,
                    "value": value,
                    "specifications": len(chosen),
                    "least": min(effects, default=None),
                    "median": float(np.median(effects)) if effects else None,
                    "greatest": max(effects, default=None),
                    "below_0.05": sum(one.p_value is not None and one.p_value < 0.05 for one in chosen),
                }
            )
    return rows
