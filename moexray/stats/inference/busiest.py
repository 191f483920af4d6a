"""What chance adds to the load of the busiest device: the greatest of several noisy shares is too great."""

import numpy as np
from numpy.typing import NDArray

# Draws of the noise, and how many standard errors a device may be below the busiest and still contend with it.
_DRAWS, _CONTENDS = 400, 2.0


def raised_by_chance(
    shares: NDArray[np.float64], left_out: NDArray[np.float64], strata: NDArray[np.integer]
) -> NDArray[np.float64]:  # (layers,)
    """Return by how much chance may raise the busiest device over the mean of the devices, in each layer.

    It is the expected maximum of the noise of the devices that may be the busiest: those within two standard errors of
    it, as in the selection step of V. Chernozhukov, S. Lee and A. Rosen (Econometrica 81, 2013). It is exact if these
    are equally busy, and otherwise too much. The noise is normal, with the covariance of the jackknife.

    Parameters
    ----------
    shares
        Of the devices ``(layers, devices)``.
    left_out
        The same without each unit ``(units, layers, devices)``.
    strata
        The sample of each unit ``(units,)``: see `moexray.stats.inference.jackknife`.
    """
    noise = np.empty_like(left_out)
    for stratum in np.unique(strata):
        mine = strata == stratum
        size = int(mine.sum())
        noise[mine] = (left_out[mine] - left_out[mine].mean(axis=0)) * np.sqrt((size - 1) / size)
    busiest = np.broadcast_to(shares.argmax(axis=-1)[:, None], (len(noise), len(shares), 1))
    against = noise - np.take_along_axis(noise, busiest, axis=-1)
    contends = shares >= shares.max(axis=-1, keepdims=True) - _CONTENDS * np.sqrt((against**2).sum(axis=0))
    drawn = np.random.default_rng(0).normal(size=(_DRAWS, len(noise))) @ noise.reshape(len(noise), -1)
    greatest = np.where(contends, drawn.reshape(-1, *shares.shape), -np.inf).max(axis=-1)
    return np.asarray(np.maximum(greatest.mean(axis=0), 0) * shares.shape[-1])
