"""The experts that most of some tokens were sent to."""

import numpy as np
from numpy.typing import NDArray


def leading_experts(experts: NDArray[np.integer], *, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the experts that are selected most often, and how often; of equals, the lower number first.

    Parameters
    ----------
    experts
        Selected experts, of any shape; −1 is none. First choices alone, or all selections.
    most
        How many experts to return at most; those that are never selected are not among them.

    Examples
    --------
    >>> [part.tolist() for part in leading_experts(np.array([[3, 1], [3, 0], [1, -1]]), most=2)]
    [[1, 3], [2, 2]]
    """
    numbers, selected = np.unique(experts[experts >= 0], return_counts=True)
    order = np.argsort(-selected, kind="stable")[:most]
    return numbers[order].astype(np.int64), selected[order].astype(np.int64)
