"""How often the prompts of each category selected each expert."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Signatures


@dataclass(frozen=True, eq=False)
class CategorySelections:
    """Selections by category.

    Attributes
    ----------
    categories
        Their names, sorted.
    prompts, tokens
        Prompts that have a selected token, and tokens, of each category ``(categories,)``.
    selections
        ``(categories, layers, experts)``.
    """

    categories: tuple[str, ...]
    prompts: NDArray[np.int64]
    tokens: NDArray[np.int64]
    selections: NDArray[np.int64]


def category_selections(signatures: Signatures, tokens: str = "all") -> CategorySelections:
    """Add up the selections of the prompts of each category, in blocks.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens
        Which tokens; see `moexray.segments.places`. Prompts without one are left out.
    """
    kept = signatures.has_tokens(tokens)
    labels = np.asarray(signatures.prompts.categories, dtype=object)
    names = tuple(sorted(set(labels[kept].tolist())))
    place = {name: i for i, name in enumerate(names)}
    numbers = np.array([place.get(name, -1) for name in labels.tolist()])
    numbers[~kept] = -1
    lengths = signatures.lengths(tokens)
    _, _, layers, experts = signatures.shape
    selections = np.zeros((len(names), layers, experts), dtype=np.int64)
    start = 0
    for block in signatures.blocks():
        of_block = numbers[start : start + len(block)]
        loads = block.loads(tokens)
        for category in np.unique(of_block[of_block >= 0]):
            selections[category] += loads[of_block == category].sum(axis=0)
        start += len(block)
    return CategorySelections(
        categories=names,
        prompts=np.bincount(numbers[numbers >= 0], minlength=len(names)),
        tokens=np.bincount(numbers[numbers >= 0], weights=lengths[numbers >= 0], minlength=len(names)).astype(np.int64),
        selections=selections,
    )
