"""MaxVio of each batch: how far the busiest expert's load is above the mean."""

import numpy as np
from numpy.typing import NDArray


def max_violations(
    selections: NDArray[np.integer], experts: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:  # (batches, layers)
    """Return MaxVio, the greatest load over the mean load minus one, of every batch and layer.

    It is 0 where all experts get as many selections, and experts/k − 1 where all tokens select the same k experts.

    Parameters
    ----------
    selections
        Selections of each expert ``(batches, layers, experts)``.
    experts
        Number of experts of each layer ``(layers,)``, where layers differ: the columns beyond it do not count. By
        default every column is an expert.

    Returns
    -------
    MaxVio ``(batches, layers)``; NaN where a batch selected nothing in a layer.

    Notes
    -----
    "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", arXiv:2408.15664: MaxVio_batch of a training
    batch, MaxVio_global of all tokens together.

    Examples
    --------
    >>> max_violations(np.array([[[4, 4, 4, 4]], [[8, 8, 0, 0]]]))
    array([[0.],
           [1.]])
    """
    loads = np.asarray(selections, dtype=np.float64)
    sizes = np.full(loads.shape[1], loads.shape[2]) if experts is None else np.asarray(experts)
    within = np.arange(loads.shape[2]) < sizes[:, None]  # (layers, experts)
    loads = np.where(within, loads, 0.0)
    totals = loads.sum(axis=2)
    greatest = loads.max(axis=2, initial=0.0)
    found = np.full(totals.shape, np.nan)
    np.divide(greatest * sizes, totals, out=found, where=totals > 0)
    return found - 1
