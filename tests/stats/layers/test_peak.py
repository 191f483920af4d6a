"""The peak's interval holds one layer where one stands out, and several where none does."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.layers.peak import peak_layer_interval
from moexray.stats.pairs.similarity import category_effect, similarity

from ..simulations import simulated

LABELS = ["a", "b"] * 15
LAYERS = (3, 5, 7, 9)


def vectors(strengths: tuple[float, ...], seed: int = 0) -> np.ndarray:  # (prompts, layers, experts)
    made = np.random.default_rng(seed).random((30, 4, 8))
    for layer, strength in enumerate(strengths):
        made[0::2, layer, :4] += strength
        made[1::2, layer, 4:] += strength
    return made


def interval(made: np.ndarray, labels: list[str] = LABELS, layers: tuple[int, ...] = LAYERS) -> tuple[int, int]:
    each = range(made.shape[1])
    effects = [similarity(made[:, layer], labels).cohens_d for layer in each]
    without_each = np.column_stack([category_effect(made[:, layer], labels).without_each for layer in each])
    return peak_layer_interval(effects, without_each, labels, layers, rng=0)


def test_a_layer_that_stands_out_is_the_only_one() -> None:
    assert interval(vectors((0, 0, 1.5, 0))) == (7, 7)


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


def test_without_an_effect_size_there_is_no_peak() -> None:
    with pytest.raises(NotComputable, match="effect size in each layer"):
        interval(np.ones((4, 2, 3)), list("aabb"), (0, 1))
