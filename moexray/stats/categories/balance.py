"""Null distributions of similarity under load balancing alone: uniform load, and the observed load."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.stats.inference.intervals import bounded
from moexray.stats.pairs.similarity import Similarity, unit_rows
from moexray.stats.pairs.summaries import COSINES

DRAWS = 100
# More than the rounding error of a mean of cosines. Where all draws have the same similarity, as when a token goes to
# all experts, the observed one must be neither above nor below.
_ROUNDING = 1e-12
# A binomial draw takes about as long as ten picks of an expert.
_PICKS_AN_OFFER = 10


@dataclass(frozen=True)
class Baseline:
    """Mean similarity of all pairs under a null.

    Attributes
    ----------
    mean, ci
        Mean over draws, and the central 95 % of the draws.
    within_above, across_below
        Whether the observed mean within lies above that interval, and the observed mean across below it.
    """

    mean: float
    ci: tuple[float, float]
    within_above: bool
    across_below: bool


def uniform_baseline(
    tokens: NDArray[np.integer],
    top_k: NDArray[np.integer],
    experts: int | NDArray[np.integer],
    *,
    observed: Similarity,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> Baseline:
    """Null of perfect balance: in every layer, every token picks its k experts uniformly, without replacement.

    Parameters
    ----------
    tokens
        Routed tokens of each prompt ``(prompts,)``, none zero.
    top_k
        Experts of a token in each layer ``(layers,)``.
    experts
        Number of experts of each layer ``(layers,)``, or one number for all layers.
    observed
        The similarity to compare with the null.
    rng
        Seed or generator of the draws.
    draws
        How many sets of signatures are drawn.
    """
    generator = np.random.default_rng(rng)
    return _baseline(lambda: uniform_counts(tokens, top_k, experts, rng=generator), observed, draws)


def load_matched_baseline(
    counts: NDArray[np.integer], *, observed: Similarity, rng: int | np.random.Generator, draws: int = DRAWS
) -> Baseline:
    """Null of the observed load: each expert's total is kept, and which prompts selected it is random.

    In each layer a random table with the observed margins is drawn: every prompt's number of selections and every
    expert's total. Selections are independent, so a token may select an expert twice, which a router never does.

    Parameters
    ----------
    counts
        Selections ``(prompts, layers, experts)``; every prompt has some.
    observed
        The similarity to compare with the null.
    rng
        Seed or generator of the draws.
    draws
        How many sets of tables are drawn.
    """
    from scipy.stats import random_table

    generator = np.random.default_rng(rng)
    tables = [random_table(counts[:, layer].sum(axis=1), counts[:, layer].sum(axis=0)) for layer in _layers(counts)]

    def draw() -> NDArray[np.int64]:
        return np.stack([table.rvs(random_state=generator) for table in tables], axis=1).astype(np.int64)

    return _baseline(draw, observed, draws)


def uniform_counts(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: int | NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts of the largest layer)
    """Draw how often each prompt selects each expert, when every token picks k of a layer's experts at random.

    Token by token, or, where prompts are long, expert by expert: the distribution is the same, the time is the
    shorter one.
    """
    sizes = np.broadcast_to(experts, top_k.shape)
    picks, offers = int(tokens.sum()) * int(top_k.sum()), len(tokens) * int((sizes * top_k).sum())
    draw = counts_by_token if picks < _PICKS_AN_OFFER * offers else counts_by_expert
    return draw(tokens, top_k, sizes, rng=rng)


def counts_by_token(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Draw the k experts of every token (R. Floyd, in J. Bentley, Commun. ACM 30, 1987).

    For each m from E − k to E − 1, with E the number of experts, draw one of the experts 0 to m; take it if it is
    new, and otherwise take m, which cannot have been drawn. Every set of k is equally likely.
    """
    prompt = np.repeat(np.arange(len(tokens)), tokens)
    counts = np.zeros((len(tokens), len(top_k), int(experts.max())), dtype=np.int64)
    for layer, (k, size) in enumerate(zip(top_k.tolist(), experts.tolist(), strict=True)):
        chosen: list[NDArray[np.int16]] = []
        for most in range(size - k, size):
            drawn = rng.integers(most + 1, size=len(prompt), dtype=np.int16)
            for other in chosen:
                drawn[drawn == other] = most
            chosen.append(drawn)
        places = np.concatenate([prompt * size + drawn for drawn in chosen])
        counts[:, layer, :size] = np.bincount(places, minlength=len(tokens) * size).reshape(len(tokens), size)
    return counts


def counts_by_expert(
    tokens: NDArray[np.integer], top_k: NDArray[np.integer], experts: NDArray[np.integer], *, rng: Generator
) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Draw how many tokens select each expert, in a time that does not grow with the number of tokens.

    Experts are offered one after another. A token that still needs r of the m experts left takes the next one with
    probability r/m, so the number of takers among the tokens that need r is binomial.
    """
    most = int(top_k.max())
    needing = np.zeros((most + 1, len(tokens), len(top_k)), dtype=np.int64)  # tokens that still need 0, 1, … k
    for layer, k in enumerate(top_k):
        needing[k, :, layer] = tokens
    counts = np.zeros((len(tokens), len(top_k), int(experts.max())), dtype=np.int64)
    for expert in range(counts.shape[2]):
        left = experts - expert  # none, or fewer than none, in layers that have offered all their experts
        for r in range(1, min(most, int(left.max())) + 1):
            takers = rng.binomial(needing[r], np.minimum(r / np.maximum(left, 1), 1))
            needing[r] -= takers
            needing[r - 1] += takers
            counts[:, :, expert] += takers
    return counts


def _baseline(draw: Callable[[], NDArray[np.int64]], observed: Similarity, draws: int) -> Baseline:
    means = [_mean_similarity(draw()) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    within, across = observed.within.mean, observed.across.mean
    return Baseline(
        mean=float(np.mean(means)),
        ci=(float(low), float(high)),
        within_above=within is not None and bool(within > high + _ROUNDING),
        across_below=across is not None and bool(across < low - _ROUNDING),
    )


def _mean_similarity(counts: NDArray[np.int64]) -> float:
    """Mean cosine over all pairs of prompts, from the sum of their unit signatures: (|Σu|² − P) / (P (P − 1))."""
    shares = counts / counts.sum(axis=2, keepdims=True)
    units = unit_rows(shares.reshape(len(counts), -1))
    total = units.sum(axis=0)
    return bounded((total @ total - len(units)) / (len(units) * (len(units) - 1)), COSINES)


def _layers(counts: NDArray[np.integer]) -> range:
    return range(counts.shape[1])
