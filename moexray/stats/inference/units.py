"""The units of an analysis: which prompts stand together, and how a permutation may exchange their labels.

Prompts of one group (a template, a source, a content) are not independent, so a group is one unit; a prompt without a
group is a unit of its own. The prompts of one unit in one category are a *part*: they keep one label together. There
are three designs:

- *independent*: every unit is one prompt. Labels are permuted over prompts.
- *nested*: every unit holds prompts of one category. Labels are permuted over units.
- *crossed*: some units hold several categories, as where the same content is posed in each of them. Labels are permuted
  over the parts of each such unit, and over the units of one category, if there are any.

Two prompts of one unit make no pair, neither within a category nor across; a jackknife leaves out units.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, lgamma
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import group_numbers, numbered_categories

Design = Literal["independent", "nested", "crossed"]
_MOST_ROWS, _MOST_NUMBERS = 1000, 2**24


@dataclass(frozen=True)
class Units:
    """The units of some prompts.

    Attributes
    ----------
    names
        The categories, sorted.
    categories, units, parts
        Category, unit and part of each prompt, by number ``(prompts,)``.
    part_categories, part_units
        Category and unit of each part ``(parts,)``.
    """

    names: tuple[str, ...]
    categories: NDArray[np.int64]
    units: NDArray[np.int64]
    parts: NDArray[np.int64]
    part_categories: NDArray[np.int64]
    part_units: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self._parts_of_unit)

    @cached_property
    def _parts_of_unit(self) -> NDArray[np.int64]:  # (units,)
        return np.bincount(self.part_units)

    @property
    def design(self) -> Design:
        """How labels may be exchanged."""
        if len(self.part_units) > len(self):
            return "crossed"
        return "independent" if len(self) == len(self.units) else "nested"

    @cached_property
    def strata(self) -> NDArray[np.int64]:  # (units,)
        """The sample that each unit is drawn from: its category, or one past the last where it holds several."""
        strata = np.full(len(self), len(self.names))
        alone = self._parts_of_unit[self.part_units] == 1
        strata[self.part_units[alone]] = self.part_categories[alone]
        return strata

    @cached_property
    def units_of_category(self) -> NDArray[np.int64]:  # (categories,)
        """How many units hold prompts of each category."""
        return np.bincount(self.part_categories, minlength=len(self.names))

    @cached_property
    def pairs_left_out(self) -> int:
        """Number of pairs of prompts inside units."""
        sizes = np.bincount(self.units)
        return int((sizes * (sizes - 1) // 2).sum())

    @cached_property
    def pairs_within(self) -> int:
        """Number of pairs of prompts of one category from two units."""
        together = sum(int(n * (n - 1) // 2) for n in np.bincount(self.categories))
        of_parts = np.bincount(self.parts)
        return together - int((of_parts * (of_parts - 1) // 2).sum())

    @cached_property
    def pairs_across(self) -> int:
        """Number of pairs of prompts of two categories from two units."""
        prompts = len(self.units)
        return prompts * (prompts - 1) // 2 - self.pairs_left_out - self.pairs_within

    def check_pairs(self) -> None:
        """Raise NotComputable if there is no pair within a category, or none across."""
        if len(self.names) < 2:
            message = "there is one category only"
            raise NotComputable(message)
        if not self.pairs_within:
            of = "prompts" if self.design == "independent" else "prompts of different groups"
            message = f"no two {of} share a category"
            raise NotComputable(message)
        if not self.pairs_across:
            message = "no two prompts of different groups have different categories"
            raise NotComputable(message)

    @cached_property
    def least_p(self) -> float:
        """The smallest p-value that permutations of these labels can give, where names of categories do not matter.

        It is the share of the permutations that split the units in the same way as the labels themselves.
        """
        alone = self.strata[self.strata < len(self.names)]
        of_category = np.bincount(alone, minlength=len(self.names))
        logarithm = sum(lgamma(n + 1) for n in of_category) - lgamma(len(alone) + 1)
        crossed = self._parts_of_unit[self._parts_of_unit > 1]
        logarithm -= sum(lgamma(parts + 1) for parts in crossed)
        # Categories of equal numbers, in the same crossed units, can exchange names.
        held = [
            tuple(self.part_units[(self.part_categories == c) & (self._parts_of_unit[self.part_units] > 1)].tolist())
            for c in range(len(self.names))
        ]
        alike = Counter(zip(of_category.tolist(), held, strict=True))
        logarithm += sum(lgamma(categories + 1) for categories in alike.values())
        return min(1.0, exp(logarithm))

    def labelings(
        self, permutations: int, rng: int | Generator, *, first: bool = False
    ) -> Iterator[NDArray[np.int32]]:  # (labelings, parts) each
        """Yield the category of each part under random permutations, in blocks.

        Parameters
        ----------
        permutations
            How many.
        rng
            Seed or generator.
        first
            Begin with a block of one row: the categories as they are.
        """
        generator = np.random.default_rng(rng)
        categories = self.part_categories.astype(np.int32)
        if first:
            yield categories[None]
        shared = [self._parts_of_unit[self.part_units] == parts for parts in np.unique(self._parts_of_unit)]
        size = max(1, min(_MOST_ROWS, _MOST_NUMBERS // max(1, len(categories))))
        for start in range(0, permutations, size):
            rows = np.tile(categories, (min(size, permutations - start), 1))
            for places in shared:
                self._permute(rows, np.flatnonzero(places), generator)
            yield rows

    def _permute(self, rows: NDArray[np.int32], places: NDArray[np.intp], generator: Generator) -> None:
        """Permute the labels of parts: over all of them, or, where their units hold several, inside each unit."""
        each = int(self._parts_of_unit[self.part_units[places[0]]])
        if each == 1:
            rows[:, places] = generator.permuted(rows[:, places], axis=1)
            return
        by_unit = places[np.argsort(self.part_units[places], kind="stable")].reshape(-1, each)
        rows[:, by_unit] = generator.permuted(rows[:, by_unit], axis=2)

    def sums(self, values: NDArray[np.number | np.bool_]) -> NDArray[np.float64]:  # (parts, …)
        """Sum rows of prompts over each part."""
        if self.design == "independent":
            return np.asarray(values, dtype=np.float64)
        found = np.zeros((len(self.part_units), *values.shape[1:]))
        np.add.at(found, self.parts, values)
        return found

    def by_unit(self, values: NDArray[np.number | np.bool_]) -> NDArray[np.float64]:  # (units, …)
        """Sum rows of prompts over each unit."""
        if self.design == "independent":
            return np.asarray(values, dtype=np.float64)
        found = np.zeros((len(self), *values.shape[1:]))
        np.add.at(found, self.units, values)
        return found

    @property
    def together(self) -> NDArray[np.int64] | None:
        """The unit of each prompt where units hold several prompts, else None: see `moexray.stats.pairs.pair_sums`."""
        return None if self.design == "independent" else self.units

    def take(self, rows: NDArray[np.integer]) -> "Units":
        """Return the units of some of the prompts; the categories keep their numbers."""
        _, units = np.unique(self.units[rows], return_inverse=True)
        return _units(self.names, self.categories[rows], units)


def units_of(labels: Sequence[str], groups: Sequence[str] | None = None) -> Units:
    """Return the units of prompts with these categories and groups.

    Parameters
    ----------
    labels
        The category of each prompt.
    groups
        The group of each prompt; an empty name, or None for all, is no group.

    Examples
    --------
    >>> units_of(["code", "code", "math", "math"]).design
    'independent'
    >>> units_of(["code", "code", "math", "math"], ["a", "a", "b", "c"]).design
    'nested'
    >>> units_of(["code", "code", "math", "math"], ["a", "b", "a", "b"]).design
    'crossed'
    """
    names, categories = numbered_categories(labels)
    return _units(tuple(names), categories, group_numbers(len(labels), groups))


def _units(names: tuple[str, ...], categories: NDArray[np.int64], units: NDArray[np.int64]) -> Units:
    # In order of first occurrence, so that where every unit is one prompt the parts are the prompts.
    keys, first, parts = np.unique(units * len(names) + categories, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    keys = keys[order]
    return Units(names, categories, units, places[parts], keys % len(names), keys // len(names))
