"""An analysis that claims are tested against, and what several tests compute from it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.clusters import CategorySilhouettes, category_silhouettes
from moexray.studies.analysis import Analysis
from moexray.studies.cohort import stream
from moexray.studies.limits import LIMITS

T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """An analysis, and the signatures that it is of."""

    signatures: Signatures
    analysis: Analysis

    def known(self, value: T | None, name: str) -> T:
        """Return a value of the analysis.

        Raises
        ------
        NotComputable
            If it is None; with the reason that the notes give for the part of this name.
        """
        if value is None:
            raise NotComputable(self.analysis.reason(name) or f"the analysis has no {name}")
        return value

    @property
    def p_value(self) -> float:
        """The permutation p-value of the category effect."""
        return self.known(self.analysis.permutation, "permutation").p_value

    @property
    def permutations(self) -> int:
        """Permutations of each test on the plane."""
        return min(self.analysis.settings.permutations, LIMITS.plane_permutations)

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of the test of this name."""
        return stream(self.analysis.settings.seed, f"claims.{name}")

    @cached_property
    def plane(self) -> NDArray[np.float64]:  # (prompts, 2)
        """Prompts in two principal components."""
        return np.asarray(self.known(self.analysis.pca, "pca").coordinates, dtype=np.float64)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The category of each prompt of the plane."""
        prompts = self.signatures.prompts
        categories = dict(zip(prompts.ids, prompts.categories, strict=True))
        return tuple(categories[name] for name in self.known(self.analysis.pca, "pca").prompt_ids)

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each prompt of the plane; None where there are none."""
        prompts = self.signatures.prompts
        if prompts.groups is None:
            return None
        groups = dict(zip(prompts.ids, prompts.groups, strict=True))
        return tuple(groups[name] for name in self.known(self.analysis.pca, "pca").prompt_ids)

    @cached_property
    def silhouettes(self) -> CategorySilhouettes:
        """The silhouettes of the categories in the plane."""
        return category_silhouettes(
            self.plane,
            self.labels,
            groups=self.groups,
            permutations=self.permutations,
            rng=self.rng("silhouettes"),
        )
