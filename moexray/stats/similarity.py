"""Cosine similarity of signatures within and across categories, and the effect size between the two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu


@dataclass(frozen=True)
class PairSummary:
    """Mean and standard deviation (ddof 1) of the similarity of a set of unordered pairs; None where too few."""

    mean: float | None
    std: float | None
    pairs: int


@dataclass(frozen=True)
class Similarity:
    """Similarity of pairs within and across categories.

    Attributes
    ----------
    within, across
        Pairs of the same, and of different categories.
    cohens_d
        Effect size between the two; None where one has fewer than two pairs or nothing varies.
    auc
        Probability that a pair within is more similar than a pair across, ties counting half.
    by_category, by_pair
        Pairs within each category, and across each two categories (names in order).
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    auc: float | None
    by_category: dict[str, PairSummary]
    by_pair: dict[tuple[str, str], PairSummary]


def unit_rows(vectors: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, dimensions)
    """Scale every row to unit length; no row may be zero, so prompts without a token are left out before."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        message = f"row {int(np.argmin(lengths))} is zero: a prompt without a token has no signature"
        raise ValueError(message)
    return np.asarray(vectors / lengths)


def similarity(vectors: NDArray[np.float64], labels: Sequence[str]) -> Similarity:
    """Summarise the cosine similarity of all unordered pairs of rows.

    Parameters
    ----------
    vectors
        Signatures ``(prompts, dimensions)``, none of them zero.
    labels
        The category of each.
    """
    units = unit_rows(vectors)
    gram = units @ units.T
    categories = sorted(set(labels))
    members = {name: np.flatnonzero([label == name for label in labels]) for name in categories}
    inside = {name: gram[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)] for name, rows in members.items()}
    between = {(a, b): gram[np.ix_(members[a], members[b])].ravel() for a, b in combinations(categories, 2)}
    within_pairs, across_pairs = _joined(inside.values()), _joined(between.values())
    within, across = _summary(within_pairs), _summary(across_pairs)
    return Similarity(
        within=within,
        across=across,
        cohens_d=cohens_d(within, across),
        auc=_auc(within_pairs, across_pairs),
        by_category={name: _summary(pairs) for name, pairs in inside.items()},
        by_pair={names: _summary(pairs) for names, pairs in between.items()},
    )


def cohens_d(first: PairSummary, second: PairSummary) -> float | None:
    """Difference of the means over the standard deviation pooled by numbers of pairs.

    ``(m1 - m2) / sqrt(((n1 - 1) s1² + (n2 - 1) s2²) / (n1 + n2 - 2))``: J. Cohen, *Statistical Power
    Analysis for the Behavioral Sciences*, 2nd ed. (1988), section 2.5. None where it is not defined.
    """
    if first.mean is None or second.mean is None or first.std is None or second.std is None:
        return None
    squares = (first.pairs - 1) * first.std**2 + (second.pairs - 1) * second.std**2
    pooled = sqrt(squares / (first.pairs + second.pairs - 2))
    return (first.mean - second.mean) / pooled if pooled > 0 else None


def _joined(parts: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])


def _summary(values: NDArray[np.float64]) -> PairSummary:
    return PairSummary(
        mean=float(values.mean()) if len(values) else None,
        std=float(values.std(ddof=1)) if len(values) > 1 else None,
        pairs=len(values),
    )


def _auc(within: NDArray[np.float64], across: NDArray[np.float64]) -> float | None:
    if not len(within) or not len(across):
        return None
    wins = mannwhitneyu(within, across, method="asymptotic").statistic
    return float(wins) / (len(within) * len(across))
