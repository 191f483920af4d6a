"""An analysis that claims are tested against, and what several tests compute from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.formats import p_text
from moexray.signatures import Signatures
from moexray.stats.categories.clusters import CategorySilhouettes, category_silhouettes
from moexray.stats.categories.plane_intervals import silhouette_intervals
from moexray.stats.inference.replication import Estimate
from moexray.studies.analysis import Analysis
from moexray.studies.cohort import stream
from moexray.studies.limits import LEVEL, LIMITS
from moexray.studies.results import Result

T = TypeVar("T")


@dataclass(frozen=True)
class Separation:
    """Whether categories are separated beyond chance.

    Attributes
    ----------
    p_value
        Of the test of location, or, where the analysis has none, of permuted labels.
    text
        The p-value in words, and whether the permuted labels of the study's own statistic disagree.
    here
        Both p-values, for the JSON.
    """

    p_value: float | None
    text: str
    here: Mapping[str, float | None]

    @property
    def significant(self) -> bool:
        """Whether the p-value is below the level."""
        return self.p_value is not None and self.p_value < LEVEL


@dataclass(frozen=True)
class Case:
    """An analysis, the signatures that it is of, and results of other studies by the command that made them."""

    signatures: Signatures
    analysis: Analysis
    results: Mapping[str, Result] = field(default_factory=dict)

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
    def separation(self) -> Separation:
        """The separation of categories: by location, which neither length nor spread can make, where that was tested.

        The statistic of the study, mean similarity within minus across under permuted labels, is named beside it where
        the two disagree, and decides where there is no test of location.
        """
        tested = self.analysis.permutation
        location = self.analysis.location
        own = None if tested is None else tested.p_value
        if location is None:
            why = self.analysis.reason("permutation")
            text = p_text(own) if own is not None or why is None else f"{p_text(own)}: {why}"
            return Separation(own, text, {"p_value": own})
        p = location.p_value
        text = f"location {p_text(p)}"
        if own is not None and (own < LEVEL) != (p < LEVEL):
            text += f", while permuted labels of the study's own statistic give {p_text(own)}"
        return Separation(p, text, {"p_value": own, "location_p_value": p})

    def of_pairs(self, value: float, ci: tuple[float, float]) -> Estimate:
        """Return a value over pairs and the interval to compare it by: a little wider where prompts are few.

        Of n prompts a category, jackknife intervals cover less than 95 %: 0.92 of 95 at five. Wider by √(n / (n − 1)),
        no more than 5 % of exact replications are different.
        """
        about = self.analysis.signatures
        wider = sqrt(about.prompts / max(1, about.prompts - len(about.categories)))
        return Estimate(value, (value + wider * (ci[0] - value), value + wider * (ci[1] - value)))

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
        return tuple(self._of_plane(self.signatures.prompts.categories))

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each prompt of the plane; None where prompts have none."""
        groups = self.signatures.prompts.groups
        return None if groups is None else tuple(self._of_plane(groups))

    def _of_plane(self, values: Sequence[str]) -> list[str]:
        by_id = dict(zip(self.signatures.prompts.ids, values, strict=True))
        return [by_id[name] for name in self.known(self.analysis.pca, "pca").prompt_ids]

    @cached_property
    def silhouette_intervals(self) -> Mapping[str, tuple[float, float] | None]:
        """The 95 % interval of each category's mean silhouette in the plane."""
        return silhouette_intervals(self.plane, self.labels, groups=self.groups)

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
