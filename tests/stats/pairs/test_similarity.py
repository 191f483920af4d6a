"""Similarity within and across categories equals explicit loops over pairs."""

from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from moexray.stats.pairs.similarity import similarity, unit_rows
from moexray.stats.pairs.summaries import PairSummary, cohens_d

LABELS = ["code"] * 4 + ["math"] * 3 + ["story"] * 5


def random_vectors(seed: int = 0, spread: float = 1.0) -> np.ndarray:
    return 1 + spread * np.random.default_rng(seed).random((len(LABELS), 20))


def loop(vectors: np.ndarray, labels: list[str]) -> tuple[list[float], list[float]]:
    within: list[float] = []
    across: list[float] = []
    for p, q in combinations(range(len(labels)), 2):
        u, v = vectors[p], vectors[q]
        value = sum(a * b for a, b in zip(u, v, strict=True)) / sqrt(sum(a * a for a in u) * sum(b * b for b in v))
        (within if labels[p] == labels[q] else across).append(value)
    return within, across


@pytest.mark.parametrize(("spread", "rounding"), [(1.0, 1e-12), (1e-3, 1e-7), (1e-5, 1e-3)])
def test_within_across_and_d_equal_an_explicit_pair_loop(spread: float, rounding: float) -> None:
    """Also for signatures that are almost the same, whose similarities differ in the tenth digit only."""
    vectors = random_vectors(spread=spread)
    within, across = loop(vectors, LABELS)
    found = similarity(vectors, LABELS)
    for summary, values in ((found.within, within), (found.across, across)):
        assert summary.pairs == len(values)
        assert summary.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert summary.std == pytest.approx(np.std(values, ddof=1), rel=rounding)
    n, m = len(within), len(across)
    pooled = sqrt(((n - 1) * np.var(within, ddof=1) + (m - 1) * np.var(across, ddof=1)) / (n + m - 2))
    assert found.cohens_d == pytest.approx((np.mean(within) - np.mean(across)) / pooled, abs=rounding)


def test_all_pairs_together_are_scipys_cosine_distances() -> None:
    vectors = random_vectors()
    found = similarity(vectors, LABELS)
    total = found.within.mean * found.within.pairs + found.across.mean * found.across.pairs
    assert total == pytest.approx((1 - pdist(vectors, "cosine")).sum(), rel=1e-12)


def test_auc_is_the_share_of_comparisons_that_a_within_pair_wins() -> None:
    vectors = np.round(random_vectors(), 1)
    within, across = loop(vectors, LABELS)
    wins = [
        1.0 if abs(w - a) > 1e-12 and w > a else 0.5 if abs(w - a) <= 1e-12 else 0.0 for w in within for a in across
    ]
    found = similarity(vectors, LABELS).auc
    assert found is not None
    assert found.value == pytest.approx(np.mean(wins), abs=1e-3)


def test_each_category_and_each_two_of_them_equal_their_own_loops() -> None:
    vectors = random_vectors()
    found = similarity(vectors, LABELS)
    units = unit_rows(vectors)
    rows = {name: [i for i, label in enumerate(LABELS) if label == name] for name in set(LABELS)}
    for name, summary in found.by_category.items():
        assert summary.mean == pytest.approx(np.mean([units[p] @ units[q] for p, q in combinations(rows[name], 2)]))
    assert list(found.by_pair) == [("code", "math"), ("code", "story"), ("math", "story")]
    for (a, b), summary in found.by_pair.items():
        values = [units[p] @ units[q] for p in rows[a] for q in rows[b]]
        assert (summary.mean, summary.pairs) == (pytest.approx(np.mean(values)), len(values))
        assert summary.std == pytest.approx(np.std(values, ddof=1))


@given(seed=st.integers(0, 1000))
def test_neither_the_order_of_prompts_nor_their_length_nor_the_names_of_categories_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, order = random_vectors(seed), rng.permutation(len(LABELS))
    scaled = vectors[order] * rng.uniform(0.5, 2, size=(len(order), 1))
    renamed = [{"code": "z", "math": "y", "story": "x"}[LABELS[i]] for i in order]
    first, second = similarity(vectors, LABELS), similarity(scaled, renamed)
    assert first.cohens_d == pytest.approx(second.cohens_d)
    assert first.within.mean == pytest.approx(second.within.mean)
    assert first.auc.value == pytest.approx(second.auc.value)
    assert first.cohens_d_ci == pytest.approx(second.cohens_d_ci)
    assert first.auc.ci == pytest.approx(second.auc.ci)


def test_what_too_few_pairs_cannot_give_is_none() -> None:
    one_category = similarity(random_vectors()[:3], ["a"] * 3)
    assert one_category.across == PairSummary(None, None, 0)
    assert one_category.cohens_d is None
    assert one_category.auc is None
    one_each = similarity(random_vectors()[:2], ["a", "b"])
    assert one_each.within == PairSummary(None, None, 0)
    assert one_each.across.std is None


def test_a_prompt_without_a_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 is zero"):
        similarity(np.array([[1.0, 0.0], [0.0, 0.0]]), ["a", "b"])


def test_the_published_effect_size_follows_from_the_published_means_only_when_pooled_by_pairs() -> None:
    """Four categories of twenty: 760 and 2,400 pairs; 0.8435 ± 0.0879 against 0.6225 ± 0.1687 make d = 1.44."""
    labels = [name for name in ("code", "math", "story", "factual") for _ in range(20)]
    found = similarity(np.random.default_rng(0).random((80, 4)), labels)
    assert (found.within.pairs, found.across.pairs) == (4 * 20 * 19 // 2, 6 * 20 * 20) == (760, 2400)
    d = cohens_d(PairSummary(0.8435, 0.0879, 760), PairSummary(0.6225, 0.1687, 2400))
    assert d == pytest.approx(1.442, abs=5e-4)
    assert (0.8435 - 0.6225) / sqrt((0.0879**2 + 0.1687**2) / 2) == pytest.approx(1.64, abs=5e-3)
