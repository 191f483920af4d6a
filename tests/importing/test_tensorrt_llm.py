"""Expert statistics of TensorRT-LLM, written by the safetensors package as TensorRT-LLM writes them."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from moexray.signatures import Signatures

from .conftest import Routed, Run, assert_refused, counted

COMMAND = ("statistic", "--from", "tensorrt-llm", "--tokens-are", "mixed")


def write(routed: Routed, *, k: Any = 4) -> None:
    """Write two ranks, each with the tokens of two iterations; layer 0 does not route."""
    Path("statistic").mkdir()
    meta = {"num_experts": 16, "num_experts_per_token": k}
    Path("statistic/meta_info.json").write_text(json.dumps(meta), encoding="utf-8")
    for rank in range(2):
        tensors: dict[str, np.ndarray] = {}
        for iteration in range(2):
            some = counted(routed.experts[6 * rank + 3 * iteration :][:3], 16).sum(axis=0)
            tensors |= {f"{100 + iteration}_{layer}": some[place] for place, layer in enumerate((1, 3, 4))}
        save_file(tensors, f"statistic/rank{rank}.safetensors")


def test_counts_are_those_of_all_ranks_and_iterations(run: Run, routed: Routed) -> None:
    write(routed)
    save_file({"100_1": np.zeros((5, 4), dtype=np.int32)}, "statistic/rank0_raw.safetensors")
    assert run("import", *COMMAND).returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads()[0], counted(routed.experts, 16).sum(axis=0))
    assert found.layers.tolist() == [1, 3, 4]
    assert found.lengths("mixed").tolist() == [sum(map(len, routed.experts))]
    assert sorted(found.meta["imported"]["sources"]) == ["meta_info.json", "rank0.safetensors", "rank1.safetensors"]
    finished = run("experts", "signatures.npz", "--permutations", 9)
    assert "Traceback" not in finished.stderr


def test_phases_are_asked_for_and_facts_must_agree(run: Run, routed: Routed) -> None:
    write(routed)
    assert_refused(run, "state it with --tokens-are", *COMMAND[:3])
    assert_refused(run, "says 4, not --top-k 8", *COMMAND, "--top-k", 8)


def spoil(kind: str, routed: Routed) -> None:
    write(routed, k={"no k": None, "another k": 11}.get(kind, 4))
    rank = Path("statistic/rank1.safetensors")
    if kind == "a rank less":
        Path("statistic/rank0.safetensors").unlink()
    if kind == "no meta":
        Path("statistic/meta_info.json").unlink()
    if kind == "bad meta":
        Path("statistic/meta_info.json").write_text("{", encoding="utf-8")
    if kind == "cut off":
        rank.write_bytes(rank.read_bytes()[:-8])
    if kind == "a long header":
        rank.write_bytes(struct.pack("<Q", 2**60))
    if kind == "no JSON":
        rank.write_bytes(struct.pack("<Q", 4) + b"oops")
    tensors: dict[str, dict[str, np.ndarray]] = {
        "another name": {"5": np.zeros(16, dtype=np.int64)},
        "another width": {"100_1": np.zeros(8, dtype=np.int64)},
        "another type": {"100_1": np.zeros(16, dtype=np.float32)},
        "less than nothing": {"100_1": np.full(16, -1)},
        "a layer less": {"100_1": np.full(16, 1)},
    }
    if kind in tensors:
        save_file(tensors[kind], rank)


SPOILT = {
    "no k": "no whole number 'num_experts_per_token'",
    "another k": "is k another?",
    "a rank less": "has no rank0.safetensors",
    "no meta": "has no meta_info.json",
    "bad meta": "is not JSON",
    "cut off": "ends too early",
    "a long header": "no file of safetensors",
    "no JSON": "no file of safetensors",
    "another name": "is not ITERATION_LAYER",
    "another width": "is not ITERATION_LAYER",
    "another type": "is not ITERATION_LAYER",
    "less than nothing": "counts -1 to -1",
    "a layer less": "layer 3 adds up to",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_folder_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    spoil(kind, routed)
    assert_refused(run, SPOILT[kind], *COMMAND)
