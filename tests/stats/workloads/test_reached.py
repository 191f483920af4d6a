"""How many experts independent tokens reach: by enumeration, and where it cannot be told."""

from itertools import product

import numpy as np
import pytest

from moexray.stats.workloads.reached import expected_reached


def test_the_expectation_is_that_of_every_sequence_of_independent_tokens() -> None:
    """A prompt of three tokens, each of which selects one of three experts with the others' shares 0.5, 0.3 and 0.2."""
    shares = np.array([0.5, 0.3, 0.2])
    others, own = np.array([50, 30, 20]), np.array([3, 0, 0])
    found = expected_reached((others + own)[None], 103, own[None, None], np.array([3]))
    expected = sum(np.prod(shares[list(tokens)]) * len(set(tokens)) for tokens in product(range(3), repeat=3))
    assert found == pytest.approx(expected)


def test_it_is_that_of_drawn_tokens_which_select_several_experts() -> None:
    rng = np.random.default_rng(0)
    experts, k, tokens = 12, 3, 6
    drawn = np.argsort(rng.gumbel(size=(60_000, experts)) + np.linspace(0, 2, experts), axis=1)[:, -k:]
    load = np.bincount(drawn.ravel(), minlength=experts)
    found = expected_reached(load[None], len(drawn), np.zeros((1, 1, experts)), np.array([tokens]))
    # With no selections of its own, its share of tokens is taken from the others alone.
    found = expected_reached(load[None], len(drawn) + tokens, np.zeros((1, 1, experts)), np.array([tokens]))
    reached = [len(np.unique(some)) for some in drawn.reshape(-1, tokens * k)]
    assert found == pytest.approx(np.mean(reached), abs=0.05)


def test_one_prompt_alone_has_nothing_to_be_compared_with() -> None:
    assert np.isnan(expected_reached(np.array([[4, 4]]), 4, np.array([[[4, 4]]]), np.array([4]))).all()
