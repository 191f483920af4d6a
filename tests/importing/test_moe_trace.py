"""Traces of llama.cpp's moe-trace, a row a selection."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moexray.signatures import Signatures

from .conftest import Routed, Run, assert_refused, counted

FACTS = ("trace.csv", "--from", "moe-trace", "--num-experts", 16, "--top-k", 4, "--tokens-are", "mixed")


def rows(routed: Routed) -> list[str]:
    """Return the selections of each pass: layer by layer, and within a layer token by token."""
    found = []
    for prompt in routed.experts:
        for place, layer in enumerate((1, 3, 4)):
            found += [f"{layer},{expert}" for token in prompt[:, place].tolist() for expert in token]
    return found


def write(lines: Sequence[str], header: str = "layer,expert") -> None:
    Path("trace.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def test_counts_are_those_of_the_rows(run: Run, routed: Routed) -> None:
    write(rows(routed))
    assert run("import", *FACTS).returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("mixed")[0], counted(routed.experts, 16).sum(axis=0))
    assert found.layers.tolist() == [1, 3, 4]
    assert "Traceback" not in run("analyze", "signatures.npz", "--permutations", 9).stderr


def test_what_the_file_does_not_tell_is_asked_for(run: Run, routed: Routed) -> None:
    write(rows(routed))
    for end, option in ((3, "--num-experts"), (5, "--top-k"), (7, "--tokens-are")):
        assert_refused(run, f"state it with {option}", *FACTS[:end])


SPOILT = {
    "a row less": (lambda lines: lines[:-1], "adds up to"),
    "an expert too large": (lambda lines: [*lines, "1,16"], "expert 16 is not one of 16"),
    "an expert twice": (lambda lines: ["1,5", "1,5", *lines], "comes twice"),
    "a word": (lambda lines: [*lines, "1,x"], "must be whole numbers"),
    "a number that is huge": (lambda lines: [*lines, "1," + "9" * 5000], "must be whole numbers"),
    "a short row": (lambda lines: [*lines, "1"], "must be whole numbers"),
    "nothing": (lambda lines: [], "no selection of any layer"),
    "rankings": (lambda lines: [f"{layer},{expert}" for layer in (1, 3) for expert in range(16)], "whole rankings"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    spoil, message = SPOILT[kind]
    write(spoil(rows(routed)))
    assert_refused(run, message, *FACTS)


def test_a_table_of_something_else_is_refused(run: Run, routed: Routed) -> None:
    write(rows(routed), header="a,b")
    assert_refused(run, "has the columns a, b", *FACTS)
