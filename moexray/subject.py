"""What an analysis is about: signatures of one phase, the options, and what could not be computed."""

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from moexray.signatures import Phase, Signatures


@dataclass(frozen=True)
class Subject:
    """What the statistics look at: prompts that have a token in the phase, and where to note what is missing."""

    signatures: Signatures
    phase: Phase
    permutations: int
    seed: int
    folds: int
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The category of each prompt."""
        return self.signatures.categories

    @property
    def by_layer(self) -> NDArray[np.float64]:  # (prompts, layers, experts)
        """Signatures, each layer's shares apart."""
        return self.signatures.vectors(self.phase).reshape(len(self.signatures), len(self.signatures.layers), -1)

    @property
    def classing(self) -> dict[str, Any]:
        """What makes the folds of every classifier the same."""
        return {"folds": self.folds, "groups": self.signatures.groups, "seed": self.seed}

    def rng(self, name: str) -> np.random.Generator:
        """Each statistic draws from a stream of its own, so that a new one leaves the others as they were."""
        return np.random.default_rng([self.seed, crc32(name.encode())])
