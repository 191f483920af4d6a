"""The balanced effect size weighs categories equally, so it does not change with the numbers of prompts."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.units import units_of
from moexray.stats.pairs.similarity import similarity
from moexray.stats.pairs.streaming import similarity_of_blocks


def made(sizes: list[int], seed: int, dimensions: int = 24) -> tuple[np.ndarray, list[str]]:
    """Categories of unlike spread about centres that do not change."""
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.random.default_rng(5).random((len(sizes), dimensions))
    scatter = np.linspace(0.6, 1.2, len(sizes))[numbers, None]
    noise = np.random.default_rng(seed).random((len(numbers), dimensions))
    return 1 + 0.5 * centres[numbers] + scatter * noise, [f"c{number}" for number in numbers]


def by_definition(vectors: np.ndarray, labels: list[str], groups: list[str]) -> tuple[float, float]:
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    names = sorted(set(labels))
    pairs: dict[tuple[str, str], list[float]] = {}
    for p, q in combinations(range(len(labels)), 2):
        if groups[p] != groups[q]:
            first, second = sorted((labels[p], labels[q]))
            pairs.setdefault((first, second), []).append(float(directions[p] @ directions[q]))
    sets = [[pairs[name, name] for name in names], [pairs[pair] for pair in combinations(names, 2)]]
    means = [np.mean([np.mean(one) for one in some]) for some in sets]
    squares = [np.mean([np.mean(np.square(one)) for one in some]) for some in sets]
    variances = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
    pooled = (variances[0] + (len(names) - 1) * variances[1]) / len(names)
    return float(means[0] - means[1]), float((means[0] - means[1]) / np.sqrt(pooled))


def alone(labels: list[str]) -> list[str]:
    return [f"g{i}" for i in range(len(labels))]


def nested(labels: list[str]) -> list[str]:
    return [f"{label}{i // 2}" for i, label in enumerate(labels)]


def crossed(labels: list[str]) -> list[str]:
    return [f"g{i % 11}" for i in range(len(labels))]


@pytest.mark.parametrize("grouped", [alone, nested, crossed])
@pytest.mark.parametrize("dimensions", [6, 60])
def test_it_is_what_its_definition_says_and_its_interval_leaves_out_units(
    grouped: Callable[[list[str]], list[str]], dimensions: int
) -> None:
    vectors, labels = made([20, 23, 30], 1, dimensions)
    groups = grouped(labels)
    found = similarity(vectors, labels, groups=None if grouped is alone else groups).balanced
    assert found is not None
    assert (found.difference, found.cohens_d) == pytest.approx(by_definition(vectors, labels, groups))
    units = units_of(labels, groups)
    left = []
    for unit in range(len(units)):
        rows = np.flatnonzero(units.units != unit)
        left.append(by_definition(vectors[rows], [labels[i] for i in rows], [groups[i] for i in rows]))
    for value, ends, without in (
        (found.difference, found.difference_ci, np.array(left)[:, 0]),
        (found.cohens_d, found.ci, np.array(left)[:, 1]),
    ):
        low, high = jackknife_interval(value, without, units.strata) or (np.nan, np.nan)
        if grouped is not alone:
            assert ends == pytest.approx((low, high))
        else:  # pairs that a jackknife counts twice are counted once
            assert ends is not None
            assert sum(ends) / 2 == pytest.approx(value)
            assert 0.5 - 1e-9 <= ((ends[1] - ends[0]) / (high - low)) ** 2 < 1


def test_it_stays_where_the_study_d_changes_with_the_numbers_of_prompts() -> None:
    designs = [[150] * 4, [20, 20, 200, 200], [200, 200, 20, 20], [600, 60, 60, 60], [60, 60, 60, 600]]
    found = [similarity(*made(sizes, 2)) for sizes in designs]
    balanced = [one.balanced.cohens_d for one in found]
    studys = [one.cohens_d for one in found]
    assert max(studys) - min(studys) > 1.5
    assert max(balanced) - min(balanced) < 0.15
    assert balanced[0] == pytest.approx(studys[0], abs=0.02)


@pytest.mark.parametrize("sizes", [[40, 40, 40], [10, 30, 70]])
def test_streamed_it_is_the_same(sizes: list[int]) -> None:
    vectors, labels = made(sizes, 3)
    shares = vectors.reshape(len(labels), 2, 12)
    streamed, _ = similarity_of_blocks([shares[:50], shares[50:]], labels, auc=None)
    expected = similarity(vectors, labels).balanced
    assert streamed.balanced is not None
    assert expected is not None
    for one, other in zip(vars(streamed.balanced).values(), vars(expected).values(), strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_a_category_of_one_prompt_leaves_it_out() -> None:
    vectors, labels = made([1, 5], 4)
    assert similarity(vectors, labels).balanced is None


def test_signatures_that_are_the_same_have_a_difference_and_no_effect_size() -> None:
    found = similarity(np.ones((8, 4)), list("aaaabbbb")).balanced
    assert found is not None
    assert found.cohens_d is None
    assert found.difference == pytest.approx(0, abs=1e-15)
