"""Distinct experts of a batch are those of all subsets, and follow the closed forms where tokens are independent."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.stats.workloads.distinct import distinct_experts, left_out_probability, load_matched, uniform


def choices(prompts: int, experts: int, k: int, *, seed: int = 0, skew: float = 1.0) -> NDArray[np.bool_]:
    """Return which experts each prompt selects, k each, some experts more often than others."""
    rng = np.random.default_rng(seed)
    scores = skew * rng.normal(size=experts) + rng.gumbel(size=(prompts, experts))
    chosen = np.zeros((prompts, experts), dtype=bool)
    np.put_along_axis(chosen, np.argsort(-scores, axis=1)[:, :k], values=True, axis=1)
    return chosen


def observed(chosen: NDArray[np.bool_], sizes: tuple[int, ...]) -> NDArray[np.float64]:  # (sizes,)
    """Return the distinct experts of one step and one layer."""
    selected, prompts = chosen.sum(axis=0)[None, None], np.array([len(chosen)])
    found = distinct_experts(selected, prompts, experts=np.array([chosen.shape[1]]), sizes=sizes)
    return found.observed[:, 0]


def test_the_mean_over_all_subsets_is_that_of_enumeration() -> None:
    chosen = choices(7, 10, 3)
    expected = [
        np.mean([chosen[list(some)].any(axis=0).sum() for some in combinations(range(7), size)]) for size in range(1, 8)
    ]
    assert observed(chosen, tuple(range(1, 8))) == pytest.approx(expected, abs=1e-12)


def test_a_table_and_logarithms_give_the_same_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    selected, prompts = np.random.default_rng(0).integers(0, 40, size=(3, 2, 50)), np.array([40, 41, 90])
    by_table = left_out_probability(selected, prompts, 16)
    monkeypatch.setattr("moexray.stats.workloads.distinct._LARGEST_TABLE", 0)
    assert left_out_probability(selected, prompts, 16) == pytest.approx(by_table, rel=1e-9, abs=1e-12)
    assert left_out_probability(np.array([[99_990]]), np.array([100_000]), 16).item() == 0.0


def test_one_prompt_reads_k_and_all_of_them_what_is_ever_selected() -> None:
    chosen = choices(20, 32, 4)
    found = observed(chosen, tuple(range(1, 21)))
    assert found[0] == pytest.approx(4)
    assert found[-1] == pytest.approx(chosen.any(axis=0).sum())
    assert (found >= 4 - 1e-9).all()
    assert (found <= np.minimum(32, 4 * np.arange(1, 21)) + 1e-9).all()
    assert (np.diff(found) >= -1e-9).all()
    assert (np.diff(found, 2) <= 1e-9).all()


def test_names_of_experts_change_nothing() -> None:
    chosen = choices(20, 32, 4)
    renamed = chosen[:, np.random.default_rng(1).permutation(32)]
    assert observed(renamed, (2, 5, 20)) == pytest.approx(observed(chosen, (2, 5, 20)))


def test_copies_of_one_prompt_read_k() -> None:
    assert observed(np.repeat(choices(1, 16, 3), 9, axis=0), (1, 4, 9)) == pytest.approx([3, 3, 3])


def test_steps_count_the_same_and_those_with_too_few_prompts_do_not() -> None:
    first, second = choices(9, 16, 3, seed=1), choices(4, 16, 3, seed=2)
    selected = np.stack([first.sum(axis=0), second.sum(axis=0)])[:, None]
    found = distinct_experts(selected, np.array([9, 4]), experts=np.array([16]), sizes=(3, 5, 10))
    assert found.steps.tolist() == [2, 1, 0]
    assert found.observed[0, 0] == pytest.approx((observed(first, (3,)) + observed(second, (3,)))[0] / 2)
    assert found.observed[1, 0] == pytest.approx(observed(first, (5,))[0])
    assert np.isnan([found.observed[2], found.load_matched[2], found.uniform[2]]).all()


@pytest.mark.parametrize(
    ("experts", "k", "size", "published"), [(896, 16, 159, 844.9), (128, 8, 16, 82), (256, 8, 8, 57), (256, 8, 32, 163)]
)
def test_even_load_gives_the_published_numbers(experts: int, k: int, size: int, published: float) -> None:
    """Of Kimi K3, of Qwen3 in arXiv:2511.02237, and of DeepSeek R1 in arXiv:2602.07265."""
    found = float(uniform(np.array(k), np.array(experts), size))
    assert found == pytest.approx(published, abs=0.05 if published % 1 else 0.5)


def test_even_load_is_exact_for_distinct_experts_drawn_at_random() -> None:
    """One token leaves each expert out with probability 1 − k/E, and tokens are independent."""
    unions = [choices(6, 12, 3, seed=seed, skew=0).any(axis=0).sum() for seed in range(3000)]
    error = np.std(unions) / np.sqrt(len(unions))
    assert np.mean(unions) == pytest.approx(float(uniform(np.array(3), np.array(12), 6)), abs=4 * error)


def test_independent_prompts_read_what_their_load_predicts() -> None:
    steps = np.stack([choices(500, 32, 4, seed=0)[i : i + 50].sum(axis=0) for i in range(0, 500, 50)])[:, None]
    found = distinct_experts(steps, np.full(10, 50), experts=np.array([32]), sizes=(8,))
    assert found.observed[0, 0] == pytest.approx(found.load_matched[0, 0], abs=0.15)
    assert found.load_matched[0, 0] < found.uniform[0, 0] - 1


def test_a_closed_form_with_even_shares_is_the_even_one() -> None:
    assert load_matched(np.full(64, 1 / 8), 16) == pytest.approx(float(uniform(np.array(8), np.array(64), 16)))


def test_a_token_without_some_selections_counts_those_it_has() -> None:
    selected = np.array([[[3, 1, 0, 0]]])
    found = distinct_experts(selected, np.array([3]), experts=np.array([4]), sizes=(1,))
    for one in (found.observed, found.load_matched, found.uniform, found.selections):
        assert one[0, 0] == pytest.approx(4 / 3)
