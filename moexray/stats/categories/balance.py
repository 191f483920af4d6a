"""Null distributions of similarity under load balancing alone: uniform load, and the observed load.

Both say what the mean similarity within and across categories would be if a prompt's tokens selected k distinct experts
without regard to the prompt. Each draw is summarised as the observed counts are: pairs within and across the observed
categories, of the observed numbers of tokens, weighted alike. Short prompts have noisier signatures, so the mean over
all pairs would not do where categories differ in length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.token_draws import counts_of_selections, uniform_counts
from moexray.stats.categories.token_trades import TokenTrades
from moexray.stats.inference.cores import over_cores
from moexray.stats.inference.intervals import bounded
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.histogram import PairHistogram, histogram_of, pair_similarities
from moexray.stats.pairs.similarity import unit_rows
from moexray.stats.pairs.summaries import COSINES, Interval

# The ends of the interval are the 5th draw from either side: a further draw lies beyond an end in 5 of 200 cases.
DRAWS, _BEYOND = 199, 1 / 40
# Uniform draws are independent: so many streams of them are drawn at the same time, the same on any number of cores.
_PARTS = 8
# More than the rounding error of a mean of cosines. Where all draws have the same similarity, as when a token goes to
# all experts, the observed one must be neither above nor below.
_ROUNDING = 1e-12
# About so many pairs are in a histogram: those of all draws, or of every second, third, … where prompts are many.
_PAIRS_COUNTED = 1_000_000


@dataclass(frozen=True)
class WithinUnderNull:
    """Mean similarity of pairs within categories under a null.

    Attributes
    ----------
    mean, ci
        Mean over draws, and the interval that holds the central 95 % of them.
    observed, observed_above
        The observed mean of these pairs, and whether it lies above the interval. If the null were true it would in
        2.5 % of studies: the observed mean varies as one more draw does, so its own interval has no part in this.
    """

    mean: float
    ci: Interval
    observed: float
    observed_above: bool


@dataclass(frozen=True)
class AcrossUnderNull:
    """Mean similarity of pairs across categories under a null.

    Attributes
    ----------
    mean, ci
        Mean over draws, and the interval that holds the central 95 % of them.
    observed, observed_below
        The observed mean of these pairs, and whether it lies below the interval.
    """

    mean: float
    ci: Interval
    observed: float
    observed_below: bool


@dataclass(frozen=True)
class Baseline:
    """Mean similarity of pairs of prompts under a null.

    Attributes
    ----------
    mean, ci
        Of all pairs: mean over draws, and the interval that holds the central 95 % of them.
    within_above, across_below
        Whether the observed mean within lies above the null's interval of pairs within, and the observed mean across
        below that of pairs across; false where there are no such pairs.
    within, across
        The same of pairs within and across categories; None where there are no such pairs.
    histogram
        Similarities of all pairs in draws at even distances, some million pairs of them.
    """

    mean: float
    ci: Interval
    within_above: bool
    across_below: bool
    within: WithinUnderNull | None = None
    across: AcrossUnderNull | None = None
    histogram: PairHistogram | None = None  # files of earlier versions lack it


def uniform_baseline(
    counts: NDArray[np.integer],
    tokens: NDArray[np.integer],
    experts: int | NDArray[np.integer],
    *,
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> Baseline:
    """Null of perfect balance: in every layer, every token picks its k experts uniformly, without replacement.

    Parameters
    ----------
    counts
        Selections ``(prompts, layers, experts)``; every prompt has some. A prompt without a selection in a layer has
        none in the draws. Where a prompt has fewer than tokens times k, they are spread evenly over its tokens.
    tokens
        Routed tokens of each prompt ``(prompts,)``, none zero.
    experts
        Number of experts of each layer ``(layers,)``, or one number for all layers.
    labels, groups
        Category and group of each prompt; prompts of one group make no pair.
    rng
        Seed or generator of the draws.
    draws
        How many sets of signatures are drawn.

    Raises
    ------
    NotComputable
        If all draws have the same similarity, as where a token goes to every expert.
    """
    generator = np.random.default_rng(rng)
    sizes, selections = np.broadcast_to(experts, counts.shape[1]), counts.sum(axis=2)
    top_k = selections.max(axis=0) // tokens[selections.argmax(axis=0)]
    complete = (selections == tokens[:, None] * top_k).all()

    def draw(part: np.random.Generator) -> NDArray[np.int64]:
        if complete:
            return uniform_counts(tokens, top_k, sizes, rng=part)
        return counts_of_selections(selections, tokens, sizes, rng=part)

    def drawn(summary: _Summary) -> list[_Draw]:
        parts = list(zip(generator.spawn(_PARTS), range(_PARTS), strict=True))
        found = over_cores(
            lambda part: [summary.of(number, draw(part[0])) for number in range(part[1], draws, _PARTS)], parts
        )
        return [one for of_part in found for one in of_part]

    return _baseline(drawn, counts, labels, groups, draws)


def load_matched_baseline(
    counts: NDArray[np.integer],
    tokens: NDArray[np.integer],
    *,
    labels: Sequence[str],
    groups: Sequence[str] | None = None,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> Baseline:
    """Null of the observed load: how many tokens selected an expert is kept, and which tokens is random.

    In each layer all tables of tokens by experts are equally likely that have the observed number of tokens and of
    selections of every prompt, the observed load of every expert, and distinct experts in every token; see
    `moexray.stats.categories.token_trades`.

    Parameters
    ----------
    counts, tokens, labels, groups, rng, draws
        See `uniform_baseline`.

    Raises
    ------
    NotComputable
        If all draws have the same similarity, or a prompt selected an expert more often than it has tokens.
    """
    walk = TokenTrades.of(counts, tokens, np.random.default_rng(rng))
    return _baseline(
        lambda summary: [summary.of(number, walk.draw()) for number in range(draws)], counts, labels, groups, draws
    )


@dataclass(frozen=True)
class MeanSimilarities:
    """Mean cosine of all pairs of prompts of different units, of those within categories, and of those across.

    All three follow from sums of unit signatures: |Σu|² of a set of prompts is the sum over all its pairs, twice, and
    its size.
    """

    units: Units

    def of(self, counts: NDArray[np.integer]) -> NDArray[np.float64]:  # (3,), not finite where there is no such pair
        """Return the three means of counts ``(prompts, layers, experts)``; a layer without a selection counts zero."""
        return self.of_directions(_directions(counts))

    def of_directions(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:  # (3,)
        """Return the same of signatures of unit length ``(prompts, dimensions)``."""
        units = self.units
        of_category, total = _squares(rows, units.categories), rows.sum(axis=0) @ rows.sum(axis=0)
        of_part, of_unit = _squares(rows, units.parts), _squares(rows, units.units)
        sums = np.array([total - of_unit, of_category - of_part, total - of_category - of_unit + of_part]) / 2
        pairs = np.array([units.pairs_within + units.pairs_across, units.pairs_within, units.pairs_across])
        means = np.divide(sums, pairs, out=np.full(3, np.nan), where=pairs > 0)
        return np.asarray(means.clip(*COSINES))


def _directions(counts: NDArray[np.integer]) -> NDArray[np.float64]:  # (prompts, layers * experts)
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    return unit_rows(shares.reshape(len(counts), -1))


@dataclass(frozen=True)
class _Draw:
    """The three means of a draw, and the similarity of each of its pairs where they are counted ``(pairs,)``."""

    means: NDArray[np.float64]
    pairs: NDArray[np.float64] | None


@dataclass(frozen=True)
class _Summary:
    """How draws are summarised: pairs are counted in one of `every`."""

    similarities: MeanSimilarities
    every: int

    def of(self, number: int, counts: NDArray[np.integer]) -> _Draw:
        rows = _directions(counts)
        counted = number % self.every == 0
        pairs = pair_similarities(rows, self.similarities.units) if counted else None
        return _Draw(self.similarities.of_directions(rows), pairs)


def _squares(rows: NDArray[np.float64], numbers: NDArray[np.integer]) -> float:
    """Return the sum of |Σu|² over sets of rows with one number."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    if len(starts) == len(rows):
        return float(len(rows))
    sums = np.add.reduceat(rows[order], starts, axis=0)
    return float(np.vdot(sums, sums))


def _baseline(
    draw_all: Callable[[_Summary], list[_Draw]],
    counts: NDArray[np.integer],
    labels: Sequence[str],
    groups: Sequence[str] | None,
    draws: int,
) -> Baseline:
    units = units_of(labels, groups)
    similarities = MeanSimilarities(units)
    observed, within, across = similarities.of(counts)
    if np.isnan(observed):
        message = "no two prompts are of different groups, so there is no pair"
        raise NotComputable(message)
    every = max(1, -(-draws * (units.pairs_within + units.pairs_across) // _PAIRS_COUNTED))
    all_draws = draw_all(_Summary(similarities, every))
    drawn = np.sort([one.means for one in all_draws], axis=0)
    if not (np.ptp(drawn, axis=0) > _ROUNDING).any():
        message = "all draws have the same similarity: the numbers of tokens, experts and selections leave no choice"
        raise NotComputable(message)
    beyond = max(1, int(_BEYOND * (len(drawn) + 1)))  # draws at and beyond either end of the interval
    means = [bounded(float(one), COSINES) for one in drawn.mean(axis=0)]
    ends = [(float(low), float(high)) for low, high in zip(drawn[beyond - 1], drawn[-beyond], strict=True)]
    above = bool(within > ends[1][1] + _ROUNDING)
    below = bool(across < ends[2][0] - _ROUNDING)
    return Baseline(
        mean=means[0],
        ci=ends[0],
        within_above=above,
        across_below=below,
        within=None if np.isnan(within) else WithinUnderNull(means[1], ends[1], float(within), above),
        across=None if np.isnan(across) else AcrossUnderNull(means[2], ends[2], float(across), below),
        histogram=histogram_of(np.concatenate([one.pairs for one in all_draws if one.pairs is not None])),
    )
