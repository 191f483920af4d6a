"""Rankings of a layer's experts by how little is expected to be lost without them."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


def experts_in_share(share: float, experts: int) -> int:
    """Return a share of a layer's experts, rounded down as it is written in decimals: 0.29 of 100 are 29, not 28."""
    return int(Fraction(repr(float(share))) * experts)


def least(values: NDArray[np.number], number: int) -> tuple[int, ...]:
    """Return the experts with the least values; among equal ones, those of the lowest ids.

    Parameters
    ----------
    values
        One of each expert ``(experts,)``.
    number
        How many to return.
    """
    return tuple(sorted(np.argsort(values, kind="stable")[:number].tolist()))


def most_redundant(pairs: NDArray[np.integer], number: int) -> tuple[int, ...]:
    """Return experts whose tokens mostly select one other expert as well, which stays.

    One after another: of the experts that are left, the one whose tokens share most with another one that is left goes.
    An expert without tokens goes first, since nothing of what was seen is lost with it.

    Parameters
    ----------
    pairs
        Tokens that select both experts ``(experts, experts)``; the diagonal holds those that select one.
    number
        How many to return, fewer than there are.
    """
    counts = np.diagonal(pairs).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(counts[:, None] > 0, pairs / counts[:, None], 1.0)
    np.fill_diagonal(shares, -np.inf)
    gone: list[int] = []
    for _ in range(number):
        redundancy = shares.max(axis=1)
        redundancy[gone] = -np.inf
        expert = int(np.argmax(redundancy))
        gone.append(expert)
        shares[:, expert] = -np.inf
    return tuple(sorted(gone))
