"""Partners are experts that meet more often than their loads make them."""

from itertools import combinations

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.experts.coactivation import coactivation, pair_probabilities


def pairs_of(chosen: np.ndarray, experts: int) -> np.ndarray:
    marks = np.zeros((len(chosen), experts), dtype=int)
    np.put_along_axis(marks, chosen, 1, axis=1)
    return marks.T @ marks


def test_chances_of_pairs_are_those_of_all_sets_with_weights() -> None:
    weights, k = np.random.default_rng(0).gamma(1, size=7), 3
    sets = list(combinations(range(7), k))
    probabilities = np.array([weights[list(one)].prod() for one in sets])
    probabilities /= probabilities.sum()
    inclusion = np.array([probabilities[[i in one for one in sets]].sum() for i in range(7)])
    found = pair_probabilities(inclusion, k)
    for i, j in combinations(range(7), 2):
        expected = probabilities[[i in one and j in one for one in sets]].sum()
        assert found[i, j] == pytest.approx(expected, abs=1e-8)
        assert found[j, i] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("inclusion", [[1, 0.5, 0.25, 0.25], [0, 0.9, 0.6, 0.5], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5]])
def test_every_expert_meets_as_many_as_k_less_one(inclusion: list[float]) -> None:
    """Σ_j P(i and j) over j ≠ i is (k − 1) P(i); one that always runs, or never, is no exception."""
    probabilities = pair_probabilities(np.array(inclusion, dtype=float), 2)
    np.fill_diagonal(probabilities, 0)
    assert probabilities.sum(axis=1) == pytest.approx(inclusion, abs=1e-8)


def test_routing_by_load_alone_has_no_partners() -> None:
    rng = np.random.default_rng(1)
    scores = rng.gumbel(size=(200_000, 8)) + np.linspace(-1, 1, 8)
    found = coactivation(pairs_of(np.argsort(-scores, axis=1)[:, :3], 8), 200_000)
    off = ~np.eye(8, dtype=bool)
    assert np.abs(np.log(found.odds_ratio[off])).max() < 0.15


def test_two_that_always_run_together_are_partners() -> None:
    rng = np.random.default_rng(2)
    chosen = rng.permuted(np.tile(np.arange(2, 8), (5000, 1)), axis=1)[:, :2]
    chosen[:1000] = [0, 1]
    pairs = pairs_of(chosen, 8)
    found = coactivation(pairs, 5000)
    assert found.shares[0, 1] == found.shares[1, 0] == 1
    assert found.odds_ratio[0, 1] > 10
    assert found.odds_ratio[0, 2] == 0
    assert found.shares[2, 3] == pairs[2, 3] / pairs[2, 2]
    assert np.isnan(np.diag(found.shares)).all()


def test_one_expert_a_token_makes_no_pairs() -> None:
    with pytest.raises(NotComputable, match="no pairs"):
        coactivation(np.diag([3, 4]), 7)


def test_two_that_every_token_selects_are_explained_by_their_loads() -> None:
    """Of 12 tokens of k = 3, all select experts 0 and 1, and a third of them each other expert."""
    marks = np.hstack([np.ones((12, 2), dtype=np.int64), np.tile(np.eye(3, dtype=np.int64), (4, 1))])
    found = coactivation(marks.T @ marks, 12)
    assert found.odds_ratio[0, 1] == found.odds_ratio[1, 0] == 1
    assert np.isnan(found.odds_ratio.diagonal()).all()
