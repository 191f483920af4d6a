"""How far apart two kinds of tokens are routed: the bias of each expert, MSI, and the information of an expert."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.stats.layers.load import LayerLoad, layer_loads


@dataclass(frozen=True)
class KindsInLayer:
    """The loads of two kinds in one layer, over all tokens.

    Attributes
    ----------
    shares
        Share of each kind's selections that each expert gets ``(2, experts)``.
    balance
        Balance of each kind's load.
    bias
        First share over the sum of both ``(experts,)``: 1 for an expert of the first kind alone, 0 for one of the
        second; NaN for an expert that neither selects.
    msi
        Modality specialisation index: mean of ``2·|bias − 0.5|`` over the experts that are selected.
    information, entropy
        I(kind; expert) and H(kind) of a selection, in nats.
    """

    shares: NDArray[np.float64]
    balance: tuple[LayerLoad, LayerLoad]
    bias: NDArray[np.float64]
    msi: float
    information: float
    entropy: float


def kinds_by_layer(
    first: NDArray[np.integer], second: NDArray[np.integer], experts: NDArray[np.integer] | None = None
) -> list[KindsInLayer]:
    """Compare the loads of two kinds in every layer.

    MSI and the bias are those of SMoES (arXiv:2604.23996, equation 18): each kind's load is divided by its sum, and the
    shares by their sum over kinds. MSI is 0 where both kinds load the experts alike, and 1 where they share none. An
    expert that neither kind selects has no bias, and does not count.

    Parameters
    ----------
    first, second
        Selections of each expert by the tokens of each kind ``(layers, experts)``.
    experts
        Number of experts of each layer ``(layers,)``, where layers differ. By default every column is an expert.

    Raises
    ------
    NotComputable
        If a kind has no selection in a layer.

    Examples
    --------
    >>> (layer,) = kinds_by_layer(np.array([[3, 1, 0]]), np.array([[1, 3, 4]]))
    >>> layer.bias.round(3).tolist(), round(layer.msi, 3)
    ([0.857, 0.4, 0.0], 0.638)
    """
    sizes = np.full(len(first), first.shape[1]) if experts is None else np.asarray(experts)
    found, balances = [], [layer_loads(one, sizes) for one in (first, second)]
    for place, size in enumerate(sizes.tolist()):
        loads = np.stack([first[place, :size], second[place, :size]]).astype(np.float64)
        shares = loads / loads.sum(axis=1, keepdims=True)
        weights = loads.sum(axis=1) / loads.sum()
        found.append(
            KindsInLayer(
                shares=shares,
                balance=(balances[0][place], balances[1][place]),
                bias=bias_of(shares[0], shares[1]),
                msi=float(specialisation(shares[0], shares[1])),
                information=float(information(shares[0], shares[1], float(weights[0]))),
                entropy=float(-(weights * np.log(weights)).sum()),
            )
        )
    return found


def bias_of(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return first / (first + second) of two shares; NaN where both are zero."""
    both = first + second
    return np.asarray(np.divide(first, both, out=np.full(both.shape, np.nan), where=both > 0))


def specialisation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:  # (…,)
    """Return MSI of two distributions over experts ``(…, experts)``: mean of |first − second| / (first + second)."""
    both = first + second
    apart = np.divide(np.abs(first - second), both, out=np.zeros(both.shape), where=both > 0)
    return np.asarray(apart.sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1))


def information(
    first: NDArray[np.float64], second: NDArray[np.float64], weight: float = 0.5
) -> NDArray[np.float64]:  # (…,)
    """Return I(kind; expert) in nats, from the distributions over experts and the probability of the first kind.

    With equal weights it is the Jensen–Shannon divergence: divided by ln 2, in bits, the share of H(kind).
    """
    from scipy.special import xlogy

    middle = weight * first + (1 - weight) * second
    of_kinds = weight * xlogy(first, first) + (1 - weight) * xlogy(second, second)
    return np.asarray(np.maximum((of_kinds - xlogy(middle, middle)).sum(axis=-1), 0))


def shares_of(counts: NDArray[np.number]) -> NDArray[np.float64]:  # (…, experts)
    """Return counts over their sum along the last axis; zero where there is none."""
    sums = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counts, sums, out=np.zeros(counts.shape), where=sums > 0))


def check_present(present: NDArray[np.bool_], what: str) -> None:
    """Raise NotComputable if a column of units ``(units, layers)`` has none."""
    if not present.any(axis=0).all():
        message = (
            f"no prompt or group has {what} in layer {int(present.any(axis=0).argmin()) + 1} of {present.shape[1]}"
        )
        raise NotComputable(message)


def check_enough(units: int, what: str) -> None:
    """Raise NotComputable if there are too few units for an interval or a test."""
    if units < LEAST_UNITS:
        message = f"fewer than {LEAST_UNITS} prompts or groups {what}"
        raise NotComputable(message)


def corrected(value: float, left_out: NDArray[np.float64], sets: NDArray[np.integer]) -> float:
    """Return a statistic of independent sets of units without its bias of order 1/units, by the jackknife."""
    sizes = np.bincount(sets)
    changes = np.bincount(sets, left_out - value) / sizes
    return float(value - ((sizes - 1) * changes).sum())
