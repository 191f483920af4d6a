"""Similarity by explicit loops over pairs: the oracle of everything that computes it from sums or moments."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from math import sqrt

import numpy as np

from moexray.stats.inference.units import units_of
from moexray.stats.pairs.shuffled import differences_of_labelings


def similarities_of_pairs(vectors: np.ndarray, labels: Sequence[str]) -> dict[str, list[float]]:
    """Cosine similarities of the pairs within, across, of each category and of each two, one pair after another."""
    found = defaultdict(list)
    for p, q in combinations(range(len(labels)), 2):
        u, v = vectors[p], vectors[q]
        value = float(u @ v) / sqrt(float(u @ u) * float(v @ v))
        first, second = sorted((labels[p], labels[q]))
        for name in ("within", first) if first == second else ("across", f"{first}|{second}"):
            found[name].append(value)
    return found


def effect_size(within: Sequence[float], across: Sequence[float]) -> float:
    """Cohen's d by its definition."""
    n, m = len(within), len(across)
    squares = float(np.var(within)) * n + float(np.var(across)) * m
    return (float(np.mean(within)) - float(np.mean(across))) / sqrt(squares / (n + m - 2))


def sums_of_pairs(units: np.ndarray, numbers: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """For every prompt and category, the sum of similarity minus `shift` over their pairs, and of its square."""
    similarities = np.array([[u @ v for v in units] for u in units]) - shift
    np.fill_diagonal(similarities, 0)
    marks = np.eye(numbers.max() + 1)[numbers]
    return similarities @ marks, similarities**2 @ marks


def mean_differences(vectors: np.ndarray, numbers: np.ndarray) -> np.ndarray:  # (labelings,)
    """Mean similarity within minus across for category numbers ``(labelings, prompts)``, where every prompt is a unit.

    No oracle: it is the product, whose own tests compare it with loops over pairs.
    """
    units = units_of([str(number) for number in numbers[0]])
    return differences_of_labelings(vectors, units, numbers)
