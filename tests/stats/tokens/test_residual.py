"""What ids leave of routing goes with the category, or does not, whatever words the categories share."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations as orders
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.tokens.residual import ResidualTest, residual_test
from moexray.stats.tokens.sums import selections, token_rows

from ..simulations import simulated

Planted = Callable[..., Any]


def residual(drawn: Any, permutations: int, rng: int = 0, **options: Any) -> ResidualTest:
    rows = token_rows(drawn.token_ids, drawn.prompts)
    layers = [selections(rows, chosen, 16) for chosen in drawn.experts.swapaxes(0, 1)]
    return residual_test(rows, layers, drawn.labels, permutations=permutations, rng=rng, **options)


def statistic(drawn: Any, numbers: np.ndarray) -> float:
    """Compute tr(V⁺ Q Q') from tokens, one after the other."""
    prompts = len(numbers)
    scores, clusters = np.zeros((4, 16)), np.zeros((prompts, 4, 16))
    for token in np.unique(drawn.token_ids):
        places = np.flatnonzero(drawn.token_ids == token)
        share_in = np.bincount(numbers[drawn.prompts[places]], minlength=4) / len(places)
        mean = np.bincount(drawn.experts[places, 0].ravel(), minlength=16) / len(places)
        for prompt in np.unique(drawn.prompts[places]):
            inside = places[drawn.prompts[places] == prompt]
            left = np.bincount(drawn.experts[inside, 0].ravel(), minlength=16) - len(inside) * mean
            scores[numbers[prompt]] += left
            if len(inside) < len(places):
                scaled = left / np.sqrt(1 - len(inside) / len(places))
                clusters[prompt] += np.outer((np.arange(4) == numbers[prompt]) - share_in, scaled)
    variance = np.einsum("pce,pde->cd", clusters, clusters)
    return float(np.trace(np.linalg.pinv(variance, rcond=1e-9, hermitian=True) @ scores @ scores.T))


def test_shuffles_are_compared_by_the_statistic_of_a_loop_over_tokens(planted: Planted) -> None:
    """So many shuffles of six prompts reach the statistic as the loop says of all labelings."""
    drawn = planted(0, token=1, category=0.3, prompts=6, layers=1)
    labels = np.arange(6) % 3
    drawn.labels[:] = [str(label) for label in labels]
    partitions = {tuple(labels[list(order)]) for order in orders(range(6))}
    values = {labeling: statistic(drawn, np.array(labeling)) for labeling in partitions}
    share = np.mean([value >= values[tuple(labels)] - 1e-9 for value in values.values()])
    assert residual(drawn, 20_000).p_value == pytest.approx(share, abs=0.015)


@simulated(40, nightly=200)
@pytest.mark.parametrize("prompt", [0.0, 0.5])
@pytest.mark.parametrize("own_words", [0.5, 0.9])
def test_routing_by_token_alone_gives_uniform_p(
    planted: Planted, own_words: float, prompt: float, seeds: range
) -> None:
    draws = (planted(seed, token=1, own_words=own_words, prompt=prompt, layers=1) for seed in seeds)
    p = np.array([residual(drawn, 99).p_value for drawn in draws])
    uniform = kstest(p - np.random.default_rng(1).random(len(p)) / 100, "uniform").pvalue
    print(f"own words {own_words}, prompt {prompt}: KS p = {uniform:.3f}, p ≤ 0.05 in {np.mean(p <= 0.05):.1%}")
    assert uniform > 0.001


def test_routing_by_category_is_found_in_the_layer_that_does_it(planted: Planted) -> None:
    by_token, by_both = planted(1, token=1, layers=1), planted(1, token=1, category=0.7, layers=1)

    found = residual(replace(by_token, experts=np.hstack([by_token.experts, by_both.experts])), 199)
    assert found.adjusted[1] == 1 / 200
    assert found.p_values[0] > 0.01
    assert found.p_value == 1 / 200


def test_prompts_of_a_group_are_one_prompt(planted: Planted) -> None:
    """Prompts that are torn in two, and said to belong together, give what they gave when they were whole."""
    whole = planted(2, token=1, category=0.2, prompt=0.5)
    halves = 2 * whole.prompts + np.arange(len(whole.prompts)) % 2
    torn = replace(whole, prompts=halves, labels=[label for label in whole.labels for _ in range(2)])
    groups = [f"prompt {number // 2}" for number in range(len(torn.labels))]
    assert residual(torn, 199, groups=groups) == residual(whole, 199)
    assert residual(torn, 199) != residual(whole, 199)


def test_categories_that_share_no_token_cannot_be_told_from_their_tokens() -> None:
    token_ids, prompts = np.array([0, 0, 1, 1]), np.arange(4)
    rows = token_rows(token_ids, prompts)
    counts = selections(rows, np.array([[0], [1], [2], [0]]), 3)
    with pytest.raises(NotComputable, match="no token id occurs in two categories"):
        residual_test(rows, [counts], list("aabb"), permutations=9, rng=0)
    with pytest.raises(NotComputable, match="one category only"):
        residual_test(rows, [counts], list("aaaa"), permutations=9, rng=0)
