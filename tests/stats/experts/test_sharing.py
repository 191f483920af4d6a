"""The experts that two tokens share are counted pair by pair, and follow load alone where nothing else is at work."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.stats.experts.sharing import shared_between, shared_within


def tokens_of(seed: int, tokens: int, k: int = 3, experts: int = 9) -> NDArray[np.int64]:
    """Return the distinct experts of each token ``(tokens, k)``."""
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(experts, k, replace=False) for _ in range(tokens)], dtype=np.int64).reshape(tokens, k)


def counts_of(selected: NDArray[np.int64], experts: int = 9) -> NDArray[np.int64]:
    return np.bincount(selected.ravel(), minlength=experts)


@pytest.mark.parametrize("tokens", [2, 5, 17])
def test_within_a_prompt_it_is_the_mean_of_all_pairs_of_tokens(tokens: int) -> None:
    layers = [tokens_of(seed, tokens) for seed in (1, 2)]
    found = shared_within(np.array([counts_of(one) for one in layers]), tokens, np.array([3, 3]))
    for value, selected in zip(found, layers, strict=True):
        pairs = [len(set(one) & set(other)) / 3 for one, other in combinations(selected.tolist(), 2)]
        assert value == pytest.approx(np.mean(pairs))


def test_between_prompts_it_is_the_mean_of_all_pairs_of_tokens_of_two_prompts() -> None:
    prompts = [tokens_of(seed, tokens) for seed, tokens in enumerate((4, 1, 0, 6))]
    own = np.array([counts_of(one) for one in prompts])
    lengths = np.array([len(one) for one in prompts])
    load, squares = own.sum(axis=0)[None], (own.astype(float) ** 2).sum(axis=0)[None]
    (found,) = shared_between(load, squares, lengths, np.array([3]))
    pairs = [
        len(set(one) & set(other)) / 3
        for first, second in combinations(prompts, 2)
        for one in first.tolist()
        for other in second.tolist()
    ]
    assert found == pytest.approx(np.mean(pairs))


def test_one_token_and_one_prompt_have_no_pair() -> None:
    assert np.isnan(shared_within(np.ones((2, 4), dtype=int), 1, np.array([2, 2]))).all()
    assert np.isnan(shared_between(np.ones((1, 4), dtype=int), np.ones((1, 4)), np.array([3, 0]), np.array([2]))).all()


def test_with_even_load_and_independent_tokens_both_are_k_of_the_experts_however_long_prompts_are() -> None:
    for tokens, studies in ((3, 2000), (40, 100)):
        own = np.array([counts_of(tokens_of(seed, tokens)) for seed in range(studies)])
        within = [shared_within(one[None], tokens, np.array([3]))[0] for one in own]
        error = np.std(within) / np.sqrt(studies)
        assert np.mean(within) == pytest.approx(3 / 9, abs=4 * error)
        (between,) = shared_between(
            own.sum(axis=0)[None], (own.astype(float) ** 2).sum(axis=0)[None], np.full(studies, tokens), np.array([3])
        )
        assert between == pytest.approx(3 / 9, abs=0.005)
