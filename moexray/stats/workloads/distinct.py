"""Distinct experts of a batch: how many of a layer's experts a step must read, and what load alone predicts.

A batch of B prompts touches the union of their selections. Over all subsets of B of the N prompts that are at a step,
an expert that n of them select is left out with probability C(N − n, B) / C(N, B), so the mean union over all subsets
is known without drawing any.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Up to here probabilities come from a table of all n; above, from the logarithm of the gamma function.
_LARGEST_TABLE = 1024


@dataclass(frozen=True)
class DistinctExperts:
    """Distinct experts of batches of several sizes, by layer; not a number where no step has that many prompts.

    Attributes
    ----------
    observed
        Mean number of distinct experts of a batch ``(sizes, layers)``: over all batches of a step, then over steps.
    load_matched
        What independent tokens with the same load would select ``(sizes, layers)``.
    uniform
        What independent tokens with even load would select ``(sizes, layers)``.
    selections
        Mean number of selections of a token, at the steps that count ``(sizes, layers)``.
    steps
        How many steps count: those with as many prompts as a batch has ``(sizes,)``.
    """

    observed: NDArray[np.float64]
    load_matched: NDArray[np.float64]
    uniform: NDArray[np.float64]
    selections: NDArray[np.float64]
    steps: NDArray[np.int64]


def left_out_probability(
    selected: NDArray[np.integer], prompts: NDArray[np.integer], size: int
) -> NDArray[np.float64]:  # (steps, …)
    """Return the probability that none of `size` prompts, drawn without replacement, selects an expert.

    Parameters
    ----------
    selected
        How many prompts of each step select each expert ``(steps, …)``.
    prompts
        Prompts of each step ``(steps,)``, at least `size`.
    size
        Prompts of a batch.
    """
    if prompts.max(initial=0) > _LARGEST_TABLE:
        return _by_logarithm(selected, prompts, size)
    rows = [_row(number, size) for number in prompts.tolist()]
    width = max(map(len, rows), default=0)
    if all(row is rows[0] for row in rows):
        return np.asarray(rows[0][selected]) if rows else np.zeros(selected.shape)
    table = np.concatenate([np.pad(row, (0, width - len(row))) for row in rows])
    starts = (np.arange(len(rows)) * width).reshape(-1, *(1,) * (selected.ndim - 1))
    return np.asarray(table[starts + selected])


@lru_cache(maxsize=4096)
def _row(prompts: int, size: int) -> NDArray[np.float64]:  # (prompts + 1,)
    """Return C(N − n, B) / C(N, B) = ∏_{i<n} (N − B − i) / (N − i) for every n."""
    left = prompts - np.arange(prompts)
    return np.append(1.0, np.cumprod(np.maximum(left - size, 0) / left))


def distinct_experts(
    selected: NDArray[np.integer],
    prompts: NDArray[np.integer],
    *,
    experts: NDArray[np.integer],
    sizes: tuple[int, ...],
    counted: NDArray[np.bool_] | None = None,
) -> DistinctExperts:
    """Return how many distinct experts a batch of different prompts at the same step selects, exactly.

    Each step counts the same, and so does each batch of a step. The closed forms are Σ_e (1 − (1 − π_e)^B), with π_e
    the mean over the same steps of the share of prompts that select e, and E (1 − (1 − k/E)^B), with k the mean number
    of selections of a token. The first is exact for tokens that are independent of each other and of the step; the
    second also needs even load.

    Parameters
    ----------
    selected
        How many prompts select each expert ``(steps, layers, experts)``.
    prompts
        Prompts of each step ``(steps,)``.
    experts
        Experts of each layer ``(layers,)``; counts beyond them are zero.
    sizes
        Prompts of a batch.
    counted
        Which steps count for each size ``(sizes, steps)``; by default those with enough prompts.
    """
    if counted is None:
        counted = prompts >= np.array(sizes)[:, None]
    observed, matched, even, selections = (np.full((len(sizes), selected.shape[1]), np.nan) for _ in range(4))
    before: NDArray[np.bool_] | None = None
    for place, size in enumerate(sizes):
        steps = counted[place]
        if not steps.any():
            continue
        if before is None or not np.array_equal(steps, before):
            here = selected if steps.all() else selected[steps]
            shares = (here / prompts[steps, None, None]).mean(axis=0)
            missed, before = _missed(here, prompts[steps]), steps
        observed[place] = selected.shape[2] - missed(size) / steps.sum()
        selections[place] = shares.sum(axis=1)
        matched[place], even[place] = load_matched(shares, size), uniform(selections[place], experts, size)
    return DistinctExperts(observed, matched, even, selections, counted.sum(axis=1))


def _missed(
    selected: NDArray[np.integer], prompts: NDArray[np.integer]
) -> Callable[[int], NDArray[np.float64]]:  # of a size: (layers,)
    """Return a function of the size of a batch: experts that it leaves out, summed over steps."""
    number, layers = int(prompts[0]), selected.shape[1]
    if number > _LARGEST_TABLE or (prompts != number).any():
        return lambda size: np.asarray(left_out_probability(selected, prompts, size).sum(axis=(0, 2)))
    # Where all steps have the same prompts, it is enough to know how many experts each number of them selects.
    cells = selected + np.arange(layers)[:, None] * (number + 1)
    experts = np.bincount(cells.ravel(), minlength=layers * (number + 1)).reshape(layers, -1)
    return lambda size: np.asarray(experts @ _row(number, size))


def load_matched(shares: NDArray[np.float64], size: int) -> NDArray[np.float64]:  # (…,)
    """Return Σ_e (1 − (1 − π_e)^B): distinct experts of B independent tokens that select e with probability π_e.

    Parameters
    ----------
    shares
        The probabilities ``(…, experts)``.
    size
        B.
    """
    return np.asarray((1 - (1 - np.minimum(shares, 1)) ** size).sum(axis=-1))


def uniform(k: NDArray[np.floating | np.integer], experts: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    """Return E (1 − (1 − k/E)^B): distinct experts of B independent tokens that each select k of E at random.

    Examples
    --------
    >>> uniform(np.array([8, 8]), np.array([128, 256]), 16).round(1)
    array([ 82.4, 102. ])
    """
    return np.asarray(experts * (1 - (1 - k / experts) ** size))


def _by_logarithm(selected: NDArray[np.integer], prompts: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    from scipy.special import gammaln

    total = prompts.reshape(-1, *(1,) * (selected.ndim - 1)).astype(np.float64)
    left = total - selected
    possible = left >= size
    safe = np.where(possible, left, size)
    logarithm = gammaln(safe + 1) - gammaln(safe - size + 1) - gammaln(total + 1) + gammaln(total - size + 1)
    return np.where(possible, np.exp(np.minimum(logarithm, 0)), 0.0)
