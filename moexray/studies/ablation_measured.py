"""Interventions on routing, and what a model does under them: what a study asks for, and what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Experts = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Intervention:
    """What is changed in the routing of every token, or of those of the kind that the model was told.

    Attributes
    ----------
    kind
        ``without``: no token is sent to `experts`; ``forced``: all tokens of their layers are sent to `experts`;
        ``ranks``: tokens go without their selections of the greatest gate weights, `ranks` of them, in `layers`;
        ``drawn``: without as many of their selections drawn at random, by `seed`.
    experts
        By the index of the decoder layer.
    layers, ranks, seed
        See `kind`.
    """

    kind: Literal["without", "forced", "ranks", "drawn"]
    experts: Experts = field(default_factory=dict)
    layers: tuple[int, ...] = ()
    ranks: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a model does with some prompts.

    Attributes
    ----------
    losses
        The loss of each prompt's scored tokens, summed, in nats ``(prompts,)``.
    tokens
        How many these are ``(prompts,)``.
    mean_k
        Experts that a token is sent to in a layer, on average.
    written
        The tokens that it writes after each prompt, where that was asked for.
    texts
        Their text.
    kinds
        `mean_k` by the kind of token, where there are several; None for a kind without a token.
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.int64]
    mean_k: float
    written: tuple[tuple[int, ...], ...] | None = None
    texts: tuple[str, ...] | None = None
    kinds: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Usage:
    """How some prompts use experts.

    Attributes
    ----------
    counts
        Selections of each prompt ``(prompts, layers, experts)``.
    mass
        Gate weights added up ``(layers, experts)``.
    pairs
        Tokens that select both experts ``(layers, experts, experts)``; the diagonal holds those that select one.
    norms
        Mean over the tokens sent to an expert of gate weight × norm of its output ``(layers, experts)``, where that was
        asked for; 0 for an expert without tokens.
    """

    counts: NDArray[np.int64]
    mass: NDArray[np.float64]
    pairs: NDArray[np.int64]
    norms: NDArray[np.float64] | None = None


class Ablatable(Protocol):
    """A model with prompts, whose routing can be changed."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Index of each MoE layer in the model."""
        ...

    @property
    def experts(self) -> tuple[int, ...]:
        """Experts of each layer."""
        ...

    @property
    def top_k(self) -> tuple[int, ...]:
        """Experts that each layer selects for a token."""
        ...

    def usage(self, rows: NDArray[np.int64], *, norms: bool) -> Usage:
        """Return how the prompts at these places use experts."""
        ...

    def run(self, rows: NDArray[np.int64], change: Intervention | None, *, write: bool) -> Outcome:
        """Return what the model does with the prompts at these places; None changes nothing."""
        ...
