"""Comparison of two routers on the same prompts: the divergence of their loads, and the experts whose load changed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.multiple import benjamini_hochberg
from moexray.stats.inference.permutation import p_value
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.summaries import COSINES

_MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class PairedLayer:
    """One layer of two routers.

    Attributes
    ----------
    jensen_shannon, p_value
        Divergence of the mean shares in bits, from 0 to 1, and its p from exchanging the routers within prompts.
    similarity, similarity_ci
        Mean cosine similarity of a prompt's two signatures, and its 95 % interval over prompts.
    differences, adjusted
        Mean share of each expert in the second router minus the first ``(experts,)``, and its two-sided p,
        Benjamini–Hochberg adjusted over the experts of all layers.
    """

    jensen_shannon: float
    p_value: float
    similarity: float
    similarity_ci: tuple[float, float] | None
    differences: NDArray[np.float64]
    adjusted: NDArray[np.float64]


def paired_routing(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    experts: NDArray[np.integer] | None = None,
) -> list[PairedLayer]:
    """Compare two routers layer by layer, over the same prompts.

    Under the null hypothesis that both are the same router up to chance, the two signatures of a prompt are
    exchangeable. A permutation exchanges them in a random subset of prompts; all layers share the permutations.

    Parameters
    ----------
    first, second
        Shares of each router ``(prompts, layers, experts)``.
    labels
        The category of each prompt.
    permutations, rng
        Number of exchanges, and their seed or generator.
    experts
        Number of experts of each layer ``(layers,)``, where layers differ: columns beyond it are not tested, and their
        difference and p are NaN. By default every column is an expert.
    """
    generator, prompts = np.random.default_rng(rng), len(first)
    differences = second - first
    middle, observed = (first + second).mean(axis=0) / 2, differences.mean(axis=0)
    distances = [_distances(middle, observed[None])]
    reached = np.zeros_like(observed)
    size = max(1, _MOST_NUMBERS // max(observed.size, prompts))
    for start in range(0, permutations, size):
        signs = generator.choice([-1.0, 1.0], size=(min(size, permutations - start), prompts))
        exchanged = np.tensordot(signs, differences, axes=1) / prompts
        reached += (np.abs(exchanged) >= np.abs(observed) - 1e-12).sum(axis=0)
        distances.append(_distances(middle, exchanged))
    null = np.concatenate(distances)
    tested = (1 + reached) / (1 + permutations)
    if experts is not None:
        missing = np.arange(observed.shape[1]) >= np.asarray(experts)[:, None]
        observed[missing] = tested[missing] = np.nan
    adjusted = benjamini_hochberg(tested)
    numbers = category_numbers(labels)
    return [
        PairedLayer(
            jensen_shannon=float(null[0, layer]),
            p_value=p_value(float(null[0, layer]), null[1:, layer]),
            similarity=(similarity := _similarity(first[:, layer], second[:, layer], numbers))[0],
            similarity_ci=similarity[1],
            differences=observed[layer],
            adjusted=adjusted[layer],
        )
        for layer in range(len(observed))
    ]


def _distances(middle: NDArray[np.float64], differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the divergences of pairs of mean shares, given by the middle of a pair and its difference."""
    halves = differences / 2
    return jensen_shannon(np.maximum(middle - halves, 0), np.maximum(middle + halves, 0))


def _similarity(
    first: NDArray[np.float64], second: NDArray[np.float64], numbers: NDArray[np.integer]
) -> tuple[float, tuple[float, float] | None]:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.einsum("pe,pe->p", first, second)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return bounded(float(cosines.mean()), COSINES), clipped(mean_interval(cosines, numbers), COSINES)
