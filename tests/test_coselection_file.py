"""The file of co-selections is checked against the signatures beside it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from moexray.coselection_file import members_of_pairs, read_pairs
from moexray.errors import SignaturesError
from moexray.recording.recorders.coselection import count_pairs
from moexray.routing import RoutedSequence, RouterLayout, plain_segments
from moexray.signatures_file import write_members

LAYERS, TOP_K = np.array([3, 5], dtype=np.int16), np.array([2, 1], dtype=np.int16)
LAYOUT = RouterLayout(layers=(3, 5), experts=(3, 3), top_k=(2, 1))


def recorded(path: Path, experts: list[list[list[int]]]) -> NDArray[np.int64]:
    """Write the pairs of tokens (tokens, layers, k) of a prompt, and return how often each expert was selected."""
    selected = np.array(experts, dtype=np.int16)
    sequence = RoutedSequence(np.zeros(len(selected), dtype=np.int32), plain_segments(len(selected), 0), selected, "")
    write_members(path, members_of_pairs(count_pairs([sequence], LAYOUT), LAYERS))
    counts = np.zeros((2, 2, 3), dtype=np.int64)
    for layer in range(2):
        counts[0, layer] = np.bincount(selected[:, layer][selected[:, layer] >= 0], minlength=3)
    return counts


def test_pairs_of_these_selections_are_read_and_those_of_others_refused(tmp_path: Path) -> None:
    counts = recorded(tmp_path / "c.npz", [[[0, 1], [2, -1]], [[0, 2], [1, -1]]])
    pairs = read_pairs(tmp_path / "c.npz", counts, LAYERS, TOP_K)
    assert pairs[0, 0].tolist() == [[2, 1, 1], [1, 1, 0], [1, 0, 1]]
    counts[0, 0] = [1, 2, 1]
    with pytest.raises(SignaturesError, match=r"expert 0 of layer 3 is in 4 pairs, and its 1 selections .* make 2"):
        read_pairs(tmp_path / "c.npz", counts, LAYERS, TOP_K)


def test_an_expert_that_two_passes_of_a_layer_select_is_read(tmp_path: Path) -> None:
    counts = recorded(tmp_path / "c.npz", [[[1, 1], [2, -1]]])
    assert read_pairs(tmp_path / "c.npz", counts, LAYERS, TOP_K)[0, 0, 1, 1] == 4


def test_a_router_that_may_drop_makes_fewer_pairs(tmp_path: Path) -> None:
    counts = recorded(tmp_path / "c.npz", [[[1, -1], [2, -1]]])
    assert read_pairs(tmp_path / "c.npz", counts, LAYERS, TOP_K, may_drop=True)[0, 0, 1, 1] == 1
    with pytest.raises(SignaturesError, match="expert 1 of layer 3 is in 1 pairs"):
        read_pairs(tmp_path / "c.npz", counts, LAYERS, TOP_K)
    with pytest.raises(SignaturesError, match="expert 0 of layer 3 is in 0 pairs"):
        read_pairs(tmp_path / "c.npz", counts + 1, LAYERS, TOP_K, may_drop=True)
