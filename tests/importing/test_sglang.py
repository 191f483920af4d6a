"""Files of SGLang's recorder, written by torch.save as the recorder writes them."""

import enum
import io
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from moexray.importing import pickles
from moexray.signatures import Signatures
from moexray.trace import Trace

from .conftest import Evil, Routed, Run, assert_refused, counted

NAME = "expert_distribution_recorder_1764.25.pt"
LAYERS = [1, 3, 4]
EXTEND, DECODE, MIXED, IDLE = 1, 2, 3, 4


def physical_map(*, spare: int = 4, seed: int = 1) -> torch.Tensor:
    """Return a map of 6 layers whose 16 experts, and copies of some, lie at 20 places in disorder."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation([*range(16), *rng.choice(16, spare, replace=False)]) for _ in range(6)]
    return torch.tensor(np.array(rows))


def to_physical(rows: np.ndarray, where: torch.Tensor, layer: int) -> np.ndarray:
    """Return a place of each expert, the last one where there are copies."""
    places = {int(expert): place for place, expert in enumerate(where[layer].tolist())}
    return np.vectorize(places.__getitem__)(rows)


def record(rows: np.ndarray, ids: list[int], where: torch.Tensor, *, mode: Any = EXTEND, **more: Any) -> dict[str, Any]:
    """Return the record of a pass: 8 ids a row, −1 where there are fewer, and in layers that do not route."""
    routed = np.full((6, len(rows), 8), -1)
    for place, layer in enumerate(LAYERS):
        routed[layer, :, :4] = to_physical(rows[:, place], where, layer)
    return {
        "forward_pass_id": 1,
        "rank": 0,
        "gatherer_key": "primary",
        "input_ids": ids,
        "positions": list(range(len(ids))),
        "extend_seq_lens": [len(ids)],
        "forward_mode": mode,
        "topk_ids_of_layer": torch.tensor(routed, dtype=torch.int32),
        "misc_objects": [{"note": torch.ones(2)}],
        "global_physical_count": torch.zeros((6, 20), dtype=torch.int32),
    } | more


def passes(routed: Routed, where: torch.Tensor) -> list[dict[str, Any]]:
    """Return passes: prompts two by two, then a decoding step of one token for each; and a pass without tokens."""
    found = []
    for first in range(0, 12, 2):
        both = [first, first + 1]
        lengths = [routed.prompt_lengths[one] for one in both]
        given = np.concatenate([routed.experts[one][:length] for one, length in zip(both, lengths, strict=True)])
        ids = [token for one, length in zip(both, lengths, strict=True) for token in routed.token_ids[one][:length]]
        places = [place for length in lengths for place in range(length)]
        found.append(record(given, ids, where, positions=places, extend_seq_lens=lengths))
        after = np.stack([routed.experts[one][length] for one, length in zip(both, lengths, strict=True)])
        found.append(record(after, [1, 2], where, mode=DECODE, positions=lengths, extend_seq_lens=None))
    empty = torch.zeros((6, 0, 8), dtype=torch.int32)
    idle = record(given[:1], [3], where, mode=IDLE, input_ids=[], topk_ids_of_layer=empty)
    return [*found, idle]


def save(records: list[dict[str, Any]], where: torch.Tensor) -> str:
    torch.save({"records": records, "last_physical_to_logical_map": where}, NAME)
    return NAME


def given_and_generated(routed: Routed) -> tuple[np.ndarray, np.ndarray]:
    given = [rows[:length] for rows, length in zip(routed.experts, routed.prompt_lengths, strict=True)]
    after = [rows[length : length + 1] for rows, length in zip(routed.experts, routed.prompt_lengths, strict=True)]
    return counted(given, 16), counted(after, 16)


def test_tokens_are_one_pool_with_logical_ids_and_known_phases(run: Run, routed: Routed) -> None:
    where = physical_map()
    finished = run("import", save(passes(routed, where), where), "--from", "sglang", "--prompts", "pool")
    assert finished.returncode == 0, finished.stderr
    found = Signatures.load("signatures.npz")
    given, after = given_and_generated(routed)
    np.testing.assert_array_equal(found.counts[0, 0], given.sum(axis=0))
    np.testing.assert_array_equal(found.counts[0, 1], after.sum(axis=0))
    assert (found.layers.tolist(), found.top_k.tolist(), found.experts.tolist()) == (LAYERS, [4] * 3, [16] * 3)
    unknown = found.meta["imported"]["unknown"]
    assert "prompts" in unknown
    assert any("EPLB" in one for one in unknown)
    assert not Path("signatures.trace.parquet").exists()


def test_sequences_of_prefill_are_prompts_with_a_trace(run: Run, routed: Routed) -> None:
    where = physical_map()
    finished = run("import", save(passes(routed, where), where), "--from", "sglang", "--prompts", "sequences")
    assert finished.returncode == 0, finished.stderr
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.counts[:, 0], given_and_generated(routed)[0])
    assert found.tokens[:, 1].sum() == 0
    assert found.meta["imported"]["generated_tokens_left_out"] == 12
    blocks = list(Trace.open("signatures.trace.parquet", found).blocks())
    rows = [rows[:length] for rows, length in zip(routed.experts, routed.prompt_lengths, strict=True)]
    np.testing.assert_array_equal(np.concatenate([one.experts for one in blocks]), np.concatenate(rows))


@pytest.mark.slow
def test_analyses_run_on_what_was_imported(run: Run, routed: Routed) -> None:
    where = physical_map()
    for name in ("one", "two"):
        save(passes(routed, where), where)
        Path(NAME).rename(f"{name}.pt")
        command = ("import", f"{name}.pt", "--from", "sglang", "--prompts", "sequences", "--out", f"{name}.npz")
        assert run(*command).returncode == 0
    assert run("merge", "one.npz", "two.npz").returncode == 0
    finished = run("analyze", "signatures.npz", "--permutations", 19, "--folds", 2)
    assert finished.returncode == 0, finished.stderr
    assert run("coverage", "signatures.npz").returncode == 0


def test_forward_modes_may_be_members_of_the_class_of_sglang(
    run: Run, routed: Routed, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sglang.srt.model_executor.forward_batch_info"
    module = ModuleType(name)
    ForwardMode = enum.IntEnum("ForwardMode", {"EXTEND": 1, "DECODE": 2}, module=name)
    module.ForwardMode = ForwardMode  # type: ignore[attr-defined]
    parts = name.split(".")
    for length in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:length]), ModuleType(parts[length - 1]))
    monkeypatch.setitem(sys.modules, name, module)
    where = physical_map()
    records = [one | {"forward_mode": ForwardMode(one["forward_mode"])} for one in passes(routed, where)[:-1]]
    save(records, where)
    monkeypatch.delitem(sys.modules, name)
    assert run("import", NAME, "--from", "sglang", "--prompts", "pool").returncode == 0


def test_loads_are_added_over_steps_and_need_k_and_phases(run: Run, routed: Routed) -> None:
    counts = np.zeros((5, 6, 16), dtype=np.int32)
    for step in range(3):  # the other steps of the buffer were not used
        counts[step, LAYERS] = counted(routed.experts[4 * step : 4 * step + 4], 16).sum(axis=0)
    torch.save({"rank": 0, "logical_count": torch.tensor(counts), "average_utilization_rate_over_window": 0.5}, NAME)
    assert_refused(run, "state it with --top-k", NAME, "--from", "sglang", "--tokens-are", "mixed")
    assert_refused(run, "state it with --tokens-are", NAME, "--from", "sglang", "--top-k", 4)
    wrong = next(k for k in range(5, 16) if 4 * sum(map(len, routed.experts)) % k)
    assert_refused(run, "is k another?", NAME, "--from", "sglang", "--top-k", wrong, "--tokens-are", "mixed")
    assert_refused(
        run, "says 16, not --num-experts 8", NAME, "--from", "sglang", "--top-k", 4, "--num-experts", 8,
        "--tokens-are", "mixed",
    )  # fmt: skip
    assert run("import", NAME, "--from", "sglang", "--top-k", 4, "--tokens-are", "mixed").returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads("mixed")[0], counted(routed.experts, 16).sum(axis=0))
    assert found.lengths("mixed").tolist() == [sum(map(len, routed.experts))]
    assert found.layers.tolist() == LAYERS
    assert run("place", "signatures.npz", "--devices", 2).stderr.count("\n") <= 1


def spoilt(kind: str, routed: Routed) -> tuple[list[dict[str, Any]], torch.Tensor]:
    where = physical_map()
    records = passes(routed, where)
    first = records[0]
    rows = first["topk_ids_of_layer"]
    if kind == "an unwritten row":
        rows[3, 1] = -1
    if kind == "a row of zeros":
        rows[3, 1, :4] = 0
    if kind == "an id beyond the map":
        rows[3, 1, 0] = 20
    if kind == "no expert in the map":
        where[2][where[2] == 5] = 4
    if kind == "a mixed pass":
        first["forward_mode"] = MIXED
    if kind == "a verifying pass":
        first["forward_mode"] = 6
    if kind == "a cached beginning":
        first["positions"][0:2] = [128, 129]
    if kind == "other lengths":
        first["extend_seq_lens"][0] += 1
    if kind == "fewer ids":
        first["input_ids"] = first["input_ids"][1:]
    if kind == "fractions":
        first["topk_ids_of_layer"] = rows.float()
    if kind == "per_pass":
        del first["topk_ids_of_layer"]
    if kind == "nothing":
        records.clear()
    return records, where


SPOILT = {
    "an unwritten row": "rows were not written",
    "a row of zeros": "one expert twice in layer 3",
    "an id beyond the map": "physical expert 20",
    "no expert in the map": "no place for some of 16 experts in layer 2",
    "a mixed pass": "mixes prompts and generated tokens",
    "a verifying pass": "forward mode 6",
    "a cached beginning": "begins at position 128",
    "other lengths": "has sequences of",
    "fewer ids": "positions and rows for",
    "fractions": "whole numbers with 3 axes",
    "per_pass": "mode per_pass",
    "nothing": "no token with a selected expert",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_record_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    source = save(*spoilt(kind, routed))
    assert_refused(run, SPOILT[kind], source, "--from", "sglang", "--prompts", "sequences")


def test_what_the_file_does_not_tell_is_asked_for(run: Run, routed: Routed) -> None:
    where = physical_map()
    source = save(passes(routed, where), where)
    assert_refused(run, "state it with --prompts", source, "--from", "sglang")
    assert_refused(run, "says 4, not --top-k 8", source, "--from", "sglang", "--prompts", "pool", "--top-k", 8)
    assert_refused(run, "must be pool or sequences", source, "--from", "sglang", "--prompts", "all")


def write_zip(content: bytes) -> str:
    with zipfile.ZipFile(NAME, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", bytes(64))
    return NAME


def hostile(kind: str) -> str:  # noqa: PLR0911  # one file each
    """Write a file that is made to run code, to fill memory or to break the reader."""
    if kind == "code":
        torch.save({"records": [Evil()], "last_physical_to_logical_map": torch.zeros((1, 1))}, NAME)
        return NAME
    if kind == "code in protocol 0":
        return write_zip(pickle.dumps(Evil(), protocol=0))
    if kind == "eval":
        return write_zip(b"cbuiltins\neval\n(X\x0e\x00\x00\x00open('ran','w')tR.")
    if kind == "a huge memo":
        return write_zip(b"\x80\x02K\x01r\xff\xff\xff\x7f.")
    if kind == "many lists":
        return write_zip(b"\x80\x02" + b"]" * 1001 + b".")
    if kind == "a long text":
        return write_zip(b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"x.")
    if kind == "an underflow":
        return write_zip(b"\x80\x02s.")
    if kind == "cut off":
        return write_zip(b"\x80\x02}")
    if kind == "no pickle":
        Path(NAME).write_bytes(b"\x80\x02}.")
        return NAME
    if kind == "a larger tensor":
        buffer = io.BytesIO()
        torch.save({"logical_count": torch.zeros((2, 3, 4), dtype=torch.int32)}, buffer)
        with zipfile.ZipFile(buffer) as archive:
            content = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        return write_zip(content.replace(b"K\x18", b"K\x7f"))
    assert kind == "strides"
    torch.save({"logical_count": torch.zeros(1, dtype=torch.int32).expand(1000, 1000, 1000)}, NAME)
    return NAME


HOSTILE = {
    "code": "could run code",
    "code in protocol 0": "it is not read",
    "eval": "calls builtins.eval",
    "a huge memo": "no file of SGLang's recorder",
    "many lists": "lists and tuples",
    "a long text": "damaged pickle",
    "an underflow": "damaged pickle",
    "cut off": "damaged pickle",
    "no pickle": "no file that torch.save wrote",
    "a larger tensor": "ends too early",
    "strides": "not contiguous",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_sentence_and_runs_nothing(run: Run, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = hostile(kind)
    monkeypatch.setattr(pickles, "_MOST_CONTAINERS", 1000)
    assert_refused(run, HOSTILE[kind], source, "--from", "sglang")
    assert not Path("ran").exists()
