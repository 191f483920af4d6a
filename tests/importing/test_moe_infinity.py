"""Activation matrices of MoE-Infinity, one a sequence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moexray.signatures import Signatures

from .conftest import Evil, Routed, Run, assert_refused, counted

FACTS = ("maths.npy", "--from", "moe-infinity", "--layers", "1,3,4", "--top-k", 4, "--tokens-are", "mixed")


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_each_sequence_is_a_prompt(run: Run, routed: Routed, dtype: str) -> None:
    np.save("maths.npy", counted(routed.experts, 16).astype(dtype))
    assert run("import", *FACTS).returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("mixed"), counted(routed.experts, 16))
    assert found.lengths().tolist() == [len(rows) for rows in routed.experts]
    assert found.prompts.ids[:2] == ("maths-01", "maths-02")


@pytest.mark.slow
def test_categories_that_were_imported_apart_are_analysed_together(run: Run, routed: Routed) -> None:
    counts = counted(routed.experts, 16)
    for name, some in (("maths", counts[::2]), ("story", counts[1::2])):
        np.save(f"{name}.npy", some)
        assert run("import", f"{name}.npy", *FACTS[1:], "--out", f"{name}.npz").returncode == 0
    assert run("merge", "maths.npz", "story.npz").returncode == 0
    finished = run("analyze", "signatures.npz", "--permutations", 19, "--folds", 2)
    assert finished.returncode == 0, finished.stderr


SPOILT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "fractions": (lambda counts: counts + 0.5, "something other than counts"),
    "no number": (lambda counts: counts * np.nan, "something other than counts"),
    "less than nothing": (lambda counts: counts - 100, "something other than counts"),
    "a count more": (lambda counts: counts + np.eye(3, 16, dtype=int), "sequence 1: 48"),
    "two axes": (lambda counts: counts[0], "(sequences, layers, experts) are needed"),
    "another depth": (lambda counts: counts[:, :2], "has 2 layers, not the 3"),
    "a prompt without tokens": (lambda counts: counts * 0, "are not those of some tokens"),
    "objects": (lambda counts: np.array([Evil()], dtype=object), "never pickled objects"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_an_array_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    spoil, message = SPOILT[kind]
    np.save("maths.npy", spoil(counted(routed.experts, 16)))
    message = message if kind != "a count more" else "is k another?"
    assert_refused(run, message, *FACTS)
    assert not Path("ran").exists()


def test_what_the_file_does_not_tell_is_asked_for(run: Run, routed: Routed) -> None:
    np.save("maths.npy", counted(routed.experts, 16))
    for end, option in ((3, "--layers"), (5, "--top-k"), (7, "--tokens-are")):
        assert_refused(run, f"state it with {option}", *FACTS[:end])
