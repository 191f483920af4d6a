"""Two checkpoints have in common what they select in common."""

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.experts.saturation import router_saturation


def test_it_is_the_share_of_experts_that_both_select_every_prompt_counting_once() -> None:
    first = np.array([[[0, 1]], [[2, 3]], [[0, 1]]])
    second = np.array([[[1, 0]], [[3, 4]], [[2, 3]]])
    found = router_saturation(first, second, np.array([0, 0, 1]), ["a", "a"])
    assert found.by_layer == ((0.75 + 0) / 2,)


def test_layers_of_different_k_and_dropped_selections_are_divided_by_what_was_selected() -> None:
    """In common are 1 of 1, and 1 of √(1 · 2); a token that neither router sends anywhere is left out."""
    first = np.array([[[0, -1], [0, 1]], [[0, -1], [2, 3]], [[-1, -1], [4, 5]]])
    second = np.array([[[0, -1], [0, 1]], [[0, 1], [2, 3]], [[-1, -1], [4, 5]]])
    found = router_saturation(first, second, np.array([0, 0, 1]), ["a", "a"])
    assert found.by_layer == pytest.approx([(1 + 1 / np.sqrt(2)) / 2, 1])
    assert router_saturation(first, first, np.array([0, 0, 1]), ["a", "a"]).by_layer == (1, 1)
    assert router_saturation(first[:2], second[:2, :, :1], np.array([0, 1]), ["a", "a"]).by_layer[0] == 1


def test_a_layer_without_selections_is_refused() -> None:
    none = np.full((2, 1, 2), -1)
    with pytest.raises(NotComputable, match="neither router selects"):
        router_saturation(none, none, np.array([0, 1]), ["a", "a"])


def test_an_interval_is_over_groups() -> None:
    """Of ten groups of two equal prompts it is that of ten prompts."""
    rng = np.random.default_rng(1)
    first, second = np.argsort(rng.random((2, 1000, 1, 16)), axis=3)[..., :4]
    whole = router_saturation(first, second, np.arange(1000) // 100, [*"aaaabbbbbb"])
    torn = router_saturation(
        first.repeat(2, axis=0),
        second.repeat(2, axis=0),
        2 * (np.arange(2000) // 200) + np.arange(2000) % 2,
        [label for label in "aaaabbbbbb" for _ in range(2)],
        groups=[f"{i // 2}" for i in range(20)],
    )
    assert torn.intervals[0] == pytest.approx(whole.intervals[0])


def test_a_router_agrees_with_itself_and_by_chance_with_k_over_experts() -> None:
    rng = np.random.default_rng(0)
    first, second = np.argsort(rng.random((2, 4000, 3, 16)), axis=3)[..., :4]
    prompts, labels = np.arange(4000) // 100, ["a", "b"] * 20
    assert router_saturation(first, first, prompts, labels).by_layer == (1, 1, 1)
    found = router_saturation(first, second, prompts, labels)
    assert found.by_layer == pytest.approx([0.25] * 3, abs=0.02)
    for interval in found.intervals:
        assert interval is not None
        assert interval[1] - interval[0] < 0.03


def test_other_tokens_are_refused() -> None:
    with pytest.raises(NotComputable, match="cannot be compared"):
        router_saturation(np.zeros((3, 1, 2), int), np.zeros((4, 1, 2), int), np.zeros(3, int), ["a"])
