"""Each token is counted once, in its phase."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moexray.recording.counting import count_selections
from moexray.routing import RoutedSequence, RouterLayout, plain_segments

LAYOUT = RouterLayout(layers=(0, 3), experts=(5, 5), top_k=(2, 2))


def sequence(tokens: int, prompt_length: int, seed: int) -> RoutedSequence:
    rng = np.random.default_rng(seed)
    experts = np.array([[rng.permutation(5)[:2] for _ in LAYOUT.layers] for _ in range(tokens)], dtype=np.int16)
    segments = plain_segments(prompt_length, tokens - prompt_length)
    return RoutedSequence(np.zeros(tokens, dtype=np.int32), segments, experts, output="")


@given(tokens=st.integers(1, 30), data=st.data())
def test_counts_equal_a_loop_over_every_token_layer_and_selection(tokens: int, data: st.DataObject) -> None:
    prompt_length = data.draw(st.integers(1, tokens))
    routed = sequence(tokens, prompt_length, seed=tokens)
    expected = np.zeros((2, 2, 5), dtype=int)
    for t in range(tokens):
        for layer in range(2):
            for expert in routed.experts[t, layer]:
                expected[int(t >= prompt_length), layer, expert] += 1
    np.testing.assert_array_equal(count_selections(routed, LAYOUT), expected)


def test_a_layer_with_a_smaller_k_counts_only_its_own_selections() -> None:
    layout = RouterLayout(layers=(0, 1), experts=(3, 3), top_k=(2, 1))
    experts = np.array([[[0, 2], [1, -1]]], dtype=np.int16)
    routed = RoutedSequence(np.zeros(1, dtype=np.int32), plain_segments(1, 0), experts, output="")
    counts = count_selections(routed, layout)
    assert counts[0].tolist() == [[1, 0, 1], [0, 1, 0]]


def test_experts_that_do_not_fit_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        RoutedSequence(
            np.zeros(2, dtype=np.int32), plain_segments(1, 1), np.zeros((3, 1, 1), dtype=np.int16), output=""
        )
