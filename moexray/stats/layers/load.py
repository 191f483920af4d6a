"""Balance of each layer's load over its experts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable


@dataclass(frozen=True)
class LayerLoad:
    """Five measures of one layer's balance; perfect balance is 1, 0, 0, 1 and 0.

    Attributes
    ----------
    entropy
        Entropy of the experts' shares, divided by that of equal shares.
    gini
        Gini coefficient of the experts' selections.
    cv
        Coefficient of variation: population standard deviation over mean.
    max_over_mean
        The busiest expert's load over the mean (MaxVio is this minus one: arXiv:2408.15664).
    dead_experts
        Number of experts that were never selected.
    """

    entropy: float
    gini: float
    cv: float
    max_over_mean: float
    dead_experts: int


def layer_loads(load: NDArray[np.integer], experts: NDArray[np.integer] | None = None) -> list[LayerLoad]:
    """Measure the balance of every layer.

    Parameters
    ----------
    load
        Selections of each expert, summed over prompts ``(layers, experts)``.
    experts
        Number of experts of each layer ``(layers,)``, where layers differ: the columns beyond it are not experts and
        do not count. By default every column is an expert.

    Raises
    ------
    NotComputable
        If a layer selected nothing.
    """
    sizes = np.full(len(load), load.shape[1]) if experts is None else experts
    of_layers = [layer[:size].astype(np.float64) for layer, size in zip(load, sizes, strict=True)]
    if not all(layer.any() for layer in of_layers):
        message = "a layer has no selection at all"
        raise NotComputable(message)
    return [_layer_load(layer) for layer in of_layers]


def _layer_load(load: NDArray[np.float64]) -> LayerLoad:
    experts = len(load)
    shares = load / load.sum()
    used = shares[shares > 0]
    ranks = np.arange(1, experts + 1)
    return LayerLoad(
        entropy=float(-(used * np.log(used)).sum() / np.log(experts)) if experts > 1 else 1.0,
        # G = Σ (2i − n − 1) x_i / (n Σ x) over ascending x: the mean absolute difference over twice the mean.
        gini=float(((2 * ranks - experts - 1) * np.sort(shares)).sum() / experts),
        cv=float(load.std() / load.mean()),
        max_over_mean=float(load.max() / load.mean()),
        dead_experts=int((load == 0).sum()),
    )
