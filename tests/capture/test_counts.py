"""Each token is counted once, in its phase."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moexray.capture.counts import CountsRecorder
from moexray.routing import RoutedSequence, RouterLayout

LAYOUT = RouterLayout(layers=(0, 3), experts=(5, 5), top_k=(2, 2))


def sequence(prompt: int, tokens: int, prompt_length: int, seed: int) -> RoutedSequence:
    rng = np.random.default_rng(seed)
    experts = np.array([[rng.permutation(5)[:2] for _ in LAYOUT.layers] for _ in range(tokens)], dtype=np.int16)
    return RoutedSequence(prompt, np.zeros(tokens, dtype=np.int32), experts, prompt_length, output="")


@given(tokens=st.integers(1, 30), data=st.data())
def test_counts_equal_a_loop_over_every_token_layer_and_selection(tokens: int, data: st.DataObject) -> None:
    prompt_length = data.draw(st.integers(1, tokens))
    routed = sequence(1, tokens, prompt_length, seed=tokens)
    recorder = CountsRecorder(LAYOUT, prompts=2)
    recorder.add(routed)
    expected = np.zeros((2, 2, 2, 5), dtype=int)
    for t in range(tokens):
        for layer in range(2):
            for expert in routed.experts[t, layer]:
                expected[1, int(t >= prompt_length), layer, expert] += 1
    np.testing.assert_array_equal(recorder.counts, expected)
    np.testing.assert_array_equal(recorder.tokens, [[0, 0], [prompt_length, tokens - prompt_length]])


def test_the_order_in_which_sequences_come_does_not_matter() -> None:
    sequences = [sequence(i, tokens=4 + i, prompt_length=3, seed=i) for i in range(4)]
    forwards, backwards = CountsRecorder(LAYOUT, prompts=4), CountsRecorder(LAYOUT, prompts=4)
    for routed in sequences:
        forwards.add(routed)
    for routed in reversed(sequences):
        backwards.add(routed)
    np.testing.assert_array_equal(forwards.counts, backwards.counts)


def test_a_layer_with_a_smaller_k_counts_only_its_own_selections() -> None:
    layout = RouterLayout(layers=(0, 1), experts=(3, 3), top_k=(2, 1))
    recorder = CountsRecorder(layout, prompts=1)
    experts = np.array([[[0, 2], [1, -1]]], dtype=np.int16)
    recorder.add(RoutedSequence(0, np.zeros(1, dtype=np.int32), experts, 1, output=""))
    assert recorder.counts[0, 0].tolist() == [[1, 0, 1], [0, 1, 0]]


def test_experts_that_do_not_fit_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        RoutedSequence(0, np.zeros(2, dtype=np.int32), np.zeros((3, 1, 1), dtype=np.int16), 1, output="")
