"""What a check tries before a capture: the longest prompt, and the most padding."""

import numpy as np

from moexray.recording.trial import trial_batches


def test_the_batch_of_the_longest_prompt_and_the_one_with_most_padding_are_tried() -> None:
    lengths = np.array([100, 99, 50, 2, 10, 9])
    assert trial_batches([[0, 1], [2, 3], [4, 5]], lengths) == [[0, 1], [2, 3]]


def test_one_batch_that_is_both_is_tried_once() -> None:
    assert trial_batches([[0, 2], [1]], np.array([9, 8, 1])) == [[0, 2]]


def test_of_a_large_batch_eight_prompts_are_tried_from_the_longest_to_the_shortest() -> None:
    lengths = np.random.default_rng(5).permutation(1000)
    (tried,) = trial_batches([list(range(1000))], lengths)
    assert len(tried) == len(set(tried)) == 8
    assert lengths[tried[0]] == 999
    assert lengths[tried[-1]] == 0
    assert np.diff(lengths[tried]).max() < -100
