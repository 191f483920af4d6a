"""What a pilot says of its population is unbiased, and studies drawn from it are like those of the population."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.categories.location import location_test
from moexray.stats.categories.population import (
    Population,
    StudyDesign,
    estimated_population,
    population_of_effect,
)
from moexray.stats.inference.units import units_of
from moexray.stats.pairs.similarity import similarity

from ..recipes import SimulatedStudy, crossed_contents, nested_templates, selected


def routers(
    rng: np.random.Generator, number: int, *, category: float, prompt: float = 0.3, tokens: int = 40
) -> SimulatedStudy:
    """Three categories, the same in every study, of prompts that differ by `prompt`."""
    always = np.random.default_rng(5)
    base, of_category = always.normal(size=(2, 12)), always.normal(size=(3, 2, 12))
    numbers = np.repeat(np.arange(3), number)
    logits = base + category * of_category[numbers] + prompt * rng.normal(size=(3 * number, 2, 12))
    return SimulatedStudy(
        selected(rng, logits, tokens, 3), [f"kind {c}" for c in numbers], None, np.full(3 * number, tokens)
    )


def estimated(study: SimulatedStudy, *, grouped: bool = True) -> Population:
    return estimated_population(study.counts, study.tokens, study.labels, study.groups if grouped else None)


def test_the_squared_distance_is_that_of_the_test_of_location() -> None:
    study = routers(np.random.default_rng(0), 8, category=0.3)
    test = location_test(study.shares, study.labels, permutations=1, rng=0)
    assert estimated(study).squared_distance == pytest.approx(test.squared_distance)


def test_without_a_difference_half_of_the_pilots_say_that_there_is_none() -> None:
    found = [estimated(routers(np.random.default_rng(seed), 4, category=0)).squared_distance for seed in range(40)]
    assert 10 <= np.count_nonzero(np.array(found) == 0) <= 30


def test_prompts_that_differ_by_their_tokens_alone_vary_by_their_number_of_tokens_alone() -> None:
    """The token noise of k distinct experts is binomial, so its share of the variance is all of it."""
    alike = estimated(routers(np.random.default_rng(0), 100, category=0.2, prompt=0))
    assert alike.token_share == pytest.approx(1, abs=0.05)
    long = routers(np.random.default_rng(0), 100, category=0.2, prompt=1.0, tokens=400)
    assert estimated(long).token_share < 0.1


def test_few_prompts_do_not_make_variance_look_as_if_it_had_few_directions() -> None:
    """The sum of squared variances of small pilots is on average that of a large one."""
    of = routers(np.random.default_rng(0), 400, category=0)
    large = (estimated(of).variances ** 2).sum()
    small = [(estimated(routers(np.random.default_rng(s), 6, category=0)).variances ** 2).sum() for s in range(1, 40)]
    assert np.mean(small) == pytest.approx(large, rel=0.15)


def test_what_groups_share_is_found_with_and_without_several_categories_in_each() -> None:
    rng = np.random.default_rng(1)
    nested = nested_templates(rng, 0.5, categories=3, templates=30, prompts=4)
    assert estimated(nested).part_share > 0.5
    assert estimated(nested).unit_share == 0
    alone = nested_templates(rng, 0.0, categories=3, templates=30, prompts=4)
    assert estimated(alone).part_share < 0.1
    crossed = estimated(crossed_contents(rng, 0.8, 0.1, contents=40))
    assert crossed.unit_share > 0.5
    assert crossed.part_share == pytest.approx(crossed.unit_share)


@pytest.mark.parametrize("design", ["independent", "nested", "crossed"])
def test_a_drawn_study_has_the_means_variances_and_groups_of_its_population(design: str) -> None:
    variances, means = np.array([4.0, 1.0, 0.5]), np.array([[0.0, 0, 0], [1, 2, 0]])
    of = Population(means, variances, np.array([1.0, 2.0]), 0.2 if design == "crossed" else 0, 0.5, 0.3,
                    (np.ones(1), np.ones(1)), design)  # type: ignore[arg-type]  # fmt: skip
    if design == "independent":
        of = Population(means, variances, of.scales, 0, 0, 0.3, of.lengths, "independent")
    prompts = 1 if design == "independent" else 2
    vectors, labels, groups = of.draw(StudyDesign(4000, prompts, tokens=0.5), np.random.default_rng(0))
    units = units_of(labels, groups)
    assert units.design == design
    assert len(vectors) == 2 * 4000 * prompts
    for c in (0, 1):
        drawn = vectors[units.categories == c]
        np.testing.assert_allclose(drawn.mean(axis=0), means[c], atol=0.15)
        # Half as many tokens: their 30 % of the variance become 60 %.
        np.testing.assert_allclose(drawn.var(axis=0), 1.3 * of.scales[c] * variances, rtol=0.1)
        if design != "independent":
            one, other = drawn[0::2] - means[c], drawn[1::2] - means[c]
            np.testing.assert_allclose((one * other).mean(axis=0), 0.5 * of.scales[c] * variances, rtol=0.15)
    if design == "crossed":
        products = (vectors[units.categories == 0] - means[0]) * (vectors[units.categories == 1] - means[1])
        np.testing.assert_allclose(products.mean(axis=0), 0.2 * 2**0.5 * variances, rtol=0.25)


@pytest.mark.parametrize("effect", [0.0, 0.4])
def test_a_population_of_an_effect_has_it(effect: float) -> None:
    of = population_of_effect(effect, 4, rng=0)
    vectors, labels, _ = of.draw(StudyDesign(300), np.random.default_rng(1))
    assert similarity(vectors, labels).cohens_d == pytest.approx(effect, abs=0.02)


def test_a_pilot_without_two_categories_of_three_prompts_or_without_any_variance_is_refused() -> None:
    study = routers(np.random.default_rng(0), 2, category=0.2)
    with pytest.raises(NotComputable, match="3 are needed"):
        estimated(study)
    counts = np.tile(np.array([[[3, 3]], [[5, 1]]]), (3, 1, 1))
    with pytest.raises(NotComputable, match="nothing is left to chance"):
        estimated_population(counts, np.full(6, 3), ["a", "b"] * 3)
