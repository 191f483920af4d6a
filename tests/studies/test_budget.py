"""What a study of budgets says is what the sums over prompts give, by explicit loops."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.studies.budget import study_budget
from moexray.studies.budget_measured import Measured
from moexray.studies.budget_result import Budget
from moexray.studies.halves import Halves, halves_of

CATEGORIES = ["a"] * 8 + ["b"] * 8
FACTS: dict[str, Any] = {
    "model": "made-up",
    "dtype": "float32",
    "device": "cpu",
    "experts_implementation": ("eager",),
    "layers": (0, 2),
    "experts": (6, 6),
    "top_k": (2, 2),
    "prompts": 16,
    "learnt": 8,
    "texts": "given",
    "new_tokens": 3,
}


def halves() -> Halves:
    return halves_of(CATEGORIES, None, 0)


def scored() -> list[str]:
    return [CATEGORIES[place] for place in halves().scored]


def measured(seed: int, policy: str = "k", keep: float = 50.0) -> Measured:
    rng = np.random.default_rng(seed)
    prompts, steps = len(scored()), 3
    tokens = np.random.default_rng(99).integers(1, 9, (prompts, 2))
    selected = np.zeros((steps, 2, 6), dtype=np.int64)
    for _ in range(prompts):
        for step in range(steps):
            for layer in range(2):
                selected[step, layer, rng.permutation(6)[:2]] += 1
    return Measured(
        policy=policy,
        keep=keep,
        rule={"rule": "FixedK", "normalisation": "native", "k": 1},
        losses=rng.random((prompts, 2)) * tokens,
        tokens=tokens,
        selections=np.array([30, 50]),
        routed=40,
        selected=selected,
        steps=np.full(steps, prompts),
        written=np.full(prompts, 3),
        same_tokens=rng.integers(0, 4, prompts),
        same_texts=rng.random(prompts) < 0.5,
        batches=(1, 4),
        seconds=rng.random((3, 2)) + 1,
    )


def study(full: Measured, *policies: Measured) -> Budget:
    return study_budget(
        full,
        policies,
        categories=scored(),
        segments=("prompt", "generated"),
        halves=halves(),
        experts=(6, 6),
        facts=FACTS,
    )


def test_differences_are_those_of_the_same_tokens_and_add_up_over_prompts() -> None:
    full, other = measured(1), measured(2)
    found = study(full, other).policies[0]
    for name, who in {"all": scored(), "a": ["a"], "b": ["b"]}.items():
        places = [place for place, category in enumerate(scored()) if category in who]
        tokens = sum(int(full.tokens[place].sum()) for place in places)
        change = sum(float((other.losses[place] - full.losses[place]).sum()) for place in places) / tokens
        assert found.loss[name].mean == pytest.approx(change)
        assert found.loss[name].loss == pytest.approx(sum(float(other.losses[p].sum()) for p in places) / tokens)
    for place, name in enumerate(("prompt", "generated")):
        change = (other.losses[:, place] - full.losses[:, place]).sum() / full.tokens[:, place].sum()
        assert found.segments[name].mean == pytest.approx(change)


def test_the_interval_of_a_category_is_the_jackknife_of_a_ratio() -> None:
    from scipy.stats import t

    full, other = measured(1), measured(2)
    places = [place for place, category in enumerate(scored()) if category == "a"]
    changes, tokens = (other.losses - full.losses).sum(1)[places], full.tokens.sum(1)[places]
    left_out = [
        (changes.sum() - change) / (tokens.sum() - number) for change, number in zip(changes, tokens, strict=True)
    ]
    n = len(places)
    half = t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left_out - np.mean(left_out)) ** 2).sum())
    found = study(full, other).policies[0].loss["a"]
    assert found.ci == pytest.approx((changes.sum() / tokens.sum() - half, changes.sum() / tokens.sum() + half))


def test_full_routing_beside_itself_costs_nothing() -> None:
    full = measured(1)
    same = replace(
        full, policy="k", keep=100.0, same_tokens=full.written, same_texts=np.ones(len(scored()), dtype=bool)
    )
    found = study(full, same).policies[0]
    assert {change.mean for change in (*found.loss.values(), *found.segments.values())} == {0.0}
    assert found.loss["all"].ci == (0.0, 0.0)
    assert found.agreement is not None
    assert (found.agreement.tokens, found.agreement.texts) == (1.0, 1.0)
    assert set(found.seconds_ratio.values()) == {1.0}
    assert found.distinct == study(full, same).full.distinct


def test_experts_are_those_recorded_and_distinct_ones_those_of_all_batches() -> None:
    full = measured(1)
    found = study(full, measured(2)).full
    assert found.mean_k == pytest.approx((30 / 40 + 50 / 40) / 2)
    assert found.distinct["1"] == pytest.approx(2.0)
    assert found.distinct["8"] == pytest.approx((full.selected > 0).sum(2).mean())
    assert found.distinct["16"] is None
    assert found.distinct["2"] < found.distinct["4"] < found.distinct["8"]


def test_a_policy_is_compared_with_random_drops_of_the_same_share() -> None:
    policy, random, other = measured(2), measured(3, "random"), measured(4, "random", 25.0)
    found = study(measured(1), policy, random, other).policies
    assert found[0].against_random is not None
    change = (policy.losses - random.losses).sum() / random.tokens.sum()
    assert found[0].against_random.mean == pytest.approx(change)
    assert found[1].against_random is None
    assert study(measured(1), policy).policies[0].against_random is None


def test_ratios_of_seconds_are_medians_of_turns_that_are_compared_in_turn() -> None:
    full, other = measured(1), measured(2)
    assert full.seconds is not None
    assert other.seconds is not None
    found = study(full, other).policies[0].seconds_ratio
    ratios = other.seconds[:, 1] / full.seconds[:, 1]
    assert found["4"] == pytest.approx(float(np.median(ratios)))
    assert study(full, other).policies[0].seconds_range["4"] == pytest.approx((ratios.min(), ratios.max()))
    missing = np.array(other.seconds)
    missing[:, 1] = np.nan
    assert study(full, replace(other, seconds=missing)).policies[0].seconds_ratio["4"] is None


def test_what_was_not_generated_is_none() -> None:
    nothing: dict[str, Any] = {"written": None, "same_tokens": None, "same_texts": None, "seconds": None, "batches": ()}
    empty: dict[str, Any] = {"selected": np.zeros((0, 2, 6), dtype=np.int64), "steps": np.zeros(0, dtype=np.int64)}
    prompts_alone = np.array([[3, 0]] * len(scored()))
    full, other = (
        replace(one, **nothing, **empty, tokens=prompts_alone, losses=one.losses * [1, 0])
        for one in (measured(1), measured(2))
    )
    found = study(full, other)
    policy = found.policies[0]
    assert policy.agreement is None
    assert policy.segments["generated"].mean is None
    assert found.full.segments["generated"] is None
    assert policy.distinct == policy.seconds_ratio == policy.seconds_range == {}


def test_a_study_is_saved_and_read_again(tmp_path: Path) -> None:
    found = study(measured(1), measured(2), measured(3, "random"))
    found.save(tmp_path / "budget.json")
    assert Budget.load(tmp_path / "budget.json") == found
    assert set(found.document) >= {"full", "policies", "notes"}
    assert found.document["policies"][0]["loss"]["a"].keys() == {"mean", "ci", "loss"}
    assert "nats a token with all" in repr(found)
    assert "50 % of the experts: least loss by" in repr(found)
    assert len(found._main_rows()) == 2 * 3
