"""Placements that need no co-activation: by number, at random, and by the category that experts prefer."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


def contiguous(experts: NDArray[np.integer], devices: int) -> NDArray[np.int64]:  # (layers, experts)
    """Return the device of each expert where neighbours are together, as servers place them by default.

    Parameters
    ----------
    experts
        How many experts each layer has ``(layers,)``: multiples of the devices.
    devices
        How many devices there are.

    Examples
    --------
    >>> contiguous(np.array([6]), 3)
    array([[0, 0, 1, 1, 2, 2]])
    """
    number = np.arange(int(experts.max()))
    return np.minimum(number * devices // experts[:, None], devices - 1)


def round_robin(experts: NDArray[np.integer], devices: int) -> NDArray[np.int64]:  # (layers, experts)
    """Return the device of each expert where neighbours are apart.

    Examples
    --------
    >>> round_robin(np.array([6]), 3)
    array([[0, 1, 2, 0, 1, 2]])
    """
    return np.tile(np.arange(int(experts.max())) % devices, (len(experts), 1))


def random_devices(
    experts: NDArray[np.integer], devices: int, *, draws: int, rng: int | Generator
) -> NDArray[np.int64]:  # (draws, layers, experts)
    """Draw the device of each expert at random, as many experts on each.

    Parameters
    ----------
    experts, devices
        As of `contiguous`; what stands beyond a layer's experts is −1.
    draws
        How many placements.
    rng
        Seed or generator.
    """
    generator = np.random.default_rng(rng)
    found = np.full((draws, len(experts), int(experts.max())), -1)
    for layer, number in enumerate(experts.tolist()):
        even = np.tile(np.arange(number) % devices, (draws, 1))
        found[:, layer, :number] = generator.permuted(even, axis=1)
    return found


def category_bins(loads: NDArray[np.number], devices: int) -> NDArray[np.int64]:  # (layers, experts)
    """Sort experts by the category that prefers them, and cut them into equal bins, one for each device.

    The preference f(c, e) is the share of category c's selections that expert e gets, divided by the sum of these
    shares over categories. Experts come by the category that prefers them most, and in it by falling preference, but
    those of the last category by rising preference: with two categories they are in the order of f(0, e), as in SMoES
    (arXiv:2604.23996).

    Parameters
    ----------
    loads
        Selections of each category ``(categories, layers, experts)``; of at least two categories.
    devices
        A divisor of the number of experts.
    """
    totals = loads.sum(axis=2, keepdims=True)
    shares = loads / np.where(totals > 0, totals, 1)
    sums = shares.sum(axis=0)
    preference = shares / np.where(sums > 0, sums, 1)
    favourite = preference.argmax(axis=0)
    strength = preference.max(axis=0)
    rising = favourite == len(loads) - 1
    order = np.lexsort((np.where(rising, strength, -strength), favourite), axis=1)
    device = np.empty_like(order)
    np.put_along_axis(device, order, np.tile(np.arange(order.shape[1]) * devices // order.shape[1], (len(order), 1)), 1)
    return np.asarray(device)
