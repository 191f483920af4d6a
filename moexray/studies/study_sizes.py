"""The sizes of the studies that a power analysis simulates: what is varied, and what is held."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from moexray.stats.categories.centred_layers import LEAST_UNITS
from moexray.stats.categories.population import StudyDesign
from moexray.stats.inference.units import Units

# Each size is about 1.4 times the one before it.
NUMBERS = (3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160)
_TOKENS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)

Vary = Literal["prompts", "groups", "tokens"]


@dataclass(frozen=True)
class HeldSizes:
    """The sizes of a study that are not varied.

    Attributes
    ----------
    varied
        What is varied instead.
    independent
        Whether every prompt is a unit of its own.
    units, prompts, tokens
        Units of a category, prompts of a part, and tokens in the pilot.
    """

    varied: Vary
    independent: bool
    units: int
    prompts: int
    tokens: float

    def designs(self, most: int) -> Iterator[tuple[int, StudyDesign]]:
        """Yield the designs of all sizes, ascending."""
        if self.varied == "tokens":
            units, prompts = (self.prompts, 1) if self.independent else (self.units, self.prompts)
            for number in _TOKENS:
                yield number, StudyDesign(units, prompts, number / self.tokens)
            return
        over_units = self.independent or self.varied == "groups"
        for number in (one for one in ((1, 2) if not over_units else ()) + NUMBERS if one <= most):
            prompts = 1 if self.independent else self.prompts
            yield number, StudyDesign(number, prompts) if over_units else StudyDesign(self.units, number)

    def kept(self) -> dict[str, int]:
        """Return the sizes that are held, by the names of `Power`."""
        sizes = {"groups": self.units, "prompts": self.prompts, "tokens": round(self.tokens)}
        return {
            name: size
            for name, size in sizes.items()
            if name != self.varied and not (name == "groups" and self.independent)
        }


def units_of_category(units: Units) -> int:
    """Return the units of a category: the median, or as many as a test needs."""
    return max(LEAST_UNITS, int(np.median(units.units_of_category)))


def prompts_of_part(units: Units) -> int:
    """Return the prompts of a category, where there are no groups, and else of a group and category: the median."""
    numbers = np.bincount(units.categories if units.design == "independent" else units.parts)
    return max(LEAST_UNITS if units.design == "independent" else 1, int(np.median(numbers)))
