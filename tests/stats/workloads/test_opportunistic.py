"""Opportunistic activation gives each token its first experts, and then those that others keep, in its own order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.stats.workloads.opportunistic import opportunistic, score_order


def made(tokens: int, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores of two layers of ten experts, and the four of the greatest score."""
    scores = np.random.default_rng(seed).dirichlet(np.ones(10), size=(tokens, 2)).astype(np.float32)
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(-scores, axis=-1)[..., :4], values=True, axis=-1)
    return scores, chosen


@pytest.mark.parametrize("k0", [1, 2, 4])
def test_it_is_the_loop_over_tokens_that_defines_it(k0: int) -> None:
    scores, chosen = made(5)
    found = opportunistic(score_order(scores, chosen), scores, chosen, k0=k0, top_k=np.array([4, 4]))
    for layer in range(2):
        ranked = [np.argsort(-row).tolist() for row in scores[:, layer]]
        read = {expert for row in ranked for expert in row[:k0]}
        takes = [[expert for expert in row if expert in read][:4] for row in ranked]
        own = [set(row[:4]) for row in ranked]
        assert found.distinct[layer] == len(read)
        assert found.experts[layer] == pytest.approx(np.mean([len(one) for one in takes]))
        kept = sum(len(mine & set(one)) for mine, one in zip(own, takes, strict=True))
        assert found.kept[layer] == pytest.approx(kept / 20)
        mass = [scores[token, layer, sorted(one)].sum() for token, one in enumerate(takes)]
        before = [scores[token, layer, sorted(one)].sum() for token, one in enumerate(own)]
        assert found.mass[layer] == pytest.approx(sum(mass) / sum(before), rel=1e-5)


def test_all_k_kept_is_the_model_itself() -> None:
    scores, chosen = made(6)
    found = opportunistic(score_order(scores, chosen), scores, chosen, k0=4, top_k=np.array([4, 4]))
    assert found.distinct.tolist() == chosen.any(axis=0).sum(axis=1).tolist()
    assert found.kept.tolist() == [1, 1]
    assert found.mass == pytest.approx([1, 1])


def test_one_token_alone_has_what_it_keeps() -> None:
    scores, chosen = made(1)
    found = opportunistic(score_order(scores, chosen), scores, chosen, k0=3, top_k=np.array([4, 4]))
    assert found.distinct.tolist() == found.experts.tolist() == [3, 3]


def test_what_the_router_ruled_out_is_never_taken() -> None:
    """The second token may not use expert 0, which the first keeps."""
    scores = np.array([[[0.6, 0.2, 0.1, 0.1]], [[-np.inf, 0.5, 0.0, 0.5]]], dtype=np.float32)
    chosen = np.array([[[True, True, False, False]], [[False, True, False, True]]])
    found = opportunistic(score_order(scores, chosen), scores, chosen, k0=1, top_k=np.array([2]))
    assert found.distinct.tolist() == [2]
    assert found.experts.tolist() == [1.5]


def test_equal_scores_go_to_what_was_chosen() -> None:
    chosen = np.array([False, True, True, False])
    assert set(score_order(np.full(4, 0.25, dtype=np.float16), chosen)[:2].tolist()) == {1, 2}
