"""Files with a record a prompt, by a mapping: each written as a program of somebody else might write it."""

import hashlib
import io
import json
import struct
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.signatures import Signatures
from moexray.trace import Trace

from ..shown import DOCS, blocks
from .conftest import Evil, Routed, Run, assert_refused, counted

FACTS = 'layers = [1, 3, 4]\nnum_experts = 16\ntop_k = 4\nmodel = "somebody/model"\n'
FIELDS = (
    'experts = "routing"\nprompt_id = "name"\ncategory = "topic"\ntoken_ids = "tokens"\nprompt_length = "given"\n'
    'axes = ["tokens", "layers", "k"]\n'
)


def records(routed: Routed) -> list[dict[str, Any]]:
    return [
        {"name": f"q{i}", "topic": routed.categories[i], "tokens": ids, "given": length, "routing": rows.tolist()}
        for i, (rows, ids, length) in enumerate(
            zip(routed.experts, routed.token_ids, routed.prompt_lengths, strict=True)
        )
    ]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_jsonl(routed: Routed) -> Path:
    write_lines(Path("data.jsonl"), records(routed))
    return Path("data.jsonl")


def write_parquet(routed: Routed) -> Path:
    parquet.write_table(pa.Table.from_pylist(records(routed)), "data.parquet")
    return Path("data.parquet")


def write_npz(routed: Routed) -> Path:
    np.savez(
        "data.npz",
        name=np.array([f"q{i}" for i in range(len(routed.experts))]),
        topic=np.array(routed.categories),
        given=np.array(routed.prompt_lengths),
        tokens=np.concatenate([np.array(ids) for ids in routed.token_ids]),
        routing=np.concatenate(routed.experts),
        sizes=np.array([len(rows) for rows in routed.experts]),
    )
    return Path("data.npz")


WRITERS: dict[str, tuple[Callable[[Routed], Path], str]] = {
    "jsonl": (write_jsonl, ""),
    "parquet": (write_parquet, ""),
    "npz": (write_npz, 'length = "sizes"\n'),
}


def imported(run: Run, source: Path, mapping: str, *more: object) -> Signatures:
    Path("map.toml").write_text(mapping, encoding="utf-8")
    finished = run("import", source, "--from", "mapped", "--map", "map.toml", *more)
    assert finished.stdout.startswith("imported "), finished.stderr
    return Signatures.load("signatures.npz")


def assert_same_routing(found: Signatures, routed: Routed) -> None:
    """Compare counts, tokens and trace with the rows, counted one by one."""
    given = [rows[:length] for rows, length in zip(routed.experts, routed.prompt_lengths, strict=True)]
    written = [rows[length:] for rows, length in zip(routed.experts, routed.prompt_lengths, strict=True)]
    assert [str(one) for one in found.segments] == ["prompt/text", "generated/text"]
    np.testing.assert_array_equal(found.counts[:, 0], counted(given, 16))
    np.testing.assert_array_equal(found.counts[:, 1], counted(written, 16))
    assert found.tokens[:, 0].tolist() == routed.prompt_lengths
    assert found.top_k.tolist() == [4, 4, 4]
    blocks = list(Trace.open("signatures.trace.parquet", found).blocks())
    np.testing.assert_array_equal(np.concatenate([block.experts for block in blocks]), np.concatenate(routed.experts))
    assert np.concatenate([block.token_ids for block in blocks]).tolist() == [
        one for ids in routed.token_ids for one in ids
    ]


@pytest.mark.parametrize("kind", WRITERS)
def test_what_was_recorded_is_what_is_imported(run: Run, routed: Routed, kind: str) -> None:
    write, more = WRITERS[kind]
    source = write(routed)
    found = imported(run, source, FIELDS + FACTS + more)
    assert_same_routing(found, routed)
    assert found.layers.tolist() == [1, 3, 4]
    assert found.prompts.ids == tuple(f"q{i}" for i in range(12))
    assert found.prompts.categories == routed.categories
    assert found.meta["model"] == "somebody/model"
    said = found.meta["imported"]
    assert (said["format"], said["source"], said["unknown"]) == ("mapped", source.name, [])


def test_the_same_file_gives_the_same_bytes(run: Run, routed: Routed) -> None:
    source, before = write_jsonl(routed), []
    for _ in range(2):
        imported(run, source, FIELDS + FACTS)
        before.append((Path("signatures.npz").read_bytes(), Path("signatures.trace.parquet").read_bytes()))
    assert before[0] == before[1]


def test_the_source_is_named_with_its_digest(run: Run, routed: Routed) -> None:
    source = write_jsonl(routed)
    found = imported(run, source, FIELDS + FACTS)
    assert found.meta["imported"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_axes_may_stand_in_any_order(run: Run, routed: Routed) -> None:
    rows = records(routed)
    for row in rows:
        row["routing"] = np.array(row["routing"]).transpose(1, 2, 0).tolist()  # layers, k, tokens
    write_lines(Path("data.jsonl"), rows)
    mapping = FIELDS.replace('["tokens", "layers", "k"]', '["layers", "k", "tokens"]') + FACTS
    assert_same_routing(imported(run, Path("data.jsonl"), mapping), routed)


def test_rows_of_dense_layers_are_left_out(run: Run, routed: Routed) -> None:
    """Servers fill an axis of all layers, with zeros where a layer does not route."""
    rows = records(routed)
    for row in rows:
        every = np.zeros((len(row["tokens"]), 6, 4), dtype=int)
        every[:, [1, 3, 4]] = row["routing"]
        row["routing"] = every.tolist()
    write_lines(Path("data.jsonl"), rows)
    assert_same_routing(imported(run, Path("data.jsonl"), FIELDS + FACTS), routed)


def test_saved_replies_of_vllm_are_read(run: Run, routed: Routed) -> None:
    """Its base64 of a NumPy file, the prompt's ids at one place and the generated ones at another."""
    rows = []
    for record in records(routed):
        buffer, given = io.BytesIO(), record["given"]
        np.save(buffer, np.array(record["routing"], dtype=np.uint8))
        choice = {"routed_experts": b64encode(buffer.getvalue()).decode(), "token_ids": [*record["tokens"][given:], 7]}
        rows.append({"prompt_token_ids": record["tokens"][:given], "choices": [choice]})
    write_lines(Path("replies.jsonl"), rows)
    mapping = (
        'experts = "choices.0.routed_experts"\nencoding = "npy"\naxes = ["tokens", "layers", "k"]\n'
        'token_ids = ["prompt_token_ids", "choices.0.token_ids"]\nprompt_length = "prompt_token_ids"\n'
        "last_token_unrouted = true\n"
    )
    found = imported(run, Path("replies.jsonl"), mapping + FACTS, "--category", "all")
    assert_same_routing(found, routed)
    assert found.prompts.ids[0] == "replies-01"
    assert set(found.prompts.categories) == {"all"}


def test_saved_replies_of_sglang_are_read(run: Run, routed: Routed) -> None:
    """Its base64 of bare int32, which have no shape, over all layers of the model."""
    rows = records(routed)
    for row in rows:
        every = np.zeros((len(row["tokens"]), 6, 4), dtype="<i4")
        every[:, [1, 3, 4]] = row.pop("routing")
        row["meta_info"] = {"routed_experts": b64encode(every.tobytes()).decode()}
    write_lines(Path("data.jsonl"), rows)
    mapping = FIELDS.replace('"routing"', '"meta_info.routed_experts"') + 'encoding = "int32"\nlayer_rows = 6\n'
    assert_same_routing(imported(run, Path("data.jsonl"), mapping + FACTS), routed)


def test_padded_arrays_have_only_their_own_tokens(run: Run, routed: Routed) -> None:
    longest = max(map(len, routed.experts))
    padded = np.full((12, longest, 3, 4), -1)
    ids = np.zeros((12, longest), dtype=int)
    for place, rows in enumerate(routed.experts):
        padded[place, : len(rows)], ids[place, : len(rows)] = rows, routed.token_ids[place]
    sizes = np.array([len(rows) for rows in routed.experts])
    np.savez("data.npz", routing=padded, tokens=ids, sizes=sizes, given=np.array(routed.prompt_lengths))
    mapping = FIELDS.replace('prompt_id = "name"\ncategory = "topic"\n', 'length = "sizes"\n')
    assert_same_routing(imported(run, Path("data.npz"), mapping + FACTS), routed)


@pytest.mark.slow
def test_analyses_run_on_what_was_imported(run: Run, routed: Routed) -> None:
    imported(run, write_jsonl(routed), FIELDS + FACTS)
    short = ("--permutations", 19, "--folds", 2)
    assert run("analyze", "signatures.npz", "--trace", "signatures.trace.parquet", *short).returncode == 0
    assert run("cache", "signatures.npz").returncode == 0
    assert run("info", "signatures.npz").returncode == 0


def test_texts_outputs_and_groups_are_kept_and_may_be_empty(run: Run, routed: Routed) -> None:
    rows = [
        {**row, "said": f"text {i}", "wrote": "", "of": None if i else "t"} for i, row in enumerate(records(routed))
    ]
    write_lines(Path("data.jsonl"), rows)
    mapping = FIELDS + 'text = "said"\noutput = "wrote"\ngroup = "of"\n' + FACTS
    prompts = imported(run, Path("data.jsonl"), mapping).prompts
    assert tuple(prompts.texts) == tuple(f"text {i}" for i in range(12))
    assert set(prompts.outputs) == {""}
    assert tuple(prompts.groups) == ("t", *[""] * 11)


def test_without_token_ids_there_is_no_trace(run: Run, routed: Routed) -> None:
    found = imported(run, write_jsonl(routed), FIELDS.replace('token_ids = "tokens"\n', "") + FACTS)
    assert found.meta["imported"]["unknown"] == ["token ids"]
    assert not Path("signatures.trace.parquet").exists()


def test_a_trace_of_other_signatures_is_named_or_kept(run: Run, routed: Routed) -> None:
    source = write_jsonl(routed)
    imported(run, source, FIELDS + FACTS)
    Path("map.toml").write_text(FIELDS.replace('token_ids = "tokens"\n', "") + FACTS, encoding="utf-8")
    command = ("import", source, "--from", "mapped", "--map", "map.toml", "--out")
    assert "is there from before" in run(*command, "signatures.npz").stdout
    before = Path("signatures.trace.parquet").read_bytes()
    assert "may belong to signatures.npz" in run(*command, "signatures").stderr
    assert Path("signatures.trace.parquet").read_bytes() == before


def test_phases_that_are_not_known_are_called_mixed(run: Run, routed: Routed) -> None:
    mapping = FIELDS.replace('prompt_length = "given"\n', 'tokens_are = "mixed"\n') + FACTS
    found = imported(run, write_jsonl(routed), mapping)
    np.testing.assert_array_equal(found.loads("mixed"), counted(routed.experts, 16))
    assert found.lengths("prompt").sum() == found.lengths("generated").sum() == 0
    assert found.meta["imported"]["unknown"] == ["phases"]
    assert run("info", "signatures.npz").returncode == 0
    assert "batches need the phase of each" in run("batch", "signatures.npz").stderr


def test_two_imports_of_one_model_are_merged(run: Run, routed: Routed) -> None:
    Path("map.toml").write_text(FIELDS + FACTS, encoding="utf-8")
    for name, some in (("a", records(routed)[:6]), ("b", records(routed)[6:])):
        write_lines(Path(f"{name}.jsonl"), some)
        run("import", f"{name}.jsonl", "--from", "mapped", "--map", "map.toml", "--out", f"{name}.npz")
    assert run("merge", "a.npz", "b.npz").returncode == 0
    found = Signatures.load("signatures.npz")
    np.testing.assert_array_equal(found.loads(), counted(routed.experts, 16))
    assert [one["source"] for one in found.meta["imported"]] == ["a.jsonl", "b.jsonl"]


def spoilt(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a record with one thing wrong."""
    rows = np.array(row["routing"])
    if kind == "zeros":
        rows[-1] = 0
    if kind == "minus one":
        rows[2, 1] = -1
    if kind == "too large":
        rows[0, 2, 3] = 16
    changes: dict[str, dict[str, Any]] = {
        "zeros": {"routing": rows.tolist()},
        "minus one": {"routing": rows.tolist()},
        "too large": {"routing": rows.tolist()},
        "another k": {"routing": rows[:, :, :3].tolist()},
        "another depth": {"routing": rows[:, :2].tolist()},
        "no rows": {"routing": []},
        "ragged": {"routing": [[[1, 2, 3, 4]], [[1, 2, 3]]]},
        "fractions": {"routing": (rows + 0.5).tolist()},
        "truths": {"routing": [[[True, False, True, False]] * 3] * len(rows)},
        "texts": {"routing": [[["1", "2", "3", "4"]] * 3] * len(rows)},
        "a text": {"routing": "AAAA"},
        "huge": {"routing": [[[10**30, 1, 2, 3]] * 3] * len(rows)},
        "fewer ids": {"tokens": row["tokens"][:-1]},
        "one id more": {"tokens": [*row["tokens"], 1]},
        "negative id": {"tokens": [-1, *row["tokens"][1:]]},
        "long prompt": {"given": len(rows) + 1},
        "no length": {"given": None},
        "a fraction of a length": {"given": 2.0},
        "no id": {"name": None},
        "blank category": {"topic": " "},
        "an id twice": {"name": "q0"},
    }
    return row | changes[kind]


REFUSED = {
    "zeros": "is sent to one expert twice in layer 1",
    "minus one": "token 2 is sent to expert -1 in layer 3",
    "too large": "token 0 is sent to expert 16 in layer 4",
    "another k": "3 experts each, not k = 4",
    "another depth": "has 2 layers",
    "no rows": "is int64 of shape (0,)",
    "ragged": "not equally long",
    "fractions": "holds float",
    "truths": "holds bool",
    "texts": "holds str",
    "a text": "is str, not lists",
    "huge": "numbers of more than 62 bits",
    "fewer ids": "token ids for",
    "one id more": "last_token_unrouted = true",
    "negative id": "has the id -1",
    "long prompt": "prompt_length is",
    "no length": "prompt_length is None",
    "a fraction of a length": "prompt_length is 2.0",
    "no id": "must be a text",
    "blank category": "must be a text",
    "an id twice": "ids must be unique",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_record_that_is_not_whole_is_refused(run: Run, routed: Routed, kind: str) -> None:
    rows = records(routed)
    write_lines(Path("data.jsonl"), [*rows[:3], spoilt(kind, rows[3])])
    Path("map.toml").write_text(FIELDS + FACTS, encoding="utf-8")
    assert_refused(run, REFUSED[kind], "data.jsonl", "--from", "mapped", "--map", "map.toml")


MAPPINGS = {
    "no TOML": ("a = [", "is not TOML"),
    "an unknown key": ('expert = "x"\n' + FIELDS + FACTS, "has a key 'expert'"),
    "no experts": (FIELDS.replace('experts = "routing"', "") + FACTS, "which field holds the experts"),
    "no axes": (FIELDS.replace('axes = ["tokens", "layers", "k"]', "") + FACTS, "in what order experts are"),
    "an axis twice": (FIELDS.replace('"layers", "k"]', '"k", "k"]') + FACTS, "in what order experts are"),
    "a field that is not there": (FIELDS.replace('"routing"', '"rooting"') + FACTS, "has no 'rooting'"),
    "no phases": (FIELDS.replace('prompt_length = "given"\n', "") + FACTS, "state it with --tokens-are"),
    "phases twice": (FIELDS + FACTS + 'tokens_are = "prompt"\n', "leave --tokens-are out"),
    "no layers": (FIELDS + FACTS.replace("layers = [1, 3, 4]\n", ""), "state it with --layers"),
    "no width": (FIELDS + FACTS.replace("num_experts = 16\n", ""), "state it with --num-experts"),
    "no k": (FIELDS + FACTS.replace("top_k = 4\n", ""), "state it with --top-k"),
    "k above the width": (FIELDS + FACTS.replace("num_experts = 16", "num_experts = 3"), "not those of a model"),
    "layers in disorder": (FIELDS + FACTS.replace("[1, 3, 4]", "[3, 1, 4]"), "ascending"),
    "an encoding of nobody": (FIELDS + FACTS + 'encoding = "pickle"\n', "encoding is 'pickle'"),
    "a length in JSON": (FIELDS + FACTS + 'length = "sizes"\n', "length is for .npz files"),
}


@pytest.mark.parametrize("case", MAPPINGS)
def test_a_mapping_that_leaves_something_open_is_refused(run: Run, routed: Routed, case: str) -> None:
    mapping, message = MAPPINGS[case]
    Path("map.toml").write_text(mapping, encoding="utf-8")
    assert_refused(run, message, write_jsonl(routed), "--from", "mapped", "--map", "map.toml")


def hostile(kind: str, routed: Routed) -> Path:
    if kind == "pickle":
        np.savez("data.npz", routing=np.array([Evil()], dtype=object), sizes=np.array([1]))
    if kind == "not a zip":
        Path("data.npz").write_bytes(b"PK no")
    if kind == "cut off":
        Path("data.npz").write_bytes(write_npz(routed).read_bytes()[:-400])
    if kind == "a claim":
        header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000, 3, 4), }"
        with zipfile.ZipFile("data.npz", "w") as archive:
            archive.writestr("routing.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
            archive.writestr("sizes.npy", b"")
    if kind == "a bomb":
        with zipfile.ZipFile("data.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("routing.npy", bytes(2**27))
    return Path("data.npz")


HOSTILE = {
    "pickle": "never pickled objects",
    "not a zip": "is no .npz file",
    "cut off": "is no .npz file",
    "a claim": "ends too early",
    "a bomb": "made to fill memory",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_one_sentence(run: Run, routed: Routed, kind: str) -> None:
    Path("map.toml").write_text(
        'experts = "routing"\nlength = "sizes"\naxes = ["tokens", "layers", "k"]\ntokens_are = "prompt"\n' + FACTS,
        encoding="utf-8",
    )
    assert_refused(run, HOSTILE[kind], hostile(kind, routed), "--from", "mapped", "--map", "map.toml")
    assert not Path("ran").exists()


def test_a_router_of_one_expert_a_token_must_use_another_than_the_first(run: Run) -> None:
    """Rows that were never written are zeros, and with k = 1 zeros are distinct."""
    rows = [{"routing": np.zeros((5, 2, 1), dtype=int).tolist()} for _ in range(3)]
    write_lines(Path("data.jsonl"), rows)
    Path("map.toml").write_text(
        'experts = "routing"\naxes = ["tokens", "layers", "k"]\ntokens_are = "prompt"\nlayers = [0, 1]\n'
        "num_experts = 4\ntop_k = 1\n",
        encoding="utf-8",
    )
    assert_refused(run, "is sent to expert 0", "data.jsonl", "--from", "mapped", "--map", "map.toml")


def test_formats_and_files_that_there_are_not(run: Run) -> None:
    assert_refused(run, "does not exist", "none.jsonl", "--from", "mapped")
    Path("some.jsonl").write_text("{}", encoding="utf-8")
    assert_refused(run, "there are mapped", "some.jsonl", "--from", "magic")
    assert_refused(run, "--map must name", "some.jsonl", "--from", "mapped")


def test_the_example_of_the_docs_prints_what_they_show(run: Run) -> None:
    page = DOCS / "import.md"
    Path("chats.jsonl").write_text(blocks(page, "json")[0], encoding="utf-8")
    Path("chats.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    command, shown = blocks(page, "text")[0].removeprefix("$ moexray ").split("\n", 1)
    assert run(*command.split()).stdout.strip() == shown.strip()
