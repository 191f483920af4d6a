"""Bits are those of the probabilities that experts were drawn with, and no more than chance where there are none."""

from typing import Any

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.tokens.entropy import table_information
from moexray.stats.tokens.information import RoutingInformation, _information, routing_information

from ..simulations import assert_power, assert_share, simulated
from .studies import TokenStudy, frequent_words

CATEGORIES, PROMPTS, LENGTH = 4, 100, 50


def entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())


class Router:
    """Sends a token of id t in a prompt of category c to k neighbouring experts, the first drawn from p(t, c)."""

    def __init__(self, token: float, category: float, *, experts: int = 16, k: int = 4, vocabulary: int = 25) -> None:
        rng = np.random.default_rng(0)
        common, *own = rng.dirichlet(np.full(vocabulary, 5.0), size=CATEGORIES + 1)
        self.experts, self.k = experts, k
        self.words = np.array([(common + mine) / 2 for mine in own])
        preferences = rng.dirichlet(np.full(experts, 0.3), size=(2, max(vocabulary, CATEGORIES)))
        of_token, of_category = preferences[0, None, :vocabulary], preferences[1, :CATEGORIES, None]
        self.first = token * of_token + category * of_category + (1 - token - category) / experts

    def truth(self) -> dict[str, float]:
        shares = np.mean([np.roll(self.first, step, axis=2) for step in range(self.k)], axis=0)
        joint = shares * self.words[:, :, None] / CATEGORIES  # (category, token, expert)
        expert = entropy(joint.sum(axis=(0, 1)))
        token = expert + entropy(joint.sum(axis=(0, 2))) - entropy(joint.sum(axis=0))
        both = expert + entropy(joint.sum(axis=2)) - entropy(joint)
        category = expert + entropy(joint.sum(axis=(1, 2))) - entropy(joint.sum(axis=1))
        return {"token": token, "category": category, "category_given_token": both - token, "position": 0.0}

    def measured(self, seed: int) -> RoutingInformation:
        rng = np.random.default_rng([seed, 1])
        token_ids, chosen = [], []
        for prompt in range(PROMPTS):
            drawn = rng.choice(self.words.shape[1], LENGTH, p=self.words[prompt % CATEGORIES])
            likely = self.first[prompt % CATEGORIES, drawn].cumsum(axis=1)
            first = (rng.random((LENGTH, 1)) > likely).sum(axis=1).clip(0, self.experts - 1)
            token_ids.append(drawn)
            chosen.append((first[:, None] + np.arange(self.k)) % self.experts)
        return routing_information(
            np.concatenate(token_ids),
            np.repeat(np.arange(PROMPTS), LENGTH),
            np.tile(np.arange(LENGTH), PROMPTS),
            np.concatenate(chosen),
            [f"kind {i % CATEGORIES}" for i in range(PROMPTS)],
            width=self.experts,
            permutations=1,
        )


@simulated(6, nightly=20)
@pytest.mark.parametrize(("experts", "k"), [(16, 4), (64, 8)])
@pytest.mark.parametrize(("token", "category"), [(0.0, 0.0), (1.0, 0.0), (0.0, 0.6), (0.5, 0.3)])
def test_estimates_of_5000_tokens_are_unbiased_within_a_fiftieth_of_a_bit(
    token: float, category: float, experts: int, k: int, seeds: range
) -> None:
    router = Router(token, category, experts=experts, k=k)
    found = [router.measured(seed) for seed in seeds]
    for name, truth in router.truth().items():
        bits = [getattr(one, name).bits for one in found]
        assert np.mean(bits) == pytest.approx(truth, abs=0.02), name
    assert np.mean([one.covered for one in found]) > 0.99


@simulated(30, nightly=100)
def test_intervals_hold_the_truth_about_95_times_of_100(seeds: range) -> None:
    router = Router(0.5, 0.3)
    found = [router.measured(100 + seed) for seed in seeds]
    for name in ("token", "category", "category_given_token"):
        truth = router.truth()[name]
        intervals = [getattr(one, name).ci for one in found]
        assert np.mean([low <= truth <= high for low, high in intervals]) >= 0.88, name


def test_what_is_uncorrected_is_what_counts_give_and_is_too_large_where_there_is_nothing() -> None:
    """By (ids − 1)(experts − k)/(2 · 5,000 k ln 2) bits: selections of a token differ, and so vary less than draws."""
    found = [Router(0.0, 0.0).measured(seed) for seed in range(5)]
    assert np.mean([one.token.uncorrected for one in found]) == pytest.approx(
        24 * 12 / (2 * 5000 * 4 * np.log(2)), rel=0.15
    )
    assert abs(np.mean([one.token.bits for one in found])) < 0.002
    assert found[0].entropy == pytest.approx(4, abs=0.01)


def given_token(study: TokenStudy, permutations: int = 1) -> RoutingInformation:
    return routing_information(
        study.token_ids,
        study.prompts,
        np.zeros(len(study.token_ids), dtype=int),
        study.experts[:, 0],
        study.labels,
        width=32,
        permutations=permutations,
        rng=int(study.token_ids @ np.arange(len(study.token_ids))),
    )


@simulated(30, nightly=400)
@pytest.mark.parametrize("size", [{"k": 1, "prompts": 40, "tokens": 32}, {"k": 4, "prompts": 20, "tokens": 64}])
def test_small_tables_without_information_given_the_token_hold_none(size: dict[str, int], seeds: range) -> None:
    """Which categories use an id how often does not tell where it goes, however few tokens there are."""
    found = [given_token(frequent_words(np.random.default_rng([seed, 6]), **size), 99) for seed in seeds]
    bits = [one.category_given_token for one in found if one.category_given_token is not None]
    error = np.std([one.bits for one in bits]) / np.sqrt(len(bits))
    assert abs(np.mean([one.bits for one in bits])) < 0.01 + 3 * error
    assert np.mean([one.uncorrected for one in bits]) > 0.05
    least = 0.03 if size["prompts"] >= 40 else 0.005  # with five prompts a category the test is cautious
    assert_share(np.array([float(one.category_given_token_p or 0) <= 0.05 for one in found]), least, 0.07)
    intervals = [one.ci for one in bits if one.ci is not None]
    assert len(intervals) == (len(bits) if size["prompts"] >= 40 else 0)
    if intervals:
        assert_share(np.array([low <= 0 <= high for low, high in intervals]), 0.93, 0.98)


@pytest.mark.slow
@simulated(20, nightly=200)
def test_what_the_category_adds_in_small_tables_is_found_and_lies_in_the_interval(seeds: range) -> None:
    options: dict[str, Any] = {"k": 1, "tokens": 32, "category": 0.5, "router": 1}
    everything = frequent_words(np.random.default_rng(0), prompts=8000, **options)
    kinds = np.array([int(label[-1]) for label in everything.labels])[everything.prompts]
    table = np.zeros((20, 4, 32))
    np.add.at(table, (everything.token_ids, kinds, everything.experts[:, 0, 0]), 1)
    p_values, held = [], []
    for seed in seeds:
        study = frequent_words(np.random.default_rng([seed, 7]), prompts=40, **options)
        found = given_token(study, 99)
        often = np.zeros((20, 4))
        np.add.at(often, (study.token_ids, study.prompts % 4), 1)
        told = (often >= 20) & ((often >= 20).sum(axis=1) > 1)[:, None]
        truth = information_given_rows(table * told[:, :, None])
        assert found.category_given_token is not None
        assert found.category_given_token.ci is not None
        p_values.append(float(found.category_given_token_p or 1))
        held.append(found.category_given_token.ci[0] <= truth <= found.category_given_token.ci[1])
    assert_power(p_values)
    assert_share(np.array(held), 0.93, 0.97)


def information_given_rows(table: np.ndarray) -> float:
    """Average the information of the second and third axis over the first."""
    return float(sum(one.sum() * table_information(one) for one in table if one.any()) / table.sum())


def test_a_table_holds_the_bits_of_its_definition() -> None:
    """Σ p(x, y) log2 p(x, y) / p(x) p(y)."""
    counts = np.random.default_rng(1).poisson(3, size=(7, 5))
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    some = joint > 0
    assert table_information(counts) == pytest.approx((joint[some] * np.log2(joint[some] / product[some])).sum())
    assert table_information(np.eye(8, dtype=int) * 3) == pytest.approx(3)
    assert table_information(np.ones((4, 4), dtype=int)) == pytest.approx(0, abs=1e-12)


def test_a_prompt_left_out_is_as_if_it_had_not_been_there() -> None:
    rng = np.random.default_rng(2)
    rows, which, chosen = rng.integers(5, size=60), rng.integers(4, size=60), rng.integers(-1, 6, size=(60, 2))
    found = _information(rows, which, chosen, width=6, units=4)
    for prompt in range(-1, 4):
        table = np.zeros((5, 6), dtype=int)
        for row, owner, experts in zip(rows, which, chosen, strict=True):
            if owner != prompt:
                np.add.at(table[row], experts[experts >= 0], 1)
        assert found[prompt + 1] == pytest.approx(table_information(table))


def test_ids_that_are_rare_everywhere_say_nothing() -> None:
    chosen = np.zeros((40, 1), dtype=int)
    with pytest.raises(NotComputable, match="no token id occurs 20 times"):
        routing_information(np.arange(40), np.arange(40) // 10, np.arange(40), chosen, list("aabb"), width=2)
    found = routing_information(np.arange(40) // 20, np.arange(40) // 10, np.arange(40), chosen, list("aabb"), width=2)
    assert found.category_given_token is None
    assert found.covered_given_token == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("groups", ["gggggggg", "aaaabbbb"], ids=["one group", "one group in each category"])
def test_bits_given_the_token_have_no_p_where_no_id_has_pairs_of_different_groups(groups: str) -> None:
    rng = np.random.default_rng(0)
    found = routing_information(
        rng.integers(3, size=400),
        np.repeat(np.arange(8), 50),
        np.tile(np.arange(50), 8),
        rng.integers(4, size=(400, 1)),
        labels=list("aaaabbbb"),
        groups=list(groups),
        width=4,
        permutations=9,
        rng=0,
    )
    assert found.category_given_token_p is None
