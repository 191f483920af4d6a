"""Importance matrices of llama.cpp, written byte by byte from the specification of GGUF."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from moexray.signatures import Signatures

from .conftest import Routed, Run, assert_refused, counted


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(tensors: Mapping[str, np.ndarray], *, kind: str = "imatrix") -> bytes:
    """Return a file of float32 tensors, with the keys that llama-imatrix writes."""
    keys = [
        text("general.type") + struct.pack("<I", 8) + text(kind),
        text("imatrix.datasets") + struct.pack("<IIQ", 9, 8, 1) + text("calibration.txt"),
        text("imatrix.chunk_count") + struct.pack("<II", 4, 3),
        text("imatrix.chunk_size") + struct.pack("<II", 4, 512),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys)
    data = b""
    for name, values in tensors.items():
        header += text(name) + struct.pack("<IQQIQ", 2, *reversed(values.shape), 0, len(data))
        data += values.astype("<f4").tobytes()
        data += bytes(-len(data) % 32)
    return header + bytes(-len(header) % 32) + data


def matrices(routed: Routed) -> dict[str, np.ndarray]:
    """Return sums and counts of layers 1, 3 and 4, and of a dense one."""
    found = {"blk.0.ffn_up.weight.in_sum2": np.ones((1, 8)), "blk.0.ffn_up.weight.counts": np.full((1, 1), 140.0)}
    totals = counted(routed.experts, 16).sum(axis=0)
    for place, layer in enumerate((1, 3, 4)):
        for part in ("gate", "up", "down"):
            name = f"blk.{layer}.ffn_{part}_exps.weight"
            found |= {f"{name}.in_sum2": np.ones((16, 8)), f"{name}.counts": totals[place][:, None].astype(float)}
    return found


def test_counts_are_those_of_the_calibration_text(run: Run, routed: Routed) -> None:
    Path("maths.gguf").write_bytes(gguf(matrices(routed)))
    finished = run("import", "maths.gguf", "--from", "imatrix", "--top-k", 4, "--model", "m")
    assert finished.returncode == 0, finished.stderr
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.counts[:, 0], [counted(routed.experts, 16).sum(axis=0)])
    assert found.tokens.tolist() == [[sum(map(len, routed.experts)), 0]]
    assert (found.layers.tolist(), found.prompts.ids) == ([1, 3, 4], ("maths",))


@pytest.mark.slow
def test_texts_that_were_imported_apart_are_analysed_together(run: Run, routed: Routed) -> None:
    for place in range(12):
        some = Routed([routed.experts[place]], [routed.token_ids[place]], [routed.prompt_lengths[place]], ("x",))
        Path(f"t{place}.gguf").write_bytes(gguf(matrices(some)))
        command = ("import", f"t{place}.gguf", "--from", "imatrix", "--top-k", 4, "--out", f"t{place}.npz")
        assert run(*command, "--category", routed.categories[place]).returncode == 0
    assert run("merge", *(f"t{place}.npz" for place in range(12))).returncode == 0
    assert run("analyze", "signatures.npz", "--permutations", 19, "--folds", 2).returncode == 0
    assert Signatures.load("signatures.npz").prompts.categories == routed.categories


def changed(routed: Routed, name: str, change: object) -> dict[str, np.ndarray]:
    found = matrices(routed)
    for one in found:
        if one.startswith(name) and one.endswith("counts"):
            found[one] = found[one] + np.asarray(change)
    return found


def spoilt(kind: str, routed: Routed) -> bytes:
    whole = gguf(matrices(routed))
    tensors = {
        "a layer of other tokens": changed(routed, "blk.4.", np.eye(16)[:, :1] * 4),
        "matrices that differ": changed(routed, "blk.4.ffn_up", np.eye(16)[:, :1] * 4),
        "fractions": changed(routed, "blk.4.", 0.5),
        "rounded counts": changed(routed, "blk.", 2.0**24),
        "equal counts": {name: np.full(array.shape, 35.0) for name, array in matrices(routed).items()},
        "a dense model": {name: array for name, array in matrices(routed).items() if name.startswith("blk.0")},
    }
    contents = {
        "another type": gguf(matrices(routed), kind="model"),
        "no GGUF": b"\x00" * 400,
        "cut off": whole[:-40],
        "a cut header": whole[:300],
        "a long text": b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 2**60),
        "many tensors": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    }
    return contents[kind] if kind in contents else gguf(tensors[kind])


SPOILT = {
    "a layer of other tokens": "layer 4 adds up to",
    "matrices that differ": "do not count alike",
    "fractions": "something other than counts",
    "rounded counts": "the file rounds counts",
    "equal counts": "converted from the older form",
    "a dense model": "has no counts of experts",
    "another type": "of type 'model'",
    "no GGUF": "is no GGUF file",
    "cut off": "ends too early",
    "a cut header": "ends too early",
    "a long text": "it is damaged",
    "many tensors": "it is not read",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    Path("x.gguf").write_bytes(spoilt(kind, routed))
    assert_refused(run, SPOILT[kind], "x.gguf", "--from", "imatrix", "--top-k", 4)


def test_k_is_asked_for_and_layers_can_be_chosen(run: Run, routed: Routed) -> None:
    Path("x.gguf").write_bytes(gguf(changed(routed, "blk.4.", np.eye(16)[:, :1] * 4)))
    assert_refused(run, "state it with --top-k", "x.gguf", "--from", "imatrix")
    assert_refused(run, "no counts of layer 2", "x.gguf", "--from", "imatrix", "--top-k", 4, "--layers", "1-3")
    assert_refused(run, "says 16, not", "x.gguf", "--from", "imatrix", "--top-k", 4, "--num-experts", 8)
    assert run("import", "x.gguf", "--from", "imatrix", "--top-k", 4, "--layers", "1,3").returncode == 0
