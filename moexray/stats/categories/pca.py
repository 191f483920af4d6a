"""First two principal components of signatures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.clusters import silhouette


@dataclass(frozen=True)
class PrincipalComponents:
    """Coordinates of each prompt along the first two principal components.

    Attributes
    ----------
    explained_variance_ratio
        Share of the variance along each component ``(2,)``.
    coordinates
        ``(prompts, 2)``; each component's sign makes its largest weight positive.
    silhouette
        Mean silhouette of the categories in these two coordinates, from −1 to 1 (P. Rousseeuw,
        J. Comput. Appl. Math. 20, 1987); None unless there are two categories, one of them with two prompts of
        different units.
    """

    explained_variance_ratio: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    silhouette: float | None


def principal_components(
    vectors: NDArray[np.float64], labels: Sequence[str], *, groups: Sequence[str] | None = None
) -> PrincipalComponents:
    """Project the centred signatures onto their first two principal components.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``.
    labels
        The category of each prompt.
    groups
        The group of each prompt: distances inside a group do not count in the silhouette.

    Raises
    ------
    NotComputable
        If there are fewer than three prompts, or all signatures are equal.
    """
    if len(vectors) < 3:
        message = f"two components need at least three prompts, not {len(vectors)}"
        raise NotComputable(message)
    centred = vectors - vectors.mean(axis=0)
    left, lengths, components = np.linalg.svd(centred, full_matrices=False)
    total = (lengths**2).sum()
    if total <= np.finfo(float).eps ** 2 * vectors.size:
        message = "all signatures are the same"
        raise NotComputable(message)
    largest = np.abs(components[:2]).argmax(axis=1)
    signs = np.sign(components[np.arange(len(largest)), largest])
    coordinates = left[:, :2] * lengths[:2] * signs
    return PrincipalComponents(
        explained_variance_ratio=np.asarray(lengths[:2] ** 2 / total),
        coordinates=np.asarray(coordinates),
        silhouette=silhouette(coordinates, labels, groups),
    )
