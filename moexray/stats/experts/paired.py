"""Comparison of two routers on the same prompts: the divergence of their loads, and the experts whose load changed.

Under the null hypothesis that both are the same router up to chance, the two captures of a unit (a prompt, or all
prompts of one group) are exchangeable. Exchanging them turns the sign of the unit's difference and leaves its square.
So over the exchanges the mean difference divided by its standard error grows with the mean difference alone: the
studentised test is the same test, and it holds, to first order, where only the mean difference over units is zero, even
if units differ in spread (J. Romano, J. Am. Stat. Assoc. 85, 1990, on sign changes).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.intervals import bounded, clipped
from moexray.stats.inference.jackknife import mean_interval
from moexray.stats.inference.multiple import benjamini_hochberg
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.summaries import COSINES

_ROUNDING, _MOST_NUMBERS = 1e-12, 2**22


@dataclass(frozen=True)
class PairedLayer:
    """One layer of two routers, over the prompts that both have a signature of.

    Attributes
    ----------
    prompts
        Their number.
    jensen_shannon, p_value
        Divergence of the mean shares in bits, from 0 to 1, and its p from exchanging the routers within units.
    expected
        Mean divergence over the exchanges: what chance alone makes of one router. Of n units it includes about 1/n of
        a divergence that is not chance.
    similarity, similarity_ci
        Mean cosine similarity of a prompt's two signatures, and its 95 % interval over units.
    differences, adjusted
        Mean share of each expert in the second router minus the first ``(experts,)``, and its two-sided p,
        Benjamini–Hochberg adjusted over the experts of all layers.
    """

    prompts: int
    jensen_shannon: float
    p_value: float
    expected: float
    similarity: float
    similarity_ci: tuple[float, float] | None
    differences: NDArray[np.float64]
    adjusted: NDArray[np.float64]


def paired_routing(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
    experts: NDArray[np.integer] | None = None,
) -> list[PairedLayer]:
    """Compare two routers layer by layer, over the same prompts.

    A permutation exchanges the two signatures of every prompt in a random subset of units; all layers share the
    permutations.

    Parameters
    ----------
    first, second
        Shares of each router ``(prompts, layers, experts)``. A prompt whose shares are all zero in a layer of either,
        because a router dropped all of its tokens there, is left out of that layer.
    labels
        The category of each prompt.
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    permutations, rng
        Number of exchanges, and their seed or generator.
    experts
        Number of experts of each layer ``(layers,)``, where layers differ: columns beyond it are not tested, and their
        difference and p are NaN. By default every column is an expert.

    Raises
    ------
    NotComputable
        If no prompt has a signature of both in some layer.
    """
    there = np.asarray(first.any(axis=2) & second.any(axis=2))
    if not there.all():
        first, second = (np.where(there[..., None], one, 0) for one in (first, second))
    prompts = there.sum(axis=0)
    if not prompts.all():
        place = f"layer {int(prompts.argmin()) + 1} of the {len(prompts)} compared"
        message = f"no prompt has a selection by both routers in {place}"
        raise NotComputable(message)
    units = units_of(labels, groups)
    changes = units.by_unit(second - first) / prompts[:, None]
    middle, observed = (first + second).sum(axis=0) / prompts[:, None] / 2, changes.sum(axis=0)
    distances = [_distances(middle, observed[None])]
    reached = np.zeros_like(observed)
    generator, size = np.random.default_rng(rng), max(1, _MOST_NUMBERS // max(observed.size, len(changes)))
    for start in range(0, permutations, size):
        signs = generator.choice([-1.0, 1.0], size=(min(size, permutations - start), len(changes)))
        exchanged = np.tensordot(signs, changes, axes=1)
        reached += (np.abs(exchanged) >= np.abs(observed) - _ROUNDING).sum(axis=0)
        distances.append(_distances(middle, exchanged))
    null = np.concatenate(distances)
    tested = (1 + reached) / (1 + permutations)
    if experts is not None:
        missing = np.arange(observed.shape[1]) >= np.asarray(experts)[:, None]
        observed[missing] = tested[missing] = np.nan
    adjusted = benjamini_hochberg(tested)
    layers = range(len(observed))
    rows = [np.flatnonzero(there[:, layer]) for layer in layers]
    similar = [_similarity(first[rows[n], n], second[rows[n], n], units.take(rows[n])) for n in layers]
    return [
        PairedLayer(
            prompts=int(prompts[layer]),
            jensen_shannon=float(null[0, layer]),
            p_value=p_value(float(null[0, layer]), null[1:, layer]),
            expected=float(null[1:, layer].mean()),
            similarity=similar[layer][0],
            similarity_ci=similar[layer][1],
            differences=observed[layer],
            adjusted=adjusted[layer],
        )
        for layer in layers
    ]


def least_exchange_p(units: int) -> float:
    """Return the smallest p that exchanges in so many units can give: all of them exchanged change nothing."""
    return float(min(1.0, 2.0 ** (1 - units)))


def _distances(middle: NDArray[np.float64], differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the divergences of pairs of mean shares, given by the middle of a pair and its difference."""
    halves = differences / 2
    return jensen_shannon(np.maximum(middle - halves, 0), np.maximum(middle + halves, 0))


def _similarity(
    first: NDArray[np.float64], second: NDArray[np.float64], units: Units
) -> tuple[float, tuple[float, float] | None]:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.einsum("pe,pe->p", first, second) / lengths
    interval = mean_interval(cosines, units.categories, units=units)
    return bounded(float(cosines.mean()), COSINES), clipped(interval, COSINES)
