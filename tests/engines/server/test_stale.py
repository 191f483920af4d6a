"""Stale rows: the routing of one text under the tokens of another."""

import numpy as np
from numpy.typing import ArrayLike

from moexray.engines.server.stale import Seen
from moexray.routing import RoutedSequence, plain_segments


def text(tokens: ArrayLike, rows: int) -> RoutedSequence:
    """Return a text whose routing is drawn from a seed."""
    token_ids = np.array(tokens, dtype=np.int32)
    drawn = np.random.default_rng(rows).random((len(token_ids), 2, 8))
    experts = np.argsort(drawn, axis=2)[:, :, :3].astype(np.int16)
    return RoutedSequence(token_ids, plain_segments(len(token_ids), 0), experts, "")


def test_the_same_rows_under_other_tokens_are_found() -> None:
    """But not under the same tokens, nor where few of them differ: these may be routed alike."""
    seen = Seen()
    assert seen.same_as("a", text(range(8), rows=1)) is None
    assert seen.same_as("b", text(range(8), rows=2)) is None
    assert seen.same_as("c", text(range(8), rows=1)) is None
    assert seen.same_as("d", text([0, 1, 2, 3, 4, 7, 7, 8], rows=1)) is None
    assert seen.same_as("e", text(range(4, 12), rows=1)) == "a"
    assert seen.same_as("f", text(range(4, 12), rows=2)) == "b"


def test_only_the_last_texts_are_remembered() -> None:
    seen = Seen(most_tokens=20)
    for rows in range(3):
        assert seen.same_as(str(rows), text(range(8), rows)) is None
    assert seen.same_as("x", text(range(9, 17), rows=2)) == "2"
    assert seen.same_as("y", text(range(9, 17), rows=0)) is None
    long = text(range(100), rows=9)
    assert seen.same_as("z", long) is None
    assert seen.same_as("z", text(range(5, 105), rows=9)) is None
