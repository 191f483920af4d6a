"""The balance that uniform routing gives to as many tokens: every token selects k distinct experts at random."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.token_draws import counts_of_selections
from moexray.stats.layers.load import layer_loads

DRAWS = 50


@dataclass(frozen=True)
class EvenLoad:
    """Mean over draws of the measures of `moexray.stats.layers.load.LayerLoad`, in one layer."""

    entropy: float
    gini: float
    max_over_mean: float
    dead_experts: float


def even_loads(
    selections: NDArray[np.integer],
    tokens: int,
    experts: NDArray[np.integer],
    *,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> list[EvenLoad]:
    """Return the balance of uniform routing in every layer.

    Tokens are drawn independently of each other. Tokens of one image are not: their load is less even than this
    without a preference of the router. So no p-value is made of it.

    Parameters
    ----------
    selections
        Number of selections in each layer ``(layers,)``, none zero; as even over the tokens as can be.
    tokens
        Number of tokens.
    experts
        Number of experts of each layer ``(layers,)``.
    rng, draws
        Seed or generator, and number of draws.
    """
    return mean_balance(even_counts(selections, tokens, experts, rng=rng, draws=draws), experts)


def even_counts(
    selections: NDArray[np.integer],
    tokens: int,
    experts: NDArray[np.integer],
    *,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> NDArray[np.int64]:  # (draws, layers, experts)
    """Draw the loads of uniform routing: see `even_loads`."""
    return counts_of_selections(
        np.tile(selections, (draws, 1)),
        np.full(draws, tokens),
        np.asarray(experts),
        rng=np.random.default_rng(rng),
    )


def mean_balance(loads: NDArray[np.integer], experts: NDArray[np.integer]) -> list[EvenLoad]:
    """Return the balance of drawn loads ``(draws, layers, experts)`` in every layer, as a mean over draws."""
    by_draw = [layer_loads(draw, experts) for draw in loads]
    return [
        EvenLoad(
            entropy=float(np.mean([one.entropy for one in layer])),
            gini=float(np.mean([one.gini for one in layer])),
            max_over_mean=float(np.mean([one.max_over_mean for one in layer])),
            dead_experts=float(np.mean([one.dead_experts for one in layer])),
        )
        for layer in zip(*by_draw, strict=True)
    ]
