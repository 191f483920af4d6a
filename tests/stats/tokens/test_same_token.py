"""One token is compared with itself in other prompts, and with nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.inference.units import Units, units_of
from moexray.stats.tokens.pairs import CategorySums, layer_gain, pair_matrix
from moexray.stats.tokens.same_token import SameTokenTest, same_token_test, shuffled_gains
from moexray.stats.tokens.sums import UnitRows, scaled_selections, token_rows

from ..simulations import assert_level, assert_share, simulated
from .studies import word_order

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


def rows_of(found: Routed, units: Units) -> UnitRows:
    return UnitRows.of(token_rows(found.token_ids, units.parts[found.prompts]), units)


def gain_by_pairs(found: Routed, layer: int, units: Sequence[int] | None = None, *, without: int = -1) -> float:
    """Compare every two occurrences of every id that lie in different units, one pair after the other.

    A token without a selection in the layer is passed over.
    """
    units = range(len(found.labels)) if units is None else units
    selected = [set(row[row >= 0].tolist()) for row in found.experts[:, layer]]
    total = weights = 0.0
    for token in np.unique(found.token_ids):
        there = [i for i in np.flatnonzero(found.token_ids == token).tolist() if selected[i]]
        places = [i for i in there if units[found.prompts[i]] != without]
        shares: dict[bool, list[float]] = {True: [], False: []}
        for i, j in combinations(places, 2):
            p, q = found.prompts[i], found.prompts[j]
            if units[p] != units[q]:
                most = np.sqrt(len(selected[i]) * len(selected[j]))
                shares[found.labels[p] == found.labels[q]].append(len(selected[i] & selected[j]) / most)
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
    units = units_of(drawn.labels)
    rows = rows_of(drawn, units)
    counts = [scaled_selections(rows.parts, drawn.experts[:, layer], 16, 4) for layer in (0, 1)]
    matrices = np.stack([pair_matrix(rows, one, 4, units=units) for one in counts])
    for seed in range(3):
        labels = [str(number) for number in np.random.default_rng(seed).permutation(np.arange(12) % 4)]
        found = shuffled_gains([rows, rows], matrices, units_of(labels), permutations=1, rng=0).gains[0]
        relabelled = replace(drawn, labels=labels)
        expected = [gain_by_pairs(relabelled, layer) for layer in range(2)]
        assert found == pytest.approx([*expected, np.mean(expected)], abs=1e-12)


@pytest.mark.parametrize("groups", [None, "nested", "crossed"])
def test_a_unit_left_out_is_as_if_it_had_not_been_there(planted: Planted, groups: str | None) -> None:
    drawn = planted(2, token=1, prompts=12)
    names = {"nested": [f"{i % 4}, {i // 8}" for i in range(12)], "crossed": [f"{i // 4}" for i in range(12)]}
    units = units_of(drawn.labels, names.get(groups or ""))
    rows = rows_of(drawn, units)
    counts = scaled_selections(rows.parts, drawn.experts[:, 0], 16, 4)
    sums = CategorySums.of(rows, counts, units.part_categories, 4)
    found = layer_gain(rows, counts, 4, sums=sums, units=units)
    expected = [gain_by_pairs(drawn, 0, units.units.tolist(), without=unit) for unit in range(len(units))]
    assert found.without_each == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("design", ["nested", "crossed", "mixed"])
def test_prompts_of_one_group_make_no_pairs_with_each_other(planted: Planted, design: str) -> None:
    """Whether a group holds one category, or all four, or some groups the one and some the other."""
    drawn = planted(3, token=1, category=0.5)
    nested = [f"{label}, {i // 8}" for i, label in enumerate(drawn.labels)]
    crossed = [f"content {i // 8}" for i in range(len(drawn.labels))]
    groups = {"nested": nested, "crossed": crossed, "mixed": [*crossed[:16], *nested[16:36], *["", "", "", ""]]}[design]
    units = units_of(drawn.labels, groups).units.tolist()
    found = same_token(drawn, groups=groups)
    assert found.by_layer[0] == pytest.approx(gain_by_pairs(drawn, 0, units), abs=1e-12)


def test_the_variance_of_the_gain_is_that_of_sums_over_two_units(planted: Planted) -> None:
    """The statistic of the labels as they are, from a loop over pairs of groups that hold all categories."""
    drawn = planted(4, token=1, prompts=16, layers=1)
    units = units_of(drawn.labels, [f"{i // 4}" for i in range(16)])
    rows = rows_of(drawn, units)
    counts = scaled_selections(rows.parts, drawn.experts[:, 0], 16, 4)
    matrix = pair_matrix(rows, counts, 4, units=units)
    found = shuffled_gains([rows], matrix[None], units, permutations=1, rng=0)
    every = CategorySums.of(rows, counts, units.part_categories, 4).pairs(4)
    share = (every.occurrences * every.pairs_within / np.maximum(every.pairs, 1))[every.pairs > 0].sum()
    share /= every.occurrences[every.pairs > 0].sum()
    total = variance = 0.0
    for u, v in combinations(range(4), 2):
        of_units = [
            ((units.part_categories[p] == units.part_categories[q]) - share, matrix[p, q])
            for p in np.flatnonzero(units.part_units == u)
            for q in np.flatnonzero(units.part_units == v)
        ]
        total += sum(weight * value for weight, value in of_units)
        variance += sum(weight * value for weight, value in of_units) ** 2
    assert found.scaled[0, 0] == pytest.approx(total / np.sqrt(variance))


def mixed_k(seed: int) -> Routed:
    """Return 10 prompts (4 and 6), 120 tokens of 12 ids, 6 experts, and two layers of k = 3 and k = 1."""
    rng = np.random.default_rng(seed)
    ids, prompts = rng.integers(12, size=120), np.sort(np.arange(120) % 10)
    scores = 1.5 * rng.normal(size=(12, 2, 6))[ids] + rng.gumbel(size=(120, 2, 6))
    chosen = np.argsort(-scores, axis=2)[:, :, :3].astype(np.int16)
    chosen[:, 1, 1:] = -1
    return Drawn(ids, prompts, chosen, [*"aaaa", *"bbbbbb"])


@dataclass(frozen=True)
class Drawn:
    """The same as `Routed` of conftest.py."""

    token_ids: np.ndarray
    prompts: np.ndarray
    experts: np.ndarray
    labels: list[str]


@pytest.mark.parametrize("seed", range(3))
def test_each_layer_is_divided_by_its_own_k(seed: int) -> None:
    drawn = mixed_k(seed)
    found = same_token(drawn)
    assert found.by_layer == pytest.approx([gain_by_pairs(drawn, layer) for layer in range(2)], abs=1e-12)
    by_token = np.tile((drawn.token_ids[:, None, None] + np.arange(3)) % 6, (1, 2, 1))
    by_token[:, 1, 1:] = -1
    alike = same_token(replace(drawn, experts=by_token))
    assert (alike.within, alike.gain) == (1, 0)


def test_selections_that_were_dropped_are_shared_by_no_pair_and_divide_none(planted: Planted) -> None:
    """Equal selections are all in common, however many they are; a token without any takes no part in its layer."""
    drawn = planted(4, category=0.5, prompts=12)
    fewer = drawn.experts.copy()
    fewer[::2, :, 3] = -1
    fewer[::5, 0] = -1
    some = replace(drawn, experts=fewer)
    found = same_token(some)
    assert found.by_layer == pytest.approx([gain_by_pairs(some, layer) for layer in range(2)], abs=1e-12)
    without = np.ones(len(fewer), dtype=bool)
    without[::5] = False
    alone = Drawn(some.token_ids[without], some.prompts[without], fewer[without], some.labels)
    assert found.by_layer[0] == pytest.approx(same_token(alone).by_layer[0], abs=1e-12)


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


@simulated(15, nightly=100)
def test_word_order_alone_is_a_gain_of_the_same_token_and_none_of_the_same_context(seeds: range) -> None:
    """A router that sees the token before tells categories apart that order the same words otherwise."""
    studies = [word_order(np.random.default_rng([seed, 8]), (0.3, 0.7)) for seed in seeds]
    assert_share(np.array([same_token(study).p_value <= 0.05 for study in studies]), 0.6, 0.9)
    assert_level([same_token(contexts_of(study)).p_value for study in studies])


@simulated(15, nightly=200)
def test_the_same_order_of_words_is_no_gain_of_the_same_token(seeds: range) -> None:
    studies = [word_order(np.random.default_rng([seed, 9]), (0.5, 0.5)) for seed in seeds]
    assert_level([same_token(study).p_value for study in studies])


def contexts_of(study: Routed) -> Routed:
    """Take two tokens in a row as one id, and leave the first token of each prompt out."""
    later = np.flatnonzero(np.diff(study.prompts, prepend=-1) == 0)
    contexts = study.token_ids[later - 1] * 1000 + study.token_ids[later]
    return replace(study, token_ids=contexts, prompts=study.prompts[later], experts=study.experts[later])


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


@pytest.mark.filterwarnings("error")
def test_labels_that_leave_no_id_with_pairs_within_and_across_show_no_gain() -> None:
    """The id is in three prompts; where these have three categories, no two of them share one."""
    found = same_token_test(
        np.zeros(3, dtype=int),
        np.arange(3),
        np.array([[[0]], [[0]], [[1]]]),
        ["a", "a", "b", "b", "c", "c"],
        width=2,
        permutations=200,
        rng=0,
    )
    assert found.gain == pytest.approx(1)
    assert np.isfinite([found.null_mean, found.null_std, *np.ravel(found.null_by_layer)]).all()
    assert 0 < found.p_value < 0.3
