"""Labels as numbers: the category of each prompt, its group, and the units whose labels a permutation exchanges."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable


def numbered_categories(labels: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:  # numbers (prompts,)
    """Return the names of the categories, sorted, and the number of each prompt's category among them."""
    names, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    return names.tolist(), numbers.astype(np.int64)


def category_numbers(labels: Sequence[str]) -> NDArray[np.int32]:  # (prompts,)
    """Return the number of each prompt's category among the sorted names."""
    return numbered_categories(labels)[1].astype(np.int32)


def group_numbers(prompts: int, groups: Sequence[str] | None) -> NDArray[np.int64]:  # (prompts,)
    """Return each prompt's group as a number; a prompt without a group is a group of its own."""
    names = [("", i) if not group else (group, -1) for i, group in enumerate(groups or [""] * prompts)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def exchange_units(
    labels: Sequence[str], groups: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:  # (prompts,), (units,)
    """Return each prompt's unit, which is its group or itself, and each unit's category, both as numbers.

    Units are what a permutation of labels exchanges: the prompts of a group keep one label together.

    Raises
    ------
    NotComputable
        If a group holds several categories.
    """
    numbers, units = category_numbers(labels), group_numbers(len(labels), groups)
    of_unit = numbers[np.unique(units, return_index=True)[1]]
    if (of_unit[units] != numbers).any():
        message = "a group holds prompts of several categories, so its label cannot be permuted as one"
        raise NotComputable(message)
    return units, of_unit
