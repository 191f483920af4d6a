"""The peak's interval holds one layer where one stands out, and several where none does."""

from collections.abc import Callable

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.layers.peak import peak_layer_interval, peak_layers
from moexray.stats.pairs.similarity import category_effect, similarity

from ..simulations import assert_share, simulated

LABELS = ["a", "b"] * 15
LAYERS = (3, 5, 7, 9)


def vectors(strengths: tuple[float, ...], seed: int = 0) -> np.ndarray:  # (prompts, layers, experts)
    made = np.random.default_rng(seed).random((30, 4, 8))
    for layer, strength in enumerate(strengths):
        made[0::2, layer, :4] += strength
        made[1::2, layer, 4:] += strength
    return made


def measured(made: np.ndarray, labels: list[str]) -> tuple[list[float | None], np.ndarray, np.ndarray]:
    """Effect sizes, those without each prompt, and the category of each."""
    effects = [category_effect(made[:, layer], labels) for layer in range(made.shape[1])]
    without_each = np.column_stack([effect.without_each for effect in effects])
    return [effect.cohens_d for effect in effects], without_each, np.unique(labels, return_inverse=True)[1]


def interval(made: np.ndarray, labels: list[str] = LABELS, layers: tuple[int, ...] = LAYERS) -> tuple[int, int]:
    return peak_layer_interval(*measured(made, labels), layers, rng=0)


def chosen(made: np.ndarray, labels: list[str] = LABELS, layers: tuple[int, ...] = LAYERS) -> tuple[int, ...]:
    return peak_layers(*measured(made, labels), layers, rng=0)


def test_a_layer_that_stands_out_is_the_only_one() -> None:
    assert interval(vectors((0, 0, 1.5, 0))) == (7, 7)
    assert chosen(vectors((0, 0, 1.5, 0))) == (7,)


def test_two_layers_alike_far_apart_are_the_set_and_what_lies_between_them_is_not() -> None:
    assert chosen(vectors((1, 0, 0, 1))) == (3, 9)


def test_the_layers_of_one_prompt_after_another_are_all_kept_where_none_stands_out() -> None:
    assert chosen(np.repeat(vectors((0.5,) * 4)[:, :1], 4, axis=1)) == LAYERS


def test_layers_that_are_left_out_are_told_from_the_best_by_the_joint_normal_distribution() -> None:
    """Two layers: the set leaves one out where their difference is above the one-sided quantile of its own error."""
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1], 20)
    pulls = rng.normal(size=(40, 2)) @ np.array([[1, 0.8], [0, 0.6]]) / 38
    variance = sum(19 * np.var((pulls[:, 0] - pulls[:, 1])[strata == c]) for c in (0, 1))
    for ratio, kept in ((1.55, (0, 1)), (1.85, (1,))):
        effects = [1.0, 1.0 + ratio * np.sqrt(variance)]
        assert peak_layers(effects, effects + pulls, strata, (0, 1), rng=0) == kept


def test_two_layers_alike_are_both_in_it_and_layers_without_an_effect_are_not() -> None:
    low, high = interval(vectors((0, 1, 1, 0)))
    assert {low, high} <= {5, 7}


@simulated(30, nightly=100)
def test_the_peak_of_other_samples_lies_in_it_most_of_the_time(seeds: range) -> None:
    strengths = (0.4, 0.5, 0.6, 0.5)
    inside = 0
    for seed in seeds:
        low, high = interval(vectors(strengths, seed))
        inside += low <= 7 <= high
    assert inside >= 0.9 * len(seeds)


def test_the_order_of_prompts_within_the_draws_does_not_favour_a_layer() -> None:
    same = np.repeat(vectors((0.5,) * 4)[:, :1], 4, axis=1)
    assert [similarity(same[:, layer], LABELS).cohens_d for layer in range(4)] == pytest.approx(
        [similarity(same[:, 0], LABELS).cohens_d] * 4
    )
    assert interval(same)[0] in LAYERS


@pytest.mark.parametrize("find", [peak_layer_interval, peak_layers])
def test_without_an_effect_size_there_is_no_peak(find: Callable[..., object]) -> None:
    with pytest.raises(NotComputable, match="effect size in each layer"):
        find(*measured(np.ones((6, 2, 3)), list("aaabbb")), (0, 1), rng=0)
    with pytest.raises(NotComputable, match="3 prompts, or groups, of each category"):
        find(*measured(np.random.default_rng(0).random((5, 2, 3)), list("aaabb")), (0, 1), rng=0)


def course(rng: np.random.Generator, amplitude: float, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of four categories in each layer, which change slowly, and how strong they are: the most in one layer."""
    centres = rng.normal(size=(4, layers, 24))
    for layer in range(1, layers):
        centres[:, layer] = 0.7 * centres[:, layer - 1] + np.sqrt(1 - 0.7**2) * centres[:, layer]
    at = np.arange(layers)
    return centres, 0.35 * (1 + amplitude * np.exp(-((at - 11 * layers // 16) ** 2) / 8))


@simulated(25, nightly=200)
@pytest.mark.parametrize("each", [5, 20])
@pytest.mark.parametrize("amplitude", [0, 0.25, 0.6])
def test_the_peak_of_the_population_is_in_the_set(amplitude: float, each: int, seeds: range) -> None:
    """The truth is the layer of the largest d among four hundred prompts of each category."""
    layers, inside, sizes = (6 if len(seeds) < 100 else 16), [], []
    for seed in seeds:
        rng = np.random.default_rng([8, seed])
        centres, strength = course(rng, amplitude, layers)
        drawn = [
            (3 + strength[:, None] * centres[of] + rng.normal(size=(len(of), layers, 24)), ["abcd"[c] for c in of])
            for of in (np.repeat(np.arange(4), number) for number in (50 if len(seeds) < 100 else 400, each))
        ]
        truth = int(np.argmax([category_effect(layer, drawn[0][1]).cohens_d for layer in drawn[0][0].swapaxes(0, 1)]))
        kept = chosen(*drawn[1], tuple(range(layers)))
        inside.append(truth in kept)
        sizes.append(len(kept))
    print(f"{np.mean(sizes):.1f} of {layers} layers")
    assert_share(np.array(inside), 0.93, 1.0)
