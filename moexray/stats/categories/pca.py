"""Signatures in their first two principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable


@dataclass(frozen=True)
class PrincipalComponents:
    """Where each prompt lies in the plane of greatest variance.

    Attributes
    ----------
    explained_variance_ratio
        Share of the variance along each component ``(2,)``.
    coordinates
        ``(prompts, 2)``; a component's sign is such that its largest weight is positive.
    silhouette
        Mean silhouette of the categories in these two coordinates, from −1 to 1 (P. Rousseeuw,
        J. Comput. Appl. Math. 20, 1987); None where there are not at least two, one of them with two prompts.
    """

    explained_variance_ratio: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    silhouette: float | None


def principal_components(vectors: NDArray[np.float64], labels: Sequence[str]) -> PrincipalComponents:
    """Project the centred signatures ``(prompts, dimensions)`` onto two components.

    Raises
    ------
    NotComputable
        If there are fewer than three prompts, or they are all alike.
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
        silhouette=_silhouette(coordinates, labels),
    )


def _silhouette(coordinates: NDArray[np.float64], labels: Sequence[str]) -> float | None:
    if not 2 <= len(set(labels)) < len(labels):
        return None
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(coordinates, list(labels)))
