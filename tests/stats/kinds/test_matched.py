"""Load-matched routing of two kinds keeps the load of both, and says nothing of whose token goes where."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats import matched_counts

# Text of 30 tokens and images of 90, two experts a token, in two layers of 6 experts.
TOKENS = np.array([30, 90])


def observed() -> np.ndarray:
    rng, found = np.random.default_rng(0), np.zeros((2, 2, 6), dtype=np.int64)
    for kind, weights in enumerate(([8, 4, 2, 1, 1, 1], [1, 1, 1, 2, 4, 8])):
        for layer in range(2):
            for _ in range(TOKENS[kind]):
                chosen = rng.choice(6, size=2, replace=False, p=np.array(weights) / sum(weights))
                found[kind, layer, chosen] += 1
    return found


def test_every_draw_keeps_the_load_of_both_and_the_selections_of_each() -> None:
    counts = observed()
    drawn = matched_counts(counts, TOKENS, rng=0, draws=20)
    assert drawn.shape == (20, 2, 2, 6)
    assert (drawn.sum(axis=1) == counts.sum(axis=0)).all()
    assert (drawn.sum(axis=3) == 2 * TOKENS[:, None]).all()
    assert (drawn <= TOKENS[:, None, None]).all()


@pytest.mark.parametrize("most", [2**18, 0])
def test_a_kind_gets_of_every_expert_what_a_random_choice_of_its_tokens_would(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypergeometric, with the mean and variance of its formula; drawn as a table, and expert by expert where large."""
    monkeypatch.setattr("moexray.stats.kinds.matched._MOST_SELECTIONS", most)
    counts = observed()
    first = matched_counts(counts, TOKENS, rng=1, draws=2000)[:, 0]
    load, every, mine = counts.sum(axis=0), 120, 30
    share = load / every
    variance = mine * share * (1 - share) * (every - mine) / (every - 1)
    np.testing.assert_allclose(first.mean(axis=0), mine * share, atol=5 * np.sqrt(variance.max() / 2000) * 3)
    np.testing.assert_allclose(first.var(axis=0), variance, rtol=0.25)


def test_kinds_that_are_routed_alike_are_as_uneven_as_this() -> None:
    counts = observed()
    counts[1] = 3 * counts[0]
    drawn = matched_counts(counts, TOKENS, rng=0, draws=400)
    share = drawn[:, 0].max(axis=2).mean(axis=0) / counts[0].max(axis=1)
    assert (abs(share - 1) < 0.1).all()


def test_so_many_tokens_that_chance_is_nothing_are_shared_in_proportion() -> None:
    counts = observed() * 10**8
    drawn = matched_counts(counts, TOKENS * 10**8, rng=0, draws=2)
    assert (drawn.sum(axis=1) == counts.sum(axis=0)).all()
    np.testing.assert_allclose(drawn[:, 0] / counts.sum(axis=0), 0.25)


@pytest.mark.parametrize("most", [2**18, 0])
def test_selections_that_no_router_makes_have_no_such_draw(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.stats.kinds.matched._MOST_SELECTIONS", most)
    with pytest.raises(NotComputable, match="distinct experts"):
        matched_counts(np.array([[[9, 1]], [[5, 5]]]), np.array([5, 5]), rng=0)
