"""Labels as numbers: the category of each prompt, and its group."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
