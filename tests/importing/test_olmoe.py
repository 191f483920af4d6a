"""Pickles of counters, written as OLMoE's authors wrote theirs."""

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.signatures import Signatures

from .conftest import Evil, Routed, Run, assert_refused, counted

FACTS = ("--from", "olmoe", "--num-experts", 16, "--layers", "0,7,15", "--top-k", 4)


def counters(routed: Routed) -> list[Counter[Any]]:
    """Return what `Counter(array.flatten())` makes of each layer: its keys are numbers of NumPy."""
    rows = np.concatenate(routed.experts)
    return [Counter(rows[:, layer].flatten()) for layer in range(3)]


def write(found: object, name: str = "github.pkl") -> str:
    Path(name).write_bytes(pickle.dumps(found, protocol=4))
    return name


def test_counts_are_those_of_the_corpus(run: Run, routed: Routed) -> None:
    finished = run("import", write(counters(routed)), *FACTS)
    assert finished.returncode == 0, finished.stderr
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("prompt")[0], counted(routed.experts, 16).sum(axis=0))
    assert (found.layers.tolist(), found.prompts.categories) == ([0, 7, 15], ("github",))


@pytest.mark.slow
def test_corpora_are_merged_and_described(run: Run, routed: Routed) -> None:
    for place, name in enumerate(("arxiv", "book", "c4", "github")):
        some = Routed(routed.experts[3 * place :][:3], [], [], ())
        assert run("import", write(counters(some), f"{name}.pkl"), *FACTS, "--out", f"{name}.npz").returncode == 0
    assert run("merge", "arxiv.npz", "book.npz", "c4.npz", "github.npz").returncode == 0
    finished = run("analyze", "signatures.npz", "--permutations", 9)
    assert "Traceback" not in finished.stderr
    assert run("coverage", "signatures.npz").returncode == 0


SPOILT: dict[str, tuple[object, str]] = {
    "code": ([Evil()], "could run code"),
    "a function": ([print], "is no list of counters"),
    "pairs": ([Counter({(0, 1): 4})], "keys that are no numbers"),
    "a dict": ({}, "is no list of counters"),
    "nothing": ([], "is no list of counters"),
    "texts": ([Counter({"x": 4})] * 3, "counts 4 of expert x"),
    "an expert too large": ([Counter({np.int64(16): 4})] * 3, "counts 4 of expert 16"),
    "less than nothing": ([Counter({np.int64(1): -4})] * 3, "counts -4 of expert 1"),
    "another depth": ([Counter({np.int64(1): 4})], "has 1 layers, not the 3"),
    "other tokens": ([*[Counter(range(4))] * 2, Counter(range(8))], "adds up to"),
    "numbers of 32 bits": ([Counter({np.int32(1): 4})] * 3, "NumPy's type i4"),
    "another byte order": ([Counter({np.array([1], ">i8")[0]: 4})], "has 1 layers"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_of_something_else_is_refused(run: Run, kind: str) -> None:
    found, message = SPOILT[kind]
    assert_refused(run, message, write(found), *FACTS)
    assert not Path("ran").exists()


def test_what_the_file_does_not_tell_is_asked_for(run: Run, routed: Routed) -> None:
    source = write(counters(routed))
    for end, option in ((2, "--num-experts"), (4, "--layers"), (6, "--top-k")):
        assert_refused(run, f"state it with {option}", source, *FACTS[:end])
