"""A set of pairs of prompts: how alike they are, each prompt's part in that, and the effect size between two sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.jackknife import clipped, jackknife_interval
from moexray.stats.pair_sums import PairSums

# Similarities of signatures that are the same differ by this much, and no effect size is made of it.
_ROUNDING = 1e-14
# What Σs² − (Σs)²/n leaves below this share of Σs² is rounding: there is no spread.
_NO_SPREAD = 64 * np.finfo(np.float64).eps

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
class Pairs:
    """A set of pairs: the sums over those that each prompt takes part in, similarities less `shift`."""

    shift: float
    own_pairs: NDArray[np.int64]  # (prompts,)
    own_first: NDArray[np.float64]
    own_second: NDArray[np.float64]

    @classmethod
    def chosen(cls, sums: PairSums, chosen: NDArray[np.bool_]) -> "Pairs":
        """Take the pairs of prompts with categories where `chosen` ``(prompts, categories)`` is true, both ways."""
        return cls(sums.shift, *((part * chosen).sum(axis=1) for part in (sums.pairs, sums.first, sums.second)))

    @classmethod
    def between(cls, sums: PairSums, numbers: NDArray[np.integer], b: int, c: int) -> "Pairs":
        """Take the pairs of the prompts of category b with those of c, or with each other if b is c."""
        chosen = np.zeros(sums.first.shape, dtype=bool)
        chosen[numbers == b, c] = chosen[numbers == c, b] = True
        return cls.chosen(sums, chosen)

    @property
    def number(self) -> int:
        """How many pairs there are; each is two prompts'."""
        return int(self.own_pairs.sum()) // 2

    @property
    def mean(self) -> float:
        """Mean similarity."""
        return self.shift + float(self.own_first.sum()) / 2 / self.number

    @property
    def squares(self) -> float:
        """Sum of squared differences from the mean."""
        first, second = float(self.own_first.sum()) / 2, float(self.own_second.sum()) / 2
        squares = second - first**2 / self.number
        return squares if squares > _NO_SPREAD * second else 0.0

    def summary(self, numbers: NDArray[np.integer]) -> PairSummary:
        """Return mean, standard deviation and the interval of the mean, prompts drawn within their categories."""
        if self.number == 0:
            return PairSummary(None, None, 0)
        std = float(np.sqrt(self.squares / (self.number - 1))) if self.number > 1 else None
        members = self.own_pairs > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = self.shift + (self.own_first.sum() / 2 - self.own_first) / (self.number - self.own_pairs)
        interval = clipped(jackknife_interval(self.mean, left_out[members], numbers[members]), (-1, 1))
        return PairSummary(self.mean, std, self.number, interval)

    def without_each(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the number, the mean and the squared differences of the pairs that are left without each prompt."""
        pairs = (self.number - self.own_pairs).astype(np.float64)
        first = self.own_first.sum() / 2 - self.own_first
        mean = first / pairs
        second = self.own_second.sum() / 2 - self.own_second
        squares = second - first * mean
        return pairs, self.shift + mean, np.where(squares > _NO_SPREAD * second, squares, 0.0)


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


def effect_sizes_without_each(within: Pairs, across: Pairs) -> NDArray[np.float64]:  # (prompts,)
    """Cohen's d when one prompt after another is left out; not finite where it does not exist then."""
    with np.errstate(divide="ignore", invalid="ignore"):
        (n, mean, squares), (m, other_mean, other_squares) = within.without_each(), across.without_each()
        return np.asarray((mean - other_mean) / np.sqrt((squares + other_squares) / (n + m - 2)))
