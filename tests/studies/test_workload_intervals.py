"""Intervals of batches and of coverage hold the value of the population that prompts are drawn from, in simulations."""

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.stats.workloads.distinct import distinct_experts
from moexray.studies.batch_ways import Batches
from moexray.studies.coverage import study_coverage
from moexray.studies.unit_blocks import unit_blocks

from .. import made

_STUDIES, _PROMPTS = 150, 40
_EXPERTS, _K, _STEPS, _LAYERS = 32, 4, 6, 3


def study(seed: int) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """Return what prompts of two categories select, their categories, and how similar their prefill is."""
    of_category = np.random.default_rng(5).normal(size=(2, _LAYERS, _EXPERTS))
    rng, kinds = np.random.default_rng(seed), np.arange(_PROMPTS) % 2
    preferences = of_category[kinds] + rng.normal(size=(_PROMPTS, _LAYERS, _EXPERTS))

    def selected(tokens: int) -> NDArray[np.bool_]:
        scores = preferences[:, None] + rng.gumbel(size=(_PROMPTS, tokens, _LAYERS, _EXPERTS))
        chosen = np.zeros(scores.shape, dtype=bool)
        np.put_along_axis(chosen, np.argsort(-scores, axis=-1)[..., :_K], values=True, axis=-1)
        return chosen

    decoding, loads = selected(_STEPS), selected(20).sum(axis=1).reshape(_PROMPTS, -1).astype(float)
    loads /= np.linalg.norm(loads, axis=1, keepdims=True)
    return decoding, kinds, loads @ loads.T


@pytest.mark.nightly
def test_intervals_hold_the_value_of_the_population() -> None:
    """What is held is the mean of all studies, whose own error is a twelfth of one study's."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(_STUDIES):
        chosen, kinds, similarity = study(seed)
        units = unit_blocks([str(kind) for kind in kinds], None)
        batches = Batches(chosen, kinds, units, 4, seed)
        ways = {
            "category": batches.category(lambda _: None),
            "signature": batches.greedy(similarity),
            "hamming": batches.hamming(),
            "oracle": batches.greedy(batches.shared.sum(axis=0)),
        }
        values = {"random": (batches.random.experts, batches.random.without)}
        for name, mean in ways.items():
            values[name] = (mean.experts, mean.without)
            values[f"{name} − random"] = (
                mean.experts - batches.random.experts,
                mean.without - batches.random.without,
            )
        selected = chosen.sum(axis=0)
        sizes = (2, 16, 32)
        everything, *without = (
            distinct_experts(
                selected - chosen[out].sum(axis=0),
                np.full(_STEPS, _PROMPTS - len(out)),
                experts=np.full(_LAYERS, _EXPERTS),
                sizes=sizes,
            ).observed.mean(axis=1)
            for out in (
                np.array([], dtype=int),
                *(np.flatnonzero(units.blocks == block) for block in range(len(units))),
            )
        )
        for place, size in enumerate(sizes):
            values[f"batches of {size}"] = (everything[place], np.array([one[place] for one in without]))
        for name, (estimate, left_out) in values.items():
            ends = units.interval(estimate, left_out)
            assert ends is not None
            found.setdefault(name, []).append((estimate, *ends))
    for name, studies in found.items():
        estimates, low, high = np.array(studies).T
        held = np.mean((low <= estimates.mean()) & (estimates.mean() <= high))
        print(f"{name}: held in {held:.0%}")
        assert held >= 0.90, name


def counts_of(seed: int) -> NDArray[np.uint16]:
    """Return counts of prompts of two categories with preferences of their own, thirty tokens each."""
    of_category = np.random.default_rng(7).normal(size=(2, _LAYERS, _EXPERTS)) * 0.5
    rng = np.random.default_rng(seed)
    preferences = of_category[np.arange(_PROMPTS) % 2] + 0.5 * rng.normal(size=(_PROMPTS, _LAYERS, _EXPERTS))
    scores = preferences[:, None] + rng.gumbel(size=(_PROMPTS, 30, _LAYERS, _EXPERTS))
    chosen = np.zeros(scores.shape, dtype=np.uint16)
    np.put_along_axis(chosen, np.argsort(-scores, axis=-1)[..., :_K], values=1, axis=-1)
    counts = np.zeros((_PROMPTS, 2, _LAYERS, _EXPERTS), dtype=np.uint16)
    counts[:, 0] = chosen.sum(axis=1)
    return counts


@pytest.mark.nightly
def test_intervals_of_coverage_hold_the_value_of_the_population() -> None:
    """Those of overlaps are too wide: a rank changes by leaps, and each is counted as many times as there are units."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(100):
        result = study_coverage(made.signatures(counts=counts_of(seed), top_k=_K), seed=seed)
        stable, used = result.stability, result.most_used
        assert stable is not None
        assert used is not None
        place = used.numbers.index(8)
        for name, value, ends in (
            ("halves", stable.halves, stable.halves_ci),
            ("same category", stable.same_category, stable.same_category_ci),
            ("other category", stable.other_category, stable.other_category_ci),
            ("difference", stable.difference, stable.difference_ci),
            ("eight most used", used.share[place], used.ci[place]),
        ):
            assert value is not None
            assert ends is not None
            found.setdefault(name, []).append((value, *ends))
    for name, studies in found.items():
        values, low, high = np.array(studies).T
        held = np.mean((low <= values.mean()) & (values.mean() <= high))
        print(f"{name}: held in {held:.0%}, {(high - low).mean() / 3.92 / values.std():.2f} times as wide as needed")
        assert held >= 0.88, name
