"""Parameters of rules that keep fewer experts a token, so that a given number is kept on average.

Each takes the gate weights of recorded tokens ``(tokens, layers, k)``, 0 where a layer selects fewer than the widest,
how many each layer selects, and the mean number that it is to keep.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_STEPS = 60

Weights = NDArray[np.floating]


def share_at_mean(weights: Weights, k: Sequence[int], mean: Sequence[float]) -> float:
    """Return the share p at which the fewest selections that hold p of a token's gate weights are `mean` on average.

    One p for all layers; the mean of layers is held. Found by bisection: the number kept never falls as p grows.
    """
    before = []  # the share that stands before each selection, by falling weight
    for layer, number in enumerate(k):
        falling = -np.sort(-weights[:, layer, :number].astype(np.float64), axis=1)
        sums = falling.cumsum(axis=1)
        before.append((sums - falling) / sums[:, -1:])
    wanted, low, high = float(np.mean(mean)), 0.0, 1.0
    if wanted >= float(np.mean(k)):
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        kept = float(np.mean([(one < middle).sum(axis=1).mean() for one in before]))
        low, high = (middle, high) if kept < wanted else (low, middle)
    return high


def ratios_at_mean(weights: Weights, k: Sequence[int], mean: Sequence[float]) -> tuple[float, ...]:
    """Return for each layer the β at which selections of at least β times a token's greatest weight are `mean`.

    It is a quantile of w_j / w_1 over the selections beside the greatest. The median, of NAEE (arXiv:2402.14800),
    keeps (k + 1) / 2.
    """
    found = []
    for layer, (number, wanted) in enumerate(zip(k, mean, strict=True)):
        falling = -np.sort(-weights[:, layer, :number].astype(np.float64), axis=1)
        if number == 1 or wanted >= number:
            found.append(0.0)
            continue
        ratios = np.sort((falling[:, 1:] / falling[:, :1]).ravel())
        left_out = round((1 - (wanted - 1) / (number - 1)) * len(ratios))
        found.append(float(ratios[min(left_out, len(ratios) - 1)]))
    return tuple(found)


def threshold_at_mean(weights: Weights, k: Sequence[int], mean: Sequence[float], importance: Sequence[float]) -> float:
    """Return the threshold at which as many selections are kept as `mean` says, over all tokens and layers.

    A selection is kept where its weight times its layer's importance is at least the threshold (MoDES,
    arXiv:2511.15690). One threshold for all layers: layers of greater importance keep more. It is the N-th greatest of
    these products, where N is Σ `mean` for each token; equal products are kept together.
    """
    products = [
        weights[:, layer, :number].astype(np.float64).ravel() * importance[layer] for layer, number in enumerate(k)
    ]
    falling = -np.sort(-np.concatenate(products))
    kept = round(float(np.sum(mean)) * len(weights))
    return float(falling[max(kept, 1) - 1]) if kept < len(falling) else 0.0


def entropies(weights: Weights, k: int) -> NDArray[np.float64]:  # (tokens,)
    """Return the entropy in nats of the first k weights of each token ``(tokens, k)``, divided by their sum."""
    shares = weights[:, :k].astype(np.float64)
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.asarray(-np.sum(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares)), axis=1))


def entropy_steps(
    weights: Weights, k: Sequence[int], mean: Sequence[float]
) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    """Return for each layer the least number kept, and the entropies above each of which one more is kept.

    The numbers are spread evenly around the mean, as far as 1 and k allow: for k = 8 and a mean of 4 a seventh of the
    tokens keeps each of 1 to 7, by rising entropy.
    """
    least, thresholds = [], []
    for layer, (number, wanted) in enumerate(zip(k, mean, strict=True)):
        lowest = min(int(wanted), max(1, int(np.ceil(2 * wanted - number))))
        steps = min(number - lowest, int(np.ceil(2 * (wanted - lowest))))
        shares = (1 - np.arange(1, steps + 1) / (steps + 1)) * (2 * (wanted - lowest) / steps if steps else 0)
        found = entropies(weights[:, layer], number)
        least.append(lowest)
        thresholds.append(tuple(float(np.quantile(found, 1 - share)) for share in shares))
    return tuple(least), tuple(thresholds)
