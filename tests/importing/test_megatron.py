"""Router traces of Megatron-core, written as it writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.signatures import Signatures

from .conftest import Routed, Run, assert_refused, counted

NAME = "router_trace_rank0.jsonl"
FACTS = ("--from", "megatron", "--num-experts", 16, "--tokens-are", "prompt", "--layers", "1,3,4")


def records(routed: Routed) -> list[dict[str, Any]]:
    """Return a record for each prompt, as a step, and layer, its ids ascending; and one of multi-token prediction."""
    found = []
    for step, rows in enumerate(routed.experts):
        for layer in range(3):
            chosen = np.sort(rows[:, layer], axis=1).tolist()
            common = {"step": step, "stage": "pre_dispatch", "layer": layer, "rank": 0, "num_tokens": len(rows)}
            found.append({**common, "block": "decoder", "topk": 4, "top_indices": chosen})
    return [*found, {**found[0], "block": "mtp", "mtp_idx": 0}]


def write(rows: list[dict[str, Any]]) -> str:
    Path(NAME).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return NAME


def test_counts_are_those_of_all_steps(run: Run, routed: Routed) -> None:
    assert run("import", write(records(routed)), *FACTS).returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("prompt")[0], counted(routed.experts, 16).sum(axis=0))
    assert (found.layers.tolist(), found.top_k.tolist()) == ([1, 3, 4], [4, 4, 4])
    assert found.meta["imported"]["records_of_mtp_left_out"] == 1


@pytest.mark.slow
def test_ranks_are_merged_and_analysed(run: Run, routed: Routed) -> None:
    rows = records(routed)
    for name, some in (("a", rows[:18]), ("b", rows[18:])):
        Path(write(some)).rename(f"{name}.jsonl")
        assert run("import", f"{name}.jsonl", *FACTS, "--out", f"{name}.npz").returncode == 0
    assert run("merge", "a.npz", "b.npz").returncode == 0
    assert run("info", "signatures.npz").returncode == 0
    finished = run("analyze", "signatures.npz", "--permutations", 9)
    assert "Traceback" not in finished.stderr


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "a step that a layer lacks": ({"block": "other"}, "adds up to"),
    "an expert twice": ({"top_indices": [[0, 0, 1, 2]], "num_tokens": 1}, "one expert twice"),
    "an expert too large": ({"top_indices": [[0, 1, 2, 16]], "num_tokens": 1}, "is sent to expert 16"),
    "a negative expert": ({"top_indices": [[0, 1, 2, -1]], "num_tokens": 1}, "is below 0"),
    "fewer rows": ({"num_tokens": 500}, "500 rows"),
    "another k": ({"topk": 3}, "has k = 3"),
    "a text": ({"top_indices": "AAAA"}, "rows of 4 whole numbers"),
    "fractions": ({"top_indices": [[0.5, 1, 2, 3]], "num_tokens": 1}, "rows of 4 whole numbers"),
    "a negative layer": ({"layer": -1}, "must be whole numbers"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_record_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    changes, message = SPOILT[kind]
    rows = records(routed)
    rows[4] |= changes
    assert_refused(run, message, write(rows), *FACTS)


def test_what_the_file_does_not_tell_is_asked_for(run: Run, routed: Routed) -> None:
    source = write(records(routed))
    assert_refused(run, "pipeline parallelism", source, *FACTS[:6])
    assert_refused(run, "--num-experts", source, *FACTS[:2])
    assert_refused(run, "--tokens-are", source, *FACTS[:4])
    assert_refused(run, "has 3 layers (0, 1, 2), not 2", source, *FACTS[:6], "--layers", "0,1")
