"""One token is compared with itself in other prompts, and with nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.tokens.pairs import CategorySums, layer_gain, pair_matrix
from moexray.stats.tokens.same_token import SameTokenTest, same_token_test, shuffled_gains
from moexray.stats.tokens.sums import selections, token_rows

from ..simulations import simulated

# Token ids, prompts, experts and labels of a made-up router: see conftest.py.
Routed = Any
Planted = Callable[..., Routed]


def same_token(found: Routed, permutations: int = 99, **options: Any) -> SameTokenTest:
    return same_token_test(
        found.token_ids,
        found.prompts,
        found.experts,
        found.labels,
        width=16,
        permutations=permutations,
        rng=0,
        **options,
    )


def gain_by_pairs(found: Routed, layer: int, units: Sequence[int] | None = None, *, without: int = -1) -> float:
    """Compare every two occurrences of every id that lie in different units, one pair after the other."""
    units = range(len(found.labels)) if units is None else units
    total = weights = 0.0
    for token in np.unique(found.token_ids):
        places = [i for i in np.flatnonzero(found.token_ids == token) if units[found.prompts[i]] != without]
        shares: dict[bool, list[float]] = {True: [], False: []}
        for i, j in combinations(places, 2):
            p, q = found.prompts[i], found.prompts[j]
            if units[p] != units[q]:
                common = set(found.experts[i, layer]) & set(found.experts[j, layer])
                shares[found.labels[p] == found.labels[q]].append(len(common) / found.experts.shape[2])
        if shares[True] and shares[False]:
            within = len(shares[True]) / (len(shares[True]) + len(shares[False]))
            weight = len(places) * within * (1 - within)
            total += weight * float(np.mean(shares[True]) - np.mean(shares[False]))
            weights += weight
    return total / weights


def test_the_gain_is_that_of_a_loop_over_pairs_of_occurrences(planted: Planted) -> None:
    drawn = planted(0, token=1, category=0.5)
    found = same_token(drawn)
    expected = [gain_by_pairs(drawn, layer) for layer in range(2)]
    assert found.by_layer == pytest.approx(expected, abs=1e-12)
    assert found.gain == pytest.approx(np.mean(expected), abs=1e-12)


def test_the_gain_under_other_labels_is_that_of_a_loop_over_pairs(planted: Planted) -> None:
    """The matrix that shuffles are multiplied with holds no label."""
    drawn = planted(1, token=1, category=0.5, prompts=12)
    rows = token_rows(drawn.token_ids, drawn.prompts)
    matrices = np.stack([pair_matrix(rows, selections(rows, drawn.experts[:, i], 16), 4, prompts=12) for i in (0, 1)])
    for seed in range(3):
        numbers = np.random.default_rng(seed).permutation(np.arange(12) % 4)
        found = shuffled_gains(rows, matrices, numbers, permutations=1, rng=0).gains[0]
        relabelled = replace(drawn, labels=[str(number) for number in numbers])
        expected = [gain_by_pairs(relabelled, layer) for layer in range(2)]
        assert found == pytest.approx([*expected, np.mean(expected)], abs=1e-12)


def test_a_prompt_left_out_is_as_if_it_had_not_been_there(planted: Planted) -> None:

    drawn = planted(2, token=1, prompts=12)
    rows, numbers = token_rows(drawn.token_ids, drawn.prompts), np.arange(12) % 4
    counts = selections(rows, drawn.experts[:, 0], 16)
    found = layer_gain(rows, counts, 4, sums=CategorySums.of(rows, counts, numbers, 4), numbers=numbers)
    expected = [gain_by_pairs(drawn, 0, without=prompt) for prompt in range(12)]
    assert found.without_each == pytest.approx(expected, abs=1e-12)


def test_prompts_of_one_group_make_no_pairs_with_each_other(planted: Planted) -> None:
    drawn = planted(3, token=1, category=0.5)
    groups = [f"{label}, {i // 8}" for i, label in enumerate(drawn.labels)]
    units = [sorted(set(groups)).index(group) for group in groups]
    assert same_token(drawn, groups=groups).by_layer[0] == pytest.approx(gain_by_pairs(drawn, 0, units), abs=1e-12)


def test_an_expert_that_no_layer_selected_is_shared_by_no_pair(planted: Planted) -> None:
    """A router that uses fewer than k leaves places of −1; two of them are nothing in common."""
    drawn = planted(4, category=0.5, prompts=12)
    fewer = drawn.experts.copy()
    fewer[::2, :, 3] = -1
    names = np.where(fewer < 0, -1 - np.arange(len(fewer))[:, None, None], fewer)  # all different, so none is shared
    expected = gain_by_pairs(replace(drawn, experts=names), 0)
    assert same_token(replace(drawn, experts=fewer)).by_layer[0] == pytest.approx(expected)


@simulated(40, nightly=200)
@pytest.mark.parametrize("prompt", [0.0, 0.7])
@pytest.mark.parametrize("own_words", [0.5, 0.9])
def test_routing_by_token_alone_gives_uniform_p(
    planted: Planted, own_words: float, prompt: float, seeds: range
) -> None:
    """Whether categories share their words or not, and whether prompts differ in their routing or not."""
    draws = (planted(seed, token=1, prompt=prompt, own_words=own_words, layers=1) for seed in seeds)
    p = np.array([same_token(drawn).p_value for drawn in draws])
    uniform = kstest(p - np.random.default_rng(1).random(len(p)) / 100, "uniform").pvalue
    print(f"own words {own_words}, prompt {prompt}: KS p = {uniform:.3f}, p ≤ 0.05 in {np.mean(p <= 0.05):.1%}")
    assert uniform > 0.001


def test_routing_by_category_alone_is_found_in_every_layer(planted: Planted) -> None:
    found = same_token(planted(5, category=0.7), permutations=199)
    assert found.p_value == 1 / 200
    assert max(found.adjusted) <= 0.01
    assert min(found.by_layer) > 0.02
    assert found.gain_ci is not None
    assert found.gain_ci[0] > 0


def test_it_says_where_the_category_is_looked_at(planted: Planted) -> None:
    by_token, by_category = planted(6, token=1, layers=1), planted(6, token=1, category=0.7, layers=1)
    both = replace(by_token, experts=np.hstack([by_token.experts, by_category.experts]))
    found = same_token(both, permutations=199)
    assert found.adjusted[1] <= 0.01
    assert found.by_layer[0] < found.by_layer[1] / 5


@simulated(40, nightly=150)
@pytest.mark.parametrize("category", [0.0, 0.5])
def test_the_interval_holds_the_gain_of_all_prompts_of_this_kind(
    planted: Planted, category: float, seeds: range
) -> None:
    """In nearly 95 of 100 studies of 40 prompts, which are a sample; a thousand stand for all."""
    options = {"token": 1, "prompt": 0.5, "category": category, "layers": 1, "router": 1}
    truth = np.mean([same_token(planted(seed, **options, prompts=200), permutations=1).gain for seed in range(5)])
    intervals = [same_token(planted(100 + seed, **options), permutations=1).gain_ci for seed in seeds]
    held = [interval is not None and bool(interval[0] <= truth <= interval[1]) for interval in intervals]
    error = np.sqrt(0.95 * 0.05 / len(seeds))
    assert -4 * error <= np.mean(held) - 0.95 <= 2.25 * error


def test_the_same_seed_gives_the_same_result(planted: Planted) -> None:
    assert same_token(planted(8, token=1)) == same_token(planted(8, token=1))


def test_tokens_that_occur_once_cannot_speak() -> None:
    experts = np.zeros((4, 1, 1), dtype=np.int16)
    with pytest.raises(NotComputable, match="no token id occurs in two prompts"):
        same_token_test(np.arange(4), np.arange(4), experts, list("aabb"), width=2, permutations=9, rng=0)


def test_a_group_of_two_categories_is_refused(planted: Planted) -> None:
    with pytest.raises(NotComputable, match="several categories"):
        same_token(planted(9, token=1), groups=["one"] * 40)
