"""Similarity within and across categories: AUC, invariances, and what too few pairs leave undefined."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from moexray.stats.pairs.similarity import similarity
from moexray.stats.pairs.summaries import PairSummary, cohens_d

from ..loops import similarities_of_pairs

LABELS = ["code"] * 4 + ["math"] * 3 + ["story"] * 5


def random_vectors(seed: int = 0) -> np.ndarray:
    return 1 + np.random.default_rng(seed).random((len(LABELS), 20))


def test_all_pairs_together_are_scipys_cosine_distances() -> None:
    vectors = random_vectors()
    found = similarity(vectors, LABELS)
    total = found.within.mean * found.within.pairs + found.across.mean * found.across.pairs
    assert total == pytest.approx((1 - pdist(vectors, "cosine")).sum(), rel=1e-12)


def test_auc_is_the_share_of_comparisons_that_a_within_pair_wins() -> None:
    vectors = np.round(random_vectors(), 1)
    pairs = similarities_of_pairs(vectors, LABELS)
    differences = [w - a for w in pairs["within"] for a in pairs["across"]]
    wins = [0.5 if abs(difference) <= 1e-12 else float(difference > 0) for difference in differences]
    found = similarity(vectors, LABELS).auc
    assert found is not None
    assert found.value == pytest.approx(np.mean(wins), abs=1e-3)


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
