"""Prompts in the plane of their first two principal components."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Components:
    """Prompts in the plane of greatest variance; see `moexray.stats.categories.pca.PrincipalComponents`."""

    explained_variance_ratio: tuple[float, ...]
    coordinates: tuple[tuple[float, ...], ...]
    prompt_ids: tuple[str, ...]
    silhouette: float | None
