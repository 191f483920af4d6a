"""What the tests of claims look at: signatures, their analysis, and the clusters in its plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.clusters import CategorySilhouettes, category_silhouettes

LEVEL = 0.05
# A shuffle of a thousand prompts takes milliseconds; a thousand of them give p down to 0.001.
MOST_PERMUTATIONS = 1000


@dataclass(frozen=True)
class Evidence:
    """Signatures, and the document of their analysis."""

    signatures: Signatures
    document: Mapping[str, Any]

    def get(self, *keys: str) -> Any:
        """Return what the document holds under these keys.

        Raises
        ------
        NotComputable
            If it is null there; gives the reason of the document's notes.
        """
        value: Any = self.document
        for depth, key in enumerate(keys, start=1):
            value = value.get(key)
            if value is None:
                raise NotComputable(self._reason(keys[:depth]))
        return value

    def _reason(self, keys: tuple[str, ...]) -> str:
        for depth in range(len(keys), 0, -1):
            note = self.document["notes"].get(".".join(keys[:depth]))
            if note is not None:
                return str(note)
        return f"the analysis has no {'.'.join(keys)}"

    @property
    def permutations(self) -> int:
        """Shuffles of each test on the plane."""
        return min(int(self.document["settings"]["permutations"]), MOST_PERMUTATIONS)

    def rng(self, name: str) -> np.random.Generator:
        """Each test draws from a stream of its own."""
        return np.random.default_rng([self.document["settings"]["seed"], crc32(f"claims.{name}".encode())])

    @cached_property
    def plane(self) -> NDArray[np.float64]:  # (prompts, 2)
        """Prompts in two principal components."""
        return np.asarray(self.get("pca", "coordinates"), dtype=np.float64)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The category of each prompt of the plane."""
        categories = dict(zip(self.signatures.prompts.ids, self.signatures.prompts.categories, strict=True))
        return tuple(categories[name] for name in self.get("pca", "prompt_ids"))

    @cached_property
    def silhouettes(self) -> CategorySilhouettes:
        """How well each category keeps to itself in the plane."""
        return category_silhouettes(
            self.plane, self.labels, permutations=self.permutations, rng=self.rng("silhouettes")
        )
