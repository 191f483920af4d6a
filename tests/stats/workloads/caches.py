"""Caches simulated one expert at a time, and the best of all schedules, to compare with."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

# What an expert is kept by: the sequence of sets, the place in it, and the expert.
Priority = Callable[[Sequence[Sequence[int]], int, int], tuple[float, ...]]


def last_use(sets: Sequence[Sequence[int]], now: int, expert: int) -> tuple[float, ...]:
    """Return the time of the last use; of one token the first expert counts as the last."""
    time = max(t for t in range(now + 1) if expert in sets[t])
    return time, -list(sets[time]).index(expert)


def uses(sets: Sequence[Sequence[int]], now: int, expert: int) -> tuple[float, ...]:
    return sum(expert in one for one in sets[: now + 1]), *last_use(sets, now, expert)


def next_use(sets: Sequence[Sequence[int]], now: int, expert: int) -> tuple[float, ...]:
    return (-next((t for t in range(now + 1, len(sets)) if expert in sets[t]), len(sets)),)


def uses_ahead(window: int) -> Priority:
    def priority(sets: Sequence[Sequence[int]], now: int, expert: int) -> tuple[float, ...]:
        return sum(expert in one for one in sets[now + 1 : now + 1 + window]), *last_use(sets, now, expert)

    return priority


def simulated_hits(sets: Sequence[Sequence[int]], capacity: int, priority: Priority) -> int:
    """Return the hits of a cache that starts empty, keeps each set, and fills up by priority with what it held."""
    held: set[int] = set()
    hits = 0
    for now, one in enumerate(sets):
        hits += sum(expert in held for expert in one)
        others = sorted(held - set(one), key=lambda expert: priority(sets, now, expert), reverse=True)
        held = set(one) | set(others[: capacity - len(one)])
    return hits


def most_hits(sets: Sequence[Sequence[int]], capacity: int) -> int:
    """Return the hits of the best of all schedules, by trying every one."""

    @cache
    def best(now: int, held: frozenset[int]) -> int:
        if now == len(sets):
            return 0
        wanted = frozenset(sets[now])
        others = sorted(held - wanted)
        room = min(capacity - len(wanted), len(others))
        rest = max(best(now + 1, wanted | frozenset(kept)) for kept in combinations(others, room))
        return len(wanted & held) + rest

    return best(0, frozenset())


def drawn_sets(rng: np.random.Generator, tokens: int, experts: int, k: int) -> NDArray[np.int64]:
    """Return tokens that each select k experts, some experts more often than others."""
    likely = rng.dirichlet(np.ones(experts))
    return np.array(
        [rng.choice(experts, k, replace=False, p=(likely + 0.05) / (1 + 0.05 * experts)) for _ in range(tokens)]
    )
