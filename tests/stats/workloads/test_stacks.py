"""One pass over a stack gives what a simulation of every capacity gives, and Belady's policy cannot be beaten."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.stats.workloads.lanes import Lanes, Uses, lanes_by_layer, lanes_of_all_layers, like_lengths, uses_of
from moexray.stats.workloads.lookahead import lookahead_depth_counts
from moexray.stats.workloads.stacks import (
    belady_priorities,
    depth_counts,
    fixed_priorities,
    lfu_priorities,
    lru_priorities,
)

from . import caches
from .caches import Priority, drawn_sets, most_hits, simulated_hits

EXPERTS, LAYERS, K = 12, 3, 3
LENGTHS = (25, 1, 40, 7, 7)


def routed(seed: int = 0, *, missing: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return experts ``(tokens, layers, k)`` and the prompt of each token."""
    rng = np.random.default_rng(seed)
    experts = np.stack([drawn_sets(rng, sum(LENGTHS), EXPERTS, K) for _ in range(LAYERS)], axis=1)
    experts[rng.random(experts.shape) < missing] = -1
    return experts, np.repeat(np.arange(len(LENGTHS)), LENGTHS)


def sets_of(experts: NDArray[np.int64], prompts: NDArray[np.int64], prompt: int, layer: int) -> list[list[int]]:
    return [[int(e) for e in row if e >= 0] for row in experts[prompts == prompt, layer]]


def curves(lanes: Lanes, counts: NDArray[np.int64]) -> dict[tuple[int, int], list[int]]:
    """Return the hits at each capacity by prompt and layer."""
    sums = np.cumsum(counts, axis=1).tolist()
    return dict(zip(zip(lanes.prompts.tolist(), lanes.layers.tolist(), strict=True), sums, strict=True))


def by_stack(policy: Callable[[Lanes, Uses], NDArray[np.int64]]) -> Callable[[Lanes], NDArray[np.int64]]:
    def counts(lanes: Lanes) -> NDArray[np.int64]:
        uses = uses_of(lanes)
        return depth_counts(lanes, uses, [policy(lanes, uses)])[0]

    return counts


RANKS = np.array([np.random.default_rng(layer).permutation(EXPERTS) for layer in range(LAYERS)])


def by_rank(layer: int) -> Priority:
    return lambda sets, now, expert: (-int(RANKS[layer][expert]),)


POLICIES: dict[str, tuple[Callable[[Lanes], NDArray[np.int64]], Callable[[int], Priority]]] = {
    "lru": (by_stack(lambda lanes, _: lru_priorities(lanes)), lambda _: caches.last_use),
    "lfu": (by_stack(lfu_priorities), lambda _: caches.uses),
    "belady": (by_stack(belady_priorities), lambda _: caches.next_use),
    "fixed": (by_stack(lambda lanes, _: fixed_priorities(lanes, RANKS)), by_rank),
    "lookahead 4": (lambda lanes: lookahead_depth_counts(lanes, 4), lambda _: caches.uses_ahead(4)),
    "lookahead 100": (lambda lanes: lookahead_depth_counts(lanes, 100), lambda _: caches.uses_ahead(100)),
}


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("name", POLICIES)
def test_one_pass_equals_a_simulation_of_every_capacity(name: str, missing: float) -> None:
    """Also where tokens select fewer than k experts, and where the last of a row are not those that are missing."""
    counts, priority = POLICIES[name]
    experts, prompts = routed(missing=missing)
    lanes = lanes_by_layer(experts, prompts, EXPERTS)
    found = curves(lanes, counts(lanes))
    for prompt, layer in np.ndindex(len(LENGTHS), LAYERS):
        sets = sets_of(experts, prompts, prompt, layer)
        expected = [simulated_hits(sets, capacity, priority(layer)) for capacity in range(K, EXPERTS + 1)]
        assert found[prompt, layer][K - 1 :] == expected


def test_priorities_of_any_size_give_the_same() -> None:
    """Those of long prompts need numbers of 64 bits."""
    experts, prompts = routed()
    lanes = lanes_by_layer(experts, prompts, EXPERTS)
    uses = uses_of(lanes)
    small = belady_priorities(lanes, uses)
    one, other = depth_counts(lanes, uses, [small, small * 2**40])
    assert np.array_equal(one, other)


def test_a_cache_of_all_layers_is_asked_layer_by_layer() -> None:
    experts, prompts = routed(missing=0.2)
    lanes = lanes_of_all_layers(experts, prompts, EXPERTS)
    uses = uses_of(lanes)
    found = curves(lanes, depth_counts(lanes, uses, [belady_priorities(lanes, uses)])[0])
    for prompt in (1, 3):
        sets = [
            [int(layer * EXPERTS + e) for e in row if e >= 0]
            for token in experts[prompts == prompt]
            for layer, row in enumerate(token)
        ]
        expected = [simulated_hits(sets, capacity, caches.next_use) for capacity in range(K, 30)]
        assert found[prompt, 0][K - 1 : 29] == expected


def belady_equals_the_best_schedule(instances: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(instances):
        experts, k, tokens = int(rng.integers(4, 7)), int(rng.integers(1, 3)), int(rng.integers(3, 9))
        capacity = int(rng.integers(k, experts))
        sets = np.array([rng.choice(experts, k, replace=False) for _ in range(tokens)])
        lanes = lanes_by_layer(sets[:, None], np.zeros(tokens, dtype=np.int64), experts)
        uses = uses_of(lanes)
        hits = int(depth_counts(lanes, uses, [belady_priorities(lanes, uses)])[0, 0, :capacity].sum())
        assert hits == most_hits(sets.tolist(), capacity)


def test_belady_equals_the_best_of_all_schedules() -> None:
    belady_equals_the_best_schedule(300, seed=0)


def test_no_policy_beats_belady_and_larger_caches_hit_more() -> None:
    experts, prompts = routed(seed=5)
    lanes = lanes_by_layer(experts, prompts, EXPERTS)
    best = np.cumsum(POLICIES["belady"][0](lanes), axis=1)
    for name, (counts, _) in POLICIES.items():
        hits = np.cumsum(counts(lanes), axis=1)
        assert (hits[:, K - 1 :] <= best[:, K - 1 :]).all(), name
        assert (np.diff(hits, axis=1) >= 0).all()
        selections = np.array([K * LENGTHS[prompt] for prompt in lanes.prompts])
        distinct = [
            len({e for one in sets_of(experts, prompts, prompt, layer) for e in one})
            for prompt, layer in zip(lanes.prompts, lanes.layers, strict=True)
        ]
        assert (selections - hits[:, -1]).tolist() == distinct, "a cache of all experts misses first uses alone"
    of_k = {name: np.cumsum(counts(lanes), axis=1)[:, K - 1] for name, (counts, _) in POLICIES.items()}
    reused = [
        sum(len(set(a) & set(b)) for a, b in pairwise(sets))
        for sets in (
            sets_of(experts, prompts, prompt, layer) for prompt, layer in zip(lanes.prompts, lanes.layers, strict=True)
        )
    ]
    assert all(hits.tolist() == reused for hits in of_k.values()), "a cache of k experts holds the token before"


def test_uniform_independent_routing_hits_by_chance() -> None:
    """C/E for LRU and LFU (a fixed order learns nothing either), after the first tokens of a long prompt."""
    rng = np.random.default_rng(0)
    tokens, experts, k = 6000, 16, 2
    sets = np.argsort(rng.random((tokens, experts)), axis=1)[:, :k]
    lanes = lanes_by_layer(sets[:, None], np.zeros(tokens, dtype=np.int64), experts)
    uses = uses_of(lanes)
    policies = [lru_priorities(lanes), lfu_priorities(lanes, uses)]
    for counts in depth_counts(lanes, uses, policies):
        rates = np.cumsum(counts[0]) / (tokens * k)
        for capacity in (4, 8, 12):
            assert rates[capacity - 1] == pytest.approx(capacity / experts, abs=0.012)


def test_constant_routing_always_hits_after_the_first_token() -> None:
    sets = np.tile([3, 1], (9, 1))[:, None]
    lanes = lanes_by_layer(sets, np.zeros(9, dtype=np.int64), 5)
    uses = uses_of(lanes)
    policies = [lru_priorities(lanes), lfu_priorities(lanes, uses), belady_priorities(lanes, uses)]
    counts = depth_counts(lanes, uses, policies)
    assert counts[:, 0, :2].sum(axis=1).tolist() == [16, 16, 16]
    assert counts.sum() == 3 * 16


def test_prompts_of_like_length_stand_together() -> None:
    lengths = np.array([20, 50_000, *[30] * 40, 9_000, 1])
    prompts = np.repeat(np.arange(len(lengths)) * 3, lengths)
    groups = like_lengths(prompts)
    assert np.array_equal(np.sort(np.concatenate(groups)), np.arange(len(prompts)))
    assert len(groups) == 2
    for rows in groups:
        held = np.unique(prompts[rows] // 3)
        assert lengths[held].max() * len(held) <= max(4 * len(rows), 2**15)
        assert lengths[held].sum() == len(rows), "whole prompts"
    assert all((np.diff(rows) > 0).all() for rows in groups)
    assert like_lengths(np.zeros(0, dtype=np.int64)) == []


@pytest.mark.nightly
def test_belady_equals_the_best_of_all_schedules_on_many_instances() -> None:
    belady_equals_the_best_schedule(5000, seed=1)
