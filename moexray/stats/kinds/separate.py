"""Two kinds of tokens compared where no unit holds both, as documents of text alone and images alone.

Kinds then differ as their prompts do: what a kind does and what its prompts do cannot be told apart. The floor is of
kinds shuffled over units. The test is `moexray.stats.categories.location`, studentised: it holds its level where the
kinds differ in number, length and spread, and not in mean.
"""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.location import layer_locations
from moexray.stats.kinds.bias import check_enough, check_present, information, shares_of, specialisation
from moexray.stats.kinds.exchange import KindDifference, difference_of, without_each


def difference_between(
    first: NDArray[np.integer], second: NDArray[np.integer], *, permutations: int, rng: int | np.random.Generator
) -> KindDifference:
    """Compare two kinds of which every unit holds one.

    Parameters
    ----------
    first, second
        Selections by the units of each kind ``(units of the kind, layers, experts)``. A unit without a selection in a
        layer is left out of it.
    permutations, rng
        Number of permutations of kinds over units, and their seed or generator.

    Raises
    ------
    NotComputable
        If a kind has fewer than three units, or no unit with a selection in some layer.
    """
    for counts in (first, second):
        check_enough(len(counts), "hold one of the kinds")
    generator = np.random.default_rng(rng)
    shares = shares_of(np.concatenate([first, second]))
    labels = np.repeat([0, 1], [len(first), len(second)])
    present = np.asarray(shares.any(axis=2))
    for kind in (0, 1):
        check_present(present[labels == kind], "a selection of each kind")
    tested = layer_locations(shares, labels.astype(str).tolist(), permutations=permutations, rng=generator)
    rows = [labels, *(generator.permutation(labels) for _ in range(permutations))]
    found = [_statistics(shares, present, row) for row in rows]
    msi, bits = (np.stack(parts) for parts in zip(*found, strict=True))
    return difference_of((msi, bits, tested), means_without_each(shares, present, labels), labels, present=present)


def mean_shares(
    shares: NDArray[np.float64], present: NDArray[np.bool_], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (layers, experts) each
    """Return the mean shares of the units labelled 0 and of those labelled 1; zero where none is present."""
    rows = ((labels == kind).astype(np.float64) for kind in (0, 1))
    first, second = (np.tensordot(one, shares, axes=1) / np.maximum(one @ present, 1)[:, None] for one in rows)
    return first, second


def _statistics(
    shares: NDArray[np.float64], present: NDArray[np.bool_], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (layers,) each
    first, second = mean_shares(shares, present, labels)
    return specialisation(first, second), information(first, second) / np.log(2)


def means_without_each(
    shares: NDArray[np.float64], present: NDArray[np.bool_], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean shares of units labelled 0 and 1 without each unit: only those of its own label change."""
    means = mean_shares(shares, present, labels)
    found = []
    for kind, mean in enumerate(means):
        rows = labels == kind
        left = np.broadcast_to(mean, shares.shape).copy()
        left[rows] = without_each(shares[rows], present[rows])
        found.append(left)
    return found[0], found[1]
