"""Windows of consecutive tokens are counted as if each were looked at."""

import numpy as np
import pytest

from moexray.stats.workloads.chunks import window_sums


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_every_window(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = [1, 7, 3, 12]
    experts = np.stack(
        [np.argsort(rng.random((sum(lengths), 6)), axis=1)[:, :2], rng.integers(-1, 6, (sum(lengths), 2))], axis=1
    )
    experts[:, 1, 1] = np.where(experts[:, 1, 1] == experts[:, 1, 0], -1, experts[:, 1, 1])
    sizes = (1, 2, 3, 8, 20)
    windows, sums = window_sums(experts, np.repeat(np.arange(4), lengths), width=6, sizes=sizes)
    starts = np.cumsum([0, *lengths])
    for place, size in enumerate(sizes):
        for run, length in enumerate(lengths):
            shown = [experts[starts[run] + first :][:size] for first in range(max(0, length - size + 1))]
            assert windows[place, run] == len(shown)
            for layer in range(2):
                distinct = [len(set(one[:, layer].ravel().tolist()) - {-1}) for one in shown]
                assert sums[place, run, layer] == sum(distinct)


def test_copies_of_one_token_read_k() -> None:
    windows, sums = window_sums(np.tile([[[4, 1, 2]]], (9, 1, 1)), np.zeros(9, dtype=int), width=5, sizes=(1, 4, 9))
    assert (sums[:, 0, 0] / windows[:, 0]).tolist() == [3, 3, 3]


def test_no_token_has_no_window() -> None:
    windows, sums = window_sums(np.zeros((0, 2, 1), dtype=int), np.zeros(0, dtype=int), width=3, sizes=(1, 2))
    assert windows.shape == (2, 0)
    assert sums.shape == (2, 0, 2)
