"""Files are checked row by row without a model, then beside the model that they name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import moexray as mx
from moexray.checks.result import RoutingCheck
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import AnalysisError, CaptureError, SignaturesError
from moexray.generation import Generation
from moexray.recording.capture import capture_with
from moexray.replays.check import check

from .. import made, tiny_models
from .planted import prompts

Rows = dict[str, list[Any]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a checkpoint in float32 on disk, with dense layers between."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_models.random_model(tiny_models.qwen3_moe(), torch.float32).save_pretrained(folder)
    tiny_models.tokenizer_of_letters().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def captured(checkpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return signatures with a trace beside them, of eight prompts in padded batches."""
    out = tmp_path_factory.mktemp("captured") / "signatures.npz"
    mx.capture(prompts(8), model=checkpoint, out=out, record=["trace"], max_new_tokens=6)
    return out


@pytest.fixture
def copied(captured: Path, tmp_path: Path) -> Path:
    for name in ("signatures.npz", "signatures.trace.parquet"):
        (tmp_path / name).write_bytes((captured.parent / name).read_bytes())
    return tmp_path / "signatures.npz"


def edit(signatures: Path, change: Callable[[Rows], object]) -> None:
    """Change columns of the trace beside signatures."""
    path = signatures.with_name("signatures.trace.parquet")
    table = parquet.read_table(path)
    columns = table.to_pydict()
    change(columns)
    parquet.write_table(pa.table(columns, schema=table.schema), path)


def where(rows: Rows, **values: Any) -> list[int]:
    return [
        row for row in range(len(rows["prompt"])) if all(rows[name][row] == value for name, value in values.items())
    ]


def test_images_are_not_in_the_file_so_the_file_alone_is_looked_at(tmp_path: Path) -> None:
    """Placeholders run as words would be routed otherwise, and look like a wrong recording."""
    made.trace(tmp_path / "signatures.trace.parquet", images=True).save(tmp_path / "signatures.npz")
    found = check(tmp_path / "signatures.npz")
    assert found.verdict == "not compared"
    assert "image tokens, and what these show is not in the file" in found.notes["comparison"]


def test_a_captured_file_is_true(captured: Path) -> None:
    """The model, and its number format, are those that the file names."""
    found = mx.check(captured)
    assert found.verdict == "true"
    assert found.comparison is not None
    assert [one.prompt for one in found.comparison.prompts] == sorted(one.prompt for one in found.comparison.prompts)
    assert len(found.comparison.prompts) == 4
    assert {one.layer for one in found.comparison.layers} == {0, 2}
    assert found.findings == ()
    assert found.belongs_to(mx.Signatures.open(captured))


def test_a_result_is_saved_and_read_again(captured: Path, tmp_path: Path) -> None:
    found = check(captured, model="none")
    found.save(tmp_path / "check.json")
    assert RoutingCheck.load(tmp_path / "check.json") == found


def test_prompts_are_drawn_by_turns_from_each_category(captured: Path) -> None:
    found = check(captured, number=2, seed=3)
    assert found.comparison is not None
    categories = {one.id: one.category for one in prompts(8)}
    assert {categories[one.prompt] for one in found.comparison.prompts} == {"a", "b"}


def test_unwritten_rows_are_named_by_phase_and_layer_and_all_others_are_compared(copied: Path) -> None:
    def zero(rows: Rows) -> None:
        for row in where(rows, phase="generated", layer=2):
            rows["experts"][row] = [0, 0, 0]

    edit(copied, zero)
    found = check(copied, number=8)
    assert found.verdict == "not whole"
    (fault,) = found.integrity.faults
    assert (fault.kind, fault.phase, fault.layers, fault.rows) == ("unwritten", "generated", (2,), fault.of)
    assert found.comparison is not None
    assert {(one.layer, one.phase) for one in found.comparison.layers if one.different} == {(2, "generated")}
    assert found.diagnosis is not None
    assert found.diagnosis.name == "unwritten"


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("a row is missing", lambda rows: [values.pop(5) for values in rows.values()], "rows"),
        ("an expert is not there", lambda rows: rows["experts"].__setitem__(3, [0, 1, 99]), "range"),
        ("an expert stands twice", lambda rows: rows["experts"].__setitem__(3, [4, 1, 4]), "twice"),
        ("an expert is missing", lambda rows: rows["experts"].__setitem__(3, [4, 1]), "number"),
        ("a weight is NaN", lambda rows: rows["gate_weights"].__setitem__(3, [0.5, float("nan"), 0.1]), "refused"),
        ("a layer is strange", lambda rows: rows["layer"].__setitem__(3, 7), "layer"),
        ("a phase is strange", lambda rows: rows["phase"].__setitem__(3, "later"), "refused"),
        ("tokens are out of order", lambda rows: rows["position"].__setitem__(0, 1), "refused"),
        (
            "counts are others",
            lambda rows: rows["experts"].__setitem__(3, sorted({*range(10)} - set(rows["experts"][3]))[:3]),
            "refused",
        ),
    ],
)
def test_what_cannot_be_is_a_finding_and_no_crash(
    copied: Path, name: str, change: Callable[[Rows], object], kind: str
) -> None:
    edit(copied, change)
    found = check(copied, model="none")
    assert found.verdict == "not whole", name
    assert kind in {one.kind for one in found.integrity.faults}, name


def test_a_file_that_cannot_be_opened_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "signatures.npz").write_bytes(b"PK\x03\x04 and no more")
    found = check(tmp_path / "signatures.npz")
    assert found.verdict == "not whole"
    assert "signatures.npz" in found.integrity.faults[0].first


def test_counts_that_do_not_add_up_are_not_whole(tmp_path: Path) -> None:
    good = made.signatures(4)
    counts = good.counts.copy()
    counts[2, 0, 1, 0] += 1
    path = tmp_path / "signatures.npz"
    good.save(path)
    with np.load(path) as members:
        held = dict(members)
    np.savez_compressed(path, **{**held, "counts": counts})
    found = check(path, model="none")
    assert found.verdict == "not whole"
    assert "'p2'" in found.integrity.faults[0].first


def test_a_missing_file_and_a_missing_model_are_one_sentence(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(SignaturesError, match="is not there"):
        check(tmp_path / "nothing.npz")
    made.signatures(4, meta={"model": None}).save(copied)
    with pytest.raises(CaptureError, match="name it with `model`"):
        check(copied)
    with pytest.raises(AnalysisError, match="the least is 1"):
        check(copied, number=0, model="none")


def test_counts_alone_are_compared_where_texts_are_kept(copied: Path) -> None:
    copied.with_name("signatures.trace.parquet").unlink()
    found = check(copied)
    assert found.verdict == "true"
    assert found.counts is not None
    assert sum(one.moved for one in found.counts) == 0
    signatures = mx.Signatures.load(copied)
    rolled = np.roll(signatures.counts, 1, axis=3)
    signatures.replace(counts=rolled).save(copied)
    again = check(copied)
    assert again.verdict == "different"
    assert again.counts is not None
    assert all(one.moved > 0 for one in again.counts)


def test_counts_of_each_others_prompts_are_different(checkpoint: str, tmp_path: Path) -> None:
    """Their sum is that of the model. A recording that does not say its format may differ by rounding alone."""
    path = tmp_path / "signatures.npz"
    mx.capture(prompts(2, length=(20, 21)), model=checkpoint, out=path, max_new_tokens=0)
    signatures = mx.Signatures.load(path)
    assert check(path).verdict == "true"
    swapped = signatures.replace(counts=signatures.counts[::-1])
    swapped.save(path)
    assert check(path).verdict == "different"
    swapped.replace(meta={name: value for name, value in signatures.meta.items() if name != "dtype"}).save(path)
    assert check(path).verdict == "undecided"


def test_counts_of_a_template_that_reads_the_date_are_compared_on_the_day_of_the_recording(tmp_path: Path) -> None:
    tiny_models.random_model(tiny_models.qwen3_moe(), torch.float32).save_pretrained(tmp_path)
    tokenizer = tiny_models.tokenizer_of_letters()
    tokenizer.chat_template = "{{ strftime_now('%b') }}{% for one in messages %}{{ one['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "signatures.npz"
    mx.capture(prompts(2), model=str(tmp_path), out=path, max_new_tokens=0)
    signatures = mx.Signatures.load(path)
    assert check(path).verdict == "true"
    month = int(str(signatures.meta["created"])[5:7]) % 12 + 1  # three letters as well: as many tokens, and others
    signatures.replace(meta={**signatures.meta, "created": f"2020-{month:02}-05T10:00:00+00:00"}).save(path)
    assert check(path).verdict == "different"


def test_counts_without_texts_say_what_is_missing(checkpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "signatures.npz"
    made.signatures(4, layers=(0, 2), experts=10, top_k=3).save(path)
    found = check(path, model=checkpoint)
    assert found.verdict == "not compared"
    assert "no texts" in found.notes["counts"]


def test_a_file_of_another_model_is_different(captured: Path, tmp_path: Path) -> None:
    tiny_models.save_olmoe(tmp_path)
    found = check(captured, model=str(tmp_path))
    assert found.verdict == "different"
    assert "layers 0, 2 were recorded" not in found.notes.get("comparison", "")
    assert "10 experts" in found.notes["comparison"]


def test_an_imported_recording_with_token_ids_is_checked(checkpoint: str, captured: Path, tmp_path: Path) -> None:
    import json

    from moexray.importing import read
    from moexray.importing.stated import Stated
    from moexray.importing.writing import write

    mapping = tmp_path / "map.toml"
    table = parquet.read_table(captured.with_name("signatures.trace.parquet")).to_pydict()
    lines = []
    for name in dict.fromkeys(table["prompt"]):
        rows = where(table, prompt=name)
        ids = [table["token_id"][row] for row in rows[::2]]
        experts = [[table["experts"][row] for row in rows[at : at + 2]] for at in range(0, len(rows), 2)]
        length = sum(table["phase"][row] == "prompt" for row in rows[::2])
        lines.append(json.dumps({"id": name, "tokens": ids, "length": length, "routed": experts}))
    (tmp_path / "rollouts.jsonl").write_text("\n".join(lines) + "\n")
    mapping.write_text(MAP)
    out = tmp_path / "signatures.npz"
    stated = Stated(mapping=mapping, layers=(0, 2), num_experts=10, top_k=3, model=checkpoint, category="rollouts")
    write(read(tmp_path / "rollouts.jsonl", "mapped", stated), "mapped", out)
    found = check(out)
    assert found.verdict == "true"
    assert found.comparison is not None
    assert {one.phase for one in found.comparison.layers} == {"prompt", "generated"}


MAP = """
prompt_id = "id"
token_ids = "tokens"
prompt_length = "length"
experts = "routed"
axes = ["tokens", "layers", "k"]
"""


def test_with_k_of_one_only_the_model_sees_rows_that_were_never_written(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "signatures.trace.parquet", k=1, prompts=6)
    signatures.save(tmp_path / "signatures.npz")
    found = check(tmp_path / "signatures.npz", model="none")
    assert found.verdict == "whole"
    assert "only the model tells" in found.notes["integrity.faults"]


def test_a_bfloat16_capture_is_checked_in_bfloat16(tmp_path: Path) -> None:
    engine = TransformersEngine(tiny_models.loaded("olmoe", "bfloat16"))
    out = tmp_path / "signatures.npz"
    capture_with(engine, prompts(4), Generation(4), out=out, record=["trace"])
    tiny_models.save_olmoe(tmp_path / "model")
    found = check(out, model=str(tmp_path / "model"))
    assert found.verdict == "true"
    assert found.reference is not None
    assert found.reference["dtype"] == "bfloat16"


def test_of_very_many_prompts_counts_are_compared_in_sum(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moexray.replays.recorded_file.MOST_IN_MEMORY", 0)
    monkeypatch.setattr("moexray.trace.MOST_IN_MEMORY", 0)
    assert check(copied, model="none").verdict == "whole"

    def swap(rows: Rows) -> None:
        held = rows["experts"][3]
        rows["experts"][3] = [next(one for one in range(10) if one not in held), *held[1:]]

    edit(copied, swap)
    (fault,) = check(copied, model="none").integrity.faults
    assert "times by the signatures" in fault.first


def test_more_prompts_than_there_are_are_all_that_there_are(captured: Path) -> None:
    found = check(captured, number=100)
    assert found.comparison is not None
    assert len(found.comparison.prompts) == 8
    signatures = mx.Signatures.open(captured)
    assert found.comparison.rows == found.integrity.rows == 2 * int(signatures.tokens.sum())


@pytest.mark.parametrize(
    ("column", "value"), [("experts", None), ("phase", None), ("prompt", "another"), ("experts", [None] * 3)]
)
def test_empty_and_strange_cells_are_findings(copied: Path, column: str, value: Any) -> None:
    edit(copied, lambda rows: rows[column].__setitem__(4, value))
    found = check(copied, model="none")
    assert [one.kind for one in found.integrity.faults] == ["refused"]
