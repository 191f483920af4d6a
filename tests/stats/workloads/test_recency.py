"""Ranks by last use are those of a list that moves to front, within prompts and from prompt to prompt."""

import numpy as np
import pytest

from moexray.stats.workloads.recency import recency_of
from moexray.stats.workloads.shared_cache import shared_lru_depths

from . import caches
from .caches import drawn_sets, simulated_hits

EXPERTS, K = 10, 3
PROMPTS = np.repeat([4, 0, 7], [12, 1, 9])


def drawn(seed: int = 0, *, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = drawn_sets(rng, len(PROMPTS), EXPERTS, K)
    found[rng.random(found.shape) < missing] = -1
    return found


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_ranks_count_the_experts_that_were_used_since(missing: float) -> None:
    chosen = drawn(missing=missing)
    found, after = recency_of(chosen, PROMPTS, np.arange(len(chosen)), np.zeros(EXPERTS, dtype=np.int64))
    order: list[int] = []
    for token, row in enumerate(chosen.tolist()):
        for expert in range(EXPERTS):
            assert found.ranks[token, expert] == (order.index(expert) if expert in order else EXPERTS)
            here = chosen[:token][PROMPTS[:token] == PROMPTS[token]]
            assert found.in_prompt[token, expert] == (expert in here)
            before = token > 0 and PROMPTS[token - 1] == PROMPTS[token] and expert in chosen[token - 1]
            assert found.by_previous[token, expert] == before
        for expert in reversed([one for one in row if one >= 0]):
            order = [expert, *(one for one in order if one != expert)]
    assert np.argsort(-after, kind="stable")[: len(order)].tolist() == order


def test_blocks_one_after_the_other_give_what_all_at_once_give() -> None:
    chosen, start = drawn(1), np.zeros(EXPERTS, dtype=np.int64)
    whole, last = recency_of(chosen, PROMPTS, np.arange(len(chosen)), start)
    first, between = recency_of(chosen[:13], PROMPTS[:13], np.arange(13), start)
    second, end = recency_of(chosen[13:], PROMPTS[13:], np.arange(9), between)
    assert np.array_equal(np.concatenate([first.ranks, second.ranks]), whole.ranks)
    assert np.array_equal(end, last)


def test_some_tokens_have_the_ranks_that_they_have_among_all() -> None:
    chosen, rows = drawn(2), np.array([0, 3, 12, 20])
    every, _ = recency_of(chosen, PROMPTS, np.arange(len(chosen)), np.zeros(EXPERTS, dtype=np.int64))
    some, _ = recency_of(chosen, PROMPTS, rows, np.zeros(EXPERTS, dtype=np.int64))
    assert np.array_equal(some.ranks, every.ranks[rows])
    assert np.array_equal(some.by_previous, every.by_previous[rows])


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_shared_cache_hits_as_one_list_of_all_layers_does(missing: float) -> None:
    layers = 3
    experts = np.stack([drawn(seed, missing=missing) for seed in range(layers)], axis=1)
    ranks = np.zeros(experts.shape, dtype=np.int64)
    for layer in range(layers):
        found, _ = recency_of(experts[:, layer], PROMPTS, np.arange(len(PROMPTS)), np.zeros(EXPERTS, dtype=np.int64))
        ranks[:, layer] = np.take_along_axis(found.ranks, np.maximum(experts[:, layer], 0), axis=1)
    depths = shared_lru_depths(experts, PROMPTS, ranks, EXPERTS)
    for prompt in np.unique(PROMPTS):
        own_prompt = prompt == PROMPTS
        sets = [
            [int(layer * EXPERTS + e) for e in row if e >= 0]
            for token in experts[own_prompt]
            for layer, row in enumerate(token)
        ]
        own = depths[own_prompt][experts[own_prompt] >= 0]
        for capacity in range(K, layers * EXPERTS + 1):
            assert (own <= capacity).sum() == simulated_hits(sets, capacity, caches.last_use)
