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


def test_a_place_that_is_not_used_is_not_common() -> None:
    found = router_saturation(np.array([[[0, -1]]]), np.array([[[0, -1]]]), np.array([0]), ["a"])
    assert found.by_layer == (0.5,)


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
