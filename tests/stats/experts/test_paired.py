"""Two routers of the same prompts differ, or do not, whatever the prompts are like."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest

from moexray.errors import NotComputable
from moexray.stats.experts.paired import PairedLayer, least_exchange_p, paired_routing
from moexray.stats.pairs.divergence import jensen_shannon

from ..simulations import assert_level, assert_power, assert_share, simulated

LABELS = ["a", "b"] * 10


def shares(rng: np.random.Generator, preferences: np.ndarray) -> np.ndarray:  # (prompts, layers, experts)
    return np.array([[rng.multinomial(80, p) / 80 for p in layers] for layers in preferences])


def test_a_change_is_found_in_its_layer_and_its_experts() -> None:
    rng = np.random.default_rng(1)
    before = rng.dirichlet(np.ones(8), size=(20, 2))
    after = before.copy()
    after[:, 1, 0] = 0.2 * before[:, 1, 0]
    after[:, 1, 1] += 0.8 * before[:, 1, 0]
    first, second = shares(rng, before), shares(rng, after)
    same, changed = paired_routing(first, second, LABELS, permutations=4999, rng=0)
    assert same.p_value > 0.01
    assert changed.p_value < 0.05
    assert np.argsort(-np.abs(changed.differences))[:2].tolist() in ([0, 1], [1, 0])
    means = [part[:, 1].mean(axis=0) for part in (first, second)]
    assert changed.differences == pytest.approx(means[1] - means[0])
    assert changed.jensen_shannon == pytest.approx(float(jensen_shannon(*means)))


def test_experts_that_a_layer_does_not_have_are_not_tested() -> None:
    rng = np.random.default_rng(2)
    first, second = (shares(rng, rng.dirichlet(np.ones(3), size=(20, 2))) for _ in range(2))
    first[:, 1, 2] = second[:, 1, 2] = 0
    found = paired_routing(first, second, LABELS, permutations=99, rng=0, experts=np.array([3, 2]))
    every = paired_routing(first, second, LABELS, permutations=99, rng=0)
    assert np.isnan([found[1].differences[2], found[1].adjusted[2]]).all()
    tested = [value for layer in found for value in layer.adjusted if not np.isnan(value)]
    assert len(tested) == 5
    assert all(one.p_value == other.p_value for one, other in zip(found, every, strict=True))
    # The missing expert's p was 1, the largest of six: without it each other is adjusted for five tests.
    assert min(tested) == pytest.approx(min(value for layer in every for value in layer.adjusted) * 5 / 6)


def test_two_runs_of_one_router_give_uniform_p() -> None:
    """However much prompts differ from each other."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng([3, seed])
        preferences = rng.dirichlet(np.ones(8), size=(20, 1))
        first, second = shares(rng, preferences), shares(rng, preferences)
        found.append(paired_routing(first, second, LABELS, permutations=99, rng=seed)[0].p_value)
    continuous = np.array(found) - np.random.default_rng(1).random(200) / 100
    assert kstest(continuous, "uniform").pvalue > 0.001


def by_template(
    seed: int, templates: int, prompts: int, *, moved: float = 0.0
) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Two captures that differ by template at random, by nothing on average, and by `moved` in expert 0."""
    rng = np.random.default_rng([4, seed])
    of = np.repeat(np.arange(templates), prompts)
    first = rng.dirichlet(np.full(16, 20.0), size=len(of))
    change = 0.15 * rng.normal(size=(templates, 16))[of] + 0.02 * rng.normal(size=first.shape)
    change[:, 0] += moved
    second = first * np.exp(change)
    labels = ["ab"[t % 2] for t in of]
    return first[:, None], (second / second.sum(axis=1, keepdims=True))[:, None], labels, [f"t{t}" for t in of]


def compared(seed: int, templates: int, prompts: int, *, moved: float = 0.0, number: int = 199) -> PairedLayer:
    first, second, labels, groups = by_template(seed, templates, prompts, moved=moved)
    return paired_routing(first, second, labels, groups=groups, permutations=number, rng=seed)[0]


DESIGNS = [(8, 10), (80, 1), (20, 4)]


@simulated(100, nightly=800)
@pytest.mark.parametrize(("templates", "prompts"), DESIGNS)
def test_differences_of_templates_that_cancel_are_no_difference_of_routers(
    templates: int, prompts: int, seeds: range
) -> None:
    assert_level([compared(seed, templates, prompts).p_value for seed in seeds])


@simulated(100, nightly=400)
@pytest.mark.parametrize(("templates", "prompts"), DESIGNS)
def test_an_expert_moves_by_mistake_in_five_of_a_hundred_studies_at_most(
    templates: int, prompts: int, seeds: range
) -> None:
    found = [compared(seed, templates, prompts).adjusted.min() for seed in seeds]
    assert_share(np.array(found) <= 0.05, 0.0, 0.05)


@simulated(30, nightly=200)
@pytest.mark.parametrize(("templates", "prompts", "moved"), [(8, 10, 0.3), (80, 1, 0.1), (20, 4, 0.25)])
def test_an_expert_that_moves_in_every_template_is_found(
    templates: int, prompts: int, moved: float, seeds: range
) -> None:
    found = [compared(seed, templates, prompts, moved=moved, number=999) for seed in seeds]
    assert_power([one.p_value for one in found])
    if templates > 10:
        assert_power([one.adjusted[0] for one in found])


def test_p_is_the_share_of_all_exchanges_of_whole_units() -> None:
    """Four templates of unequal size: sixteen exchanges, each measured by its definition."""
    rng = np.random.default_rng(5)
    first, second = rng.dirichlet(np.ones(6), size=(2, 10, 1))
    groups = list("ssttttuuuv")
    divergences = []
    for signs in product([False, True], repeat=4):
        turned = np.array(["stuv".index(group) for group in groups])
        turned = np.array(signs)[turned][:, None, None]
        one, other = np.where(turned, second, first), np.where(turned, first, second)
        divergences.append(float(jensen_shannon(one.mean(axis=0), other.mean(axis=0))[0]))
    expected = np.mean(np.array(divergences) >= divergences[0] - 1e-12)
    found = paired_routing(first, second, ["a"] * 10, groups=groups, permutations=20_000, rng=0)[0]
    assert found.p_value == pytest.approx(expected, abs=0.015)
    assert found.expected == pytest.approx(np.mean(divergences), rel=0.02)
    assert least_exchange_p(4) == 2 / 16


@pytest.mark.parametrize("tokens", [30, 200])
def test_two_captures_of_one_router_diverge_as_much_as_is_expected_by_chance(tokens: int) -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng([6, seed])
        likely = rng.dirichlet(np.ones(64), size=80)
        first, second = (rng.multinomial(8 * tokens, likely)[:, None] / (8 * tokens) for _ in range(2))
        found.append(paired_routing(first, second, ["a"] * 80, permutations=50, rng=seed)[0])
    observed, expected = (np.mean([getattr(one, name) for one in found]) for name in ("jensen_shannon", "expected"))
    assert observed == pytest.approx(expected, rel=0.1)


def test_a_prompt_that_a_router_dropped_from_a_layer_is_left_out_of_it() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.dirichlet(np.ones(4), size=(2, 12, 2))
    labels, dropped = ["a", "b"] * 6, second.copy()
    dropped[3, 1] = 0
    kept = np.delete(np.arange(12), 3)
    found = paired_routing(first, dropped, labels, permutations=99, rng=0)
    rest = paired_routing(first[kept], dropped[kept], [labels[i] for i in kept], permutations=99, rng=0)
    assert [one.prompts for one in found] == [12, 11]
    assert found[1].jensen_shannon == pytest.approx(rest[1].jensen_shannon)
    assert found[1].similarity == pytest.approx(rest[1].similarity)
    assert found[1].similarity_ci == pytest.approx(rest[1].similarity_ci)
    assert found[1].differences == pytest.approx(rest[1].differences)
    dropped[:, 0] = 0
    with pytest.raises(NotComputable, match="layer 1 of the 2"):
        paired_routing(first, dropped, labels, permutations=9, rng=0)


def test_a_router_that_is_compared_with_itself_has_a_p_of_one() -> None:
    first, _, labels, groups = by_template(0, 8, 10)
    found = paired_routing(first, first, labels, groups=groups, permutations=99, rng=0)[0]
    assert (found.p_value, found.jensen_shannon, found.expected) == (1, 0, 0)
    assert (found.adjusted == 1).all()
