"""Cosine similarity of signatures within and across categories, and the effect size between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from moexray.stats.auc import EXACT_PROMPTS, Auc, exact_auc, sampled_auc
from moexray.stats.jackknife import clipped, jackknife_interval
from moexray.stats.pair_sums import PairSums, pair_sums

# Similarities of signatures that are the same differ by this much, and no effect size is made of it.
_ROUNDING = 1e-14

Interval = tuple[float, float]


@dataclass(frozen=True)
class PairSummary:
    """Similarity of a set of unordered pairs: mean, standard deviation (ddof 1), number of pairs, interval of the mean.

    None where there are too few pairs, or too few prompts behind them.
    """

    mean: float | None
    std: float | None
    pairs: int
    ci: Interval | None = None


@dataclass(frozen=True)
class Similarity:
    """Similarity of pairs within and across categories. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    within, across
        Pairs of the same, and of different categories.
    cohens_d, cohens_d_ci
        Effect size between the two; None where one has fewer than two pairs or nothing varies.
    auc
        Probability that a pair within is more similar than a pair across.
    by_category, by_pair
        Pairs within each category, and across each two categories (names in order).
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    cohens_d_ci: Interval | None
    auc: Auc | None
    by_category: dict[str, PairSummary]
    by_pair: dict[tuple[str, str], PairSummary]


def unit_rows(vectors: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, dimensions)
    """Scale every row to unit length; no row may be zero, so prompts without a token are left out before."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        message = f"row {int(np.argmin(lengths))} is zero: a prompt without a token has no signature"
        raise ValueError(message)
    return np.asarray(vectors / lengths)


def similarity(
    vectors: NDArray[np.float64], labels: Sequence[str], *, rng: int | np.random.Generator = 0
) -> Similarity:
    """Summarise the cosine similarity of all unordered pairs of rows.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each.
    rng
        Draws the pairs that are compared for the AUC of more prompts than can be compared in full.
    """
    units = unit_rows(vectors)
    categories, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sums = pair_sums(units, numbers, len(categories))
    own = np.eye(len(categories), dtype=bool)[numbers]
    within, across = _Pairs.chosen(sums, own), _Pairs.chosen(sums, ~own)
    auc = None
    if within.pairs > 0 and across.pairs > 0:
        auc = exact_auc(units, numbers) if len(units) <= EXACT_PROMPTS else sampled_auc(units, numbers, rng=rng)
    summaries = within.summary(numbers), across.summary(numbers)
    d = cohens_d(*summaries)
    return Similarity(
        within=summaries[0],
        across=summaries[1],
        cohens_d=d,
        cohens_d_ci=None if d is None else jackknife_interval(d, _effect_sizes_without_each(within, across), numbers),
        auc=auc,
        by_category={name: _Pairs.between(sums, numbers, c, c).summary(numbers) for c, name in enumerate(categories)},
        by_pair={
            (categories[b], categories[c]): _Pairs.between(sums, numbers, b, c).summary(numbers)
            for b, c in combinations(range(len(categories)), 2)
        },
    )


def effect_sizes_without_each(vectors: NDArray[np.float64], labels: Sequence[str]) -> NDArray[np.float64]:  # (prompts,)
    """Cohen's d when one prompt after another is left out; not finite where it does not exist then."""
    categories, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    sums = pair_sums(unit_rows(vectors), numbers, len(categories))
    own = np.eye(len(categories), dtype=bool)[numbers]
    return _effect_sizes_without_each(_Pairs.chosen(sums, own), _Pairs.chosen(sums, ~own))


def cohens_d(first: PairSummary, second: PairSummary) -> float | None:
    """Difference of the means over the standard deviation pooled by numbers of pairs.

    ``(m1 - m2) / sqrt(((n1 - 1) s1² + (n2 - 1) s2²) / (n1 + n2 - 2))``: J. Cohen, *Statistical Power
    Analysis for the Behavioral Sciences*, 2nd ed. (1988), section 2.5. None where it is not defined.
    """
    if first.mean is None or second.mean is None or first.std is None or second.std is None:
        return None
    squares = (first.pairs - 1) * first.std**2 + (second.pairs - 1) * second.std**2
    pooled = np.sqrt(squares / (first.pairs + second.pairs - 2))
    return float((first.mean - second.mean) / pooled) if pooled > _ROUNDING else None


@dataclass(frozen=True)
class _Pairs:
    """A set of pairs: their number and the sums over them, in all and those that each prompt takes part in."""

    shift: float
    pairs: int
    first: float
    second: float
    own_pairs: NDArray[np.int64]  # (prompts,)
    own_first: NDArray[np.float64]
    own_second: NDArray[np.float64]

    @classmethod
    def chosen(cls, sums: PairSums, chosen: NDArray[np.bool_]) -> "_Pairs":
        """Take the pairs of prompts with categories where `chosen` ``(prompts, categories)`` is true, both ways."""
        pairs, first, second = ((part * chosen).sum(axis=1) for part in (sums.pairs, sums.first, sums.second))
        return cls(sums.shift, int(pairs.sum()) // 2, first.sum() / 2, second.sum() / 2, pairs, first, second)

    @classmethod
    def between(cls, sums: PairSums, numbers: NDArray[np.int64], b: int, c: int) -> "_Pairs":
        """Take the pairs of the prompts of category b with those of c, or with each other if b is c."""
        chosen = np.zeros(sums.first.shape, dtype=bool)
        chosen[numbers == b, c] = chosen[numbers == c, b] = True
        return cls.chosen(sums, chosen)

    def summary(self, numbers: NDArray[np.int64]) -> PairSummary:
        if self.pairs == 0:
            return PairSummary(None, None, 0)
        mean = self.shift + self.first / self.pairs
        std = float(np.sqrt(self.squares / (self.pairs - 1))) if self.pairs > 1 else None
        members = self.own_pairs > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = self.shift + (self.first - self.own_first) / (self.pairs - self.own_pairs)
        interval = clipped(jackknife_interval(mean, left_out[members], numbers[members]), (-1, 1))
        return PairSummary(float(mean), std, self.pairs, interval)

    @property
    def squares(self) -> float:
        """Sum of squared differences from the mean."""
        return max(0.0, self.second - self.first**2 / self.pairs)

    def without_each(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the number, the mean and the squared differences of the pairs that are left without each prompt."""
        pairs = (self.pairs - self.own_pairs).astype(np.float64)
        first = self.first - self.own_first
        mean = first / pairs
        return pairs, self.shift + mean, np.maximum(0, self.second - self.own_second - first * mean)


def _effect_sizes_without_each(within: _Pairs, across: _Pairs) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        (n, mean, squares), (m, other_mean, other_squares) = within.without_each(), across.without_each()
        return np.asarray((mean - other_mean) / np.sqrt((squares + other_squares) / (n + m - 2)))
