"""Jensen–Shannon divergence of distributions."""

import numpy as np
from numpy.typing import NDArray


def jensen_shannon(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:  # (…,)
    """Jensen–Shannon divergence in bits, from 0 to 1: J. Lin, IEEE Trans. Inf. Th. 37, 1991.

    Parameters
    ----------
    first, second
        Distributions along the last axis ``(…, outcomes)``; the other axes are broadcast against each other.
    """
    from scipy.special import xlogy

    middle = (first + second) / 2
    of_middle = xlogy(middle, middle).sum(axis=-1)
    found = (xlogy(first, first).sum(axis=-1) + xlogy(second, second).sum(axis=-1)) / 2 - of_middle
    return np.asarray(np.maximum(found, 0) / np.log(2))
