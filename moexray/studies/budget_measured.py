"""What was measured of a model under one policy, prompt by prompt, for `moexray.studies.budget`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Routed:
    """Tokens that passed the routers, and their selections of each layer ``(layers,)``."""

    routed: int
    selections: NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """What was measured on the scored prompts under one policy; the same texts under each.

    Attributes
    ----------
    policy, keep, rule
        The policy's name, the share in percent that it was made for, and its rule in JSON values.
    normalisation
        How the experts that are left are weighed.
    losses, tokens
        Sum of the losses in nats, and number, of the scored tokens of each prompt ``(prompts, segments)``.
    selections, routed
        Selections of each layer, over all tokens ``(layers,)``, and how many tokens passed.
    selected, steps
        How many prompts select each expert at each generated step ``(steps, layers, experts)``, and how many prompts
        have the step ``(steps,)``.
    written
        Generated tokens of each prompt under full routing ``(prompts,)``; None where nothing was generated.
    same_tokens, same_texts
        How many of them come before the first that differs from full routing's, and whether the texts are equal.
    keep_kinds
        The shares by the kind of token, where they are not the same.
    by_kind
        `routed` and `selections` by the kind of token; None where all are text.
    batches, seconds
        Sizes of timed batches, and seconds of each turn ``(turns, sizes)``, not a number where a size does not fit.
    """

    policy: str
    keep: float
    rule: Mapping[str, Any]
    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]
    selections: NDArray[np.int64]
    routed: int
    selected: NDArray[np.int64]
    steps: NDArray[np.int64]
    normalisation: str = "native"
    keep_kinds: Mapping[str, float] | None = None
    by_kind: Mapping[str, Routed] | None = None
    written: NDArray[np.int64] | None = None
    same_tokens: NDArray[np.int64] | None = None
    same_texts: NDArray[np.bool_] | None = None
    batches: tuple[int, ...] = ()
    seconds: NDArray[np.float64] | None = None

    def mean_k(self) -> tuple[float, tuple[float, ...]]:
        """Return the mean number of experts of a token, over all layers and of each layer."""
        layers = self.selections / max(self.routed, 1)
        return float(layers.mean()), tuple(layers.tolist())
