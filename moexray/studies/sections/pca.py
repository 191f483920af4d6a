"""Prompts in the plane of their first two principal components."""

from collections.abc import Iterator
from dataclasses import dataclass

from moexray.stats.categories.pca import principal_components
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Components:
    """Prompts in the plane of greatest variance; see `moexray.stats.categories.pca.PrincipalComponents`."""

    explained_variance_ratio: tuple[float, float]
    coordinates: tuple[tuple[float, float], ...]
    prompt_ids: tuple[str, ...]
    silhouette: float | None
    categories: tuple[str, ...] | None = optional()

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield what one category leaves out."""
        if self.silhouette is None:
            yield (
                "silhouette",
                "it needs two categories, one of them with two prompts, of different groups if they have any",
            )


def plane(cohort: Cohort, _notes: Notes) -> Components:
    """Project signatures onto their first two principal components."""
    found = principal_components(cohort.vectors, cohort.labels, groups=cohort.groups)
    return Components(
        explained_variance_ratio=tuple(found.explained_variance_ratio.tolist()),
        coordinates=tuple(map(tuple, found.coordinates.tolist())),
        prompt_ids=tuple(cohort.signatures.prompts.ids),
        silhouette=found.silhouette,
        categories=tuple(cohort.labels),
    )
