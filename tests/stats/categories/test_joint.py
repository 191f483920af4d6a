"""All specifications together: one permutation of labels for the whole table, which is computed anew."""

from collections.abc import Callable

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.alternatives import representations
from moexray.stats.categories.joint import SpecificationTest, specification_test
from moexray.stats.inference.units import units_of

from ..recipes import EQUAL, SimulatedStudy, crossed_contents, equal_means, nested_templates
from ..simulations import assert_level, assert_power, simulated


def together(study: SimulatedStudy, seed: int, number: int = 99) -> SpecificationTest:
    loads = {"all": study.counts}
    return specification_test(loads, study.labels, groups=study.groups, permutations=number, rng=seed)


Draw = Callable[[np.random.Generator], SimulatedStudy]
STUDIES: dict[str, Draw] = {
    "equal": lambda rng: equal_means(rng, EQUAL),
    "templates": lambda rng: nested_templates(rng, 0.3, layers=2),
    "contents": lambda rng: crossed_contents(rng, 0.8, 0.0, layers=2),
}


@pytest.mark.slow
@simulated(30, nightly=400)
@pytest.mark.parametrize("study", STUDIES)
def test_where_categories_do_not_differ_p_is_small_in_five_of_a_hundred_studies(study: str, seeds: range) -> None:
    assert_level([together(STUDIES[study](np.random.default_rng([41, seed])), seed).p_value for seed in seeds])


@simulated(10, nightly=100)
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: crossed_contents(rng, 0.8, 0.25, layers=2),
        lambda rng: nested_templates(rng, 0.15, category=0.4, layers=2),
    ],
)
def test_categories_that_differ_are_found_whatever_their_units(draw: Draw, seeds: range) -> None:
    assert_power([together(draw(np.random.default_rng([42, seed])), seed).p_value for seed in seeds])


def effect(vectors: np.ndarray, labels: np.ndarray, units: np.ndarray, left_out: int) -> float:
    """Mean similarity within minus across over pairs of different units, one after another."""
    within: list[float] = []
    across: list[float] = []
    for i in range(len(labels)):
        for j in range(i):
            if units[i] != units[j] and left_out not in {labels[i], labels[j]}:
                similarity = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
                (within if labels[i] == labels[j] else across).append(float(similarity))
    return float(np.mean(within) - np.mean(across)) if within and across else 0.0


@pytest.mark.parametrize("groups", [None, [f"t{i // 2}" for i in range(18)], [f"c{i % 6}" for i in range(18)]])
def test_it_is_the_median_over_the_whole_table_of_every_permutation_by_its_definition(groups: list[str] | None) -> None:
    rng = np.random.default_rng(43)
    counts = rng.multinomial(6, np.ones(5) / 5, size=(18, 2))
    silent = counts.copy()
    silent[4] = 0
    labels = [f"kind {i // 6}" for i in range(18)]
    units = units_of(labels, groups)
    labelings = np.concatenate(list(units.labelings(5, 0, first=True)))[:, units.parts]
    rows = []
    for of_phase in (counts, silent):
        present = np.flatnonzero(of_phase.sum(axis=(1, 2)))
        for _, _, vectors in representations(of_phase[present]):
            rows += [
                [effect(vectors, one[present], units.units[present], left_out) for one in labelings]
                for left_out in (-1, 0, 1, 2)
            ]
    table = np.array(rows)
    medians = np.median((table - table.mean(axis=1, keepdims=True)) / table.std(axis=1, keepdims=True), axis=0)
    found = specification_test({"all": counts, "prompt": silent}, labels, groups=groups, permutations=5, rng=0)
    assert found.specifications == len(table) == 2 * 8 * 4
    assert found.statistic == pytest.approx(medians[0])
    assert found.p_value == pytest.approx(np.mean(medians >= medians[0] - 1e-12))


def test_without_pairs_or_with_signatures_alike_there_is_nothing_to_test() -> None:
    counts = np.random.default_rng(44).multinomial(20, np.ones(5) / 5, size=(6, 2))
    with pytest.raises(NotComputable, match="one category"):
        specification_test({"all": counts}, ["a"] * 6, permutations=9, rng=0)
    with pytest.raises(NotComputable, match="different groups share a category"):
        specification_test({"all": counts}, list("aaabbb"), groups=list("sssttt"), permutations=9, rng=0)
    same = np.tile(counts[:1], (6, 1, 1))
    with pytest.raises(NotComputable, match="other labels"):
        specification_test({"all": same}, list("aaabbb"), permutations=9, rng=0)
