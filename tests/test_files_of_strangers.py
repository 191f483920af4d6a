"""A file of signatures or a trace that someone sent is read as it is, or refused in one sentence and little memory."""

import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib import format as npy
from pyarrow import parquet

from moexray.errors import SignaturesError, TraceError
from moexray.signatures import Signatures
from moexray.trace import Trace

from . import made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made.signatures(6, texts=[f"text {i}" for i in range(6)], mass=True).save(tmp_path / "s.npz")
    return tmp_path / "s.npz"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def replaced(path: Path, name: str, content: bytes) -> None:
    """Write the file again with other content in one member, whose checksum is right."""
    held = {**members(path), name: content}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, bytes_ in held.items():
            archive.writestr(member, bytes_)


def array(shape: str, content: bytes = b"", descr: str = "'<i4'") -> bytes:
    """Return an .npy file whose header says whatever it is told to."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return npy.magic(1, 0) + struct.pack("<H", len(header)) + header + content


def of(values: Any, dtype: Any = None) -> bytes:
    values = np.asarray(values, dtype=dtype)
    return array(str(values.shape), values.tobytes(), repr(npy.dtype_to_descr(values.dtype)))


def meta(text: str) -> bytes:
    return of(np.frombuffer(text.encode(), np.uint8))


DAMAGE: dict[str, tuple[str, bytes]] = {
    "ten billion rows of tokens": ("tokens.npy", array("(10000000000000, 2)")),
    "ten billion rows of counts": ("counts.npy", array("(10000000000000, 2, 3, 8)", descr="'|u1'")),
    "more rows than a number counts": ("tokens.npy", array("(1" + "0" * 40 + ", 0)")),
    "a negative length": ("tokens.npy", array("(-1, 2)")),
    "a header that is a number": ("tokens.npy", array("7")),
    "a header that is no Python": ("tokens.npy", array("(2,")),
    "a header with too many digits": ("tokens.npy", array("(" + "9" * 5000 + ",)")),
    "untyped bytes": ("tokens.npy", array("(6, 2)", bytes(12), "'|V1'")),
    "bytes without length": ("tokens.npy", array("(6, 2)", b"", "'|V0'")),
    "letters": ("layers.npy", of(["a", "b", "c"])),
    "a record": ("top_k.npy", of(np.zeros(3, [("a", "i4")]))),
    "times": ("layers.npy", of(np.zeros(3, "M8[s]"))),
    "complex counts": ("counts.npy", of(np.zeros((6, 2, 3, 8), complex))),
    "wide characters": ("categories.utf8.npy", of(np.zeros(6, np.int32))),
    "offsets that do not ascend": ("categories.offsets.npy", of([0, 1, 3, 2, 4, 5, 6])),
    "offsets that do not ascend at the end": ("prompt_ids.offsets.npy", of([0, 2, 4, 6, 8, 14, 12])),
    "offsets without a sign that do not ascend": ("categories.offsets.npy", of([0, 2, 1, 3, 4, 5, 6], np.uint64)),
    "offsets below zero": ("categories.offsets.npy", of([0, -1, 2, 3, 4, 5, 6])),
    "offsets that are fractions": ("categories.offsets.npy", of([0.0, 1, 2, 3, 4, 5, 6])),
    "bytes after an array": ("tokens.npy", of(np.zeros((6, 2), np.int32)) + b"more"),
    "meta that is a list": ("meta.npy", meta("[1]")),
    "meta that is nested": ("meta.npy", meta("[" * 200_000)),
    "meta with a number of 5,000 digits": ("meta.npy", meta('{"schema": ' + "2" * 5000 + "}")),
    "meta with a key twice": ("meta.npy", meta('{"schema": 2, "model": "a", "model": "b"}')),
    "meta that is not finite": ("meta.npy", meta('{"schema": 2, "temperature": NaN}')),
    "a schema that is true": ("meta.npy", meta('{"schema": true}')),
    "a schema that is a list": ("meta.npy", meta('{"schema": [2]}')),
    "a model that is a number": ("meta.npy", meta('{"schema": 2, "model": 7}')),
    "a fingerprint that is a number": ("meta.npy", meta('{"schema": 2, "fingerprint": 7}')),
    "a fingerprint that is a list": ("meta.npy", meta('{"schema": 2, "fingerprint": ["weights"]}')),
    "dropping that is a text": ("meta.npy", meta('{"schema": 2, "router_may_drop": "no"}')),
    "letters for meta": ("meta.npy", of(["a"])),
    "categories without a name": ("categories.offsets.npy", of([0, 0, 2, 3, 4, 5, 6])),
    "an id that is blank": ("prompt_ids.utf8.npy", of(np.frombuffer(b"p0p1p2  p4p5", np.uint8))),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_sentence_that_names_the_file(path: Path, case: str) -> None:
    replaced(path, *DAMAGE[case])
    with pytest.raises(SignaturesError, match=r"s\.npz") as caught:
        Signatures.load(path)
    assert "\n" not in str(caught.value)


def test_counts_whose_sum_wraps_round_to_the_right_one_are_refused(path: Path) -> None:
    counts = Signatures.load(path).counts.astype(np.uint64)
    first, second = np.flatnonzero(counts[3, 1, 2])[:2]
    counts[3, 1, 2, first] += np.uint64(2**63)
    counts[3, 1, 2, second] += np.uint64(2**63)
    assert counts[3, 1, 2].sum() == Signatures.load(path).counts[3, 1, 2].sum()
    replaced(path, "counts.npy", of(counts))
    with pytest.raises(
        SignaturesError, match=r"prompt 'p3', generated tokens, layer 4: 922337203685477\d{4} selections"
    ):
        Signatures.load(path)


def test_an_encrypted_member_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(SignaturesError, match="encrypted"):
        Signatures.load(path)


def test_a_member_that_is_there_twice_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("counts.npy", members(path)["counts.npy"])
    with pytest.raises(SignaturesError, match="it holds counts twice"):
        Signatures.open(path)


@pytest.mark.parametrize("lost", ["texts.utf8.npy", "texts.offsets.npy"])
def test_half_of_a_column_is_not_passed_over(path: Path, lost: str) -> None:
    held = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            if name != lost:
                archive.writestr(name, content)
    with pytest.raises(SignaturesError, match=rf"not a whole file of signatures: {lost.removesuffix('.npy')} missing"):
        Signatures.open(path)


def test_a_pointer_of_git_lfs_is_named(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(SignaturesError, match="is a git-lfs pointer"):
        Signatures.open(path)


def test_a_member_that_nobody_knows_is_never_unpacked(path: Path) -> None:
    """Its checksum is wrong: whoever reads it meets an error."""
    whole = Signatures.load(path)
    fingerprint, texts = whole.fingerprint, tuple(whole.prompts.texts or ())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("foreign.npy", of(np.zeros(1000)))
        archive.writestr("foreign.utf8.npy", b"no array")
        archive.writestr("notes.txt", "of somebody")
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", zipfile.ZipFile(path).getinfo("foreign.npy").CRC), b"\0\0\0\0"))
    read = Signatures.load(path)
    np.testing.assert_array_equal(read.counts, whole.counts)
    assert (read.prompts.ids, read.prompts.texts, read.fingerprint) == (whole.prompts.ids, texts, fingerprint)


def test_a_member_that_unpacks_to_fill_memory_is_refused_before_it_does(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moexray.stored_members._MOST_UNPACKED", 2**20)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outputs.utf8.npy", of(np.zeros(2**22, np.uint8)))
        archive.writestr("outputs.offsets.npy", of([0, 0, 0, 0, 0, 0, 2**22]))
    with pytest.raises(SignaturesError, match=r"outputs\.utf8 unpacks to [0-9,]+ bytes"):
        Signatures.open(path)


def test_a_text_whose_bytes_were_changed_is_refused_though_others_were_asked_for(path: Path) -> None:
    """Without compression a changed letter is still a text: the checksum alone tells."""
    held = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"text 5", b"test 5"))
    with pytest.raises(SignaturesError, match=r"s\.npz is damaged .*CRC"):
        Signatures.open(path).take([1])


TraceChange = Callable[[Path], None]


def two_columns_of_one_name(path: Path) -> None:
    table = parquet.read_table(path)
    parquet.write_table(table.append_column("layer", table.column("layer")), path)


def without_lists(path: Path) -> None:
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(6, "experts", pa.array([1] * len(table))), path)


def damaged_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100 : len(content) - 4000] = bytes(len(content) - 4100)
    path.write_bytes(content)


def no_text(path: Path) -> None:
    table = parquet.read_table(path)
    phases = pa.array([b"\xff\xfe"] * len(table)).view(pa.string())
    parquet.write_table(table.set_column(table.column_names.index("phase"), "phase", phases), path)


def numbered_phases(path: Path) -> None:
    table = parquet.read_table(path)
    column = pa.array([0] * len(table))
    parquet.write_table(table.set_column(table.column_names.index("phase"), "phase", column), path)


def one_expert_twice(path: Path) -> None:
    columns = parquet.read_table(path).to_pydict()
    columns["experts"][0] = [columns["experts"][0][0]] * 2
    parquet.write_table(pa.table(columns), path)


def a_token_below_zero(path: Path) -> None:
    columns = parquet.read_table(path).to_pydict()
    columns["token_id"] = [-5] * len(columns["token_id"])
    parquet.write_table(pa.table(columns), path)


def with_gate_weights(path: Path, change: Callable[[list[Any]], Any] = lambda _: None) -> None:
    columns = parquet.read_table(path).to_pydict()
    columns["gate_weights"] = [[0.5] * len(selected) for selected in columns["experts"]]
    columns["gate_weights"] = change(columns["gate_weights"]) or columns["gate_weights"]
    parquet.write_table(pa.table(columns), path)


def texts_for_gate_weights(path: Path) -> None:
    with_gate_weights(path, lambda weights: ["0.5"] * len(weights))


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


DAMAGED_TRACES: tuple[TraceChange, ...] = (
    *(
        two_columns_of_one_name,
        without_lists,
        damaged_pages,
        no_text,
        numbered_phases,
        one_expert_twice,
        a_token_below_zero,
        texts_for_gate_weights,
        pointer,
    ),
)


@pytest.mark.parametrize("change", DAMAGED_TRACES, ids=lambda change: change.__name__)
def test_a_damaged_trace_is_one_sentence_that_names_the_file(tmp_path: Path, change: TraceChange) -> None:
    path = tmp_path / "t.parquet"
    signatures = made.trace(path)
    change(path)
    with pytest.raises(TraceError, match=r"t\.parquet") as caught:
        list(Trace.open(path, signatures).blocks())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0.5, float("nan")], "a gate weight is nan"),
        ([float("inf"), 0.5], "a gate weight is inf"),
        ([0.5, -0.25], r"a gate weight is -0\.25, and one is a number of at least 0"),
        ([0.5, None], "a gate weight is nan"),
        ([0.5], "1 gate weights stand beside 2 experts"),
        (None, "0 gate weights stand beside 2 experts"),
    ],
)
def test_gate_weights_that_are_none_are_refused_where_they_are_read(tmp_path: Path, row: Any, said: str) -> None:
    path = tmp_path / "t.parquet"
    trace = Trace.open(path, made.trace(path))
    with_gate_weights(path)
    assert set(map(tuple, trace.to_pandas()["gate_weights"])) == {(0.5, 0.5)}
    with_gate_weights(path, lambda weights: weights.__setitem__(500, row))
    with pytest.raises(TraceError, match=rf"t\.parquet row 501: {said}"):
        trace.to_pandas()


def test_a_data_frame_of_a_trace_is_checked_as_its_blocks_are(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    trace = Trace.open(path, made.trace(path))
    one_expert_twice(path)
    with pytest.raises(TraceError, match="one expert twice"):
        trace.to_pandas()


def test_a_trace_with_many_names_that_no_row_has_takes_no_memory_for_their_pairs(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    signatures = made.trace(path)
    table = parquet.read_table(path)
    many = [f"name {i}" for i in range(100_000)]
    for name in ("phase", "kind"):
        held = table.column("phase").to_pylist() if name == "phase" else ["text"] * len(table)
        names = list(dict.fromkeys(held)) + many
        column = pa.DictionaryArray.from_arrays(pa.array([names.index(one) for one in held], pa.int32()), names)
        place = table.column_names.index(name) if name in table.column_names else len(table.column_names)
        table = table.set_column(place, name, column) if name == "phase" else table.append_column(name, column)
    parquet.write_table(table, path)
    assert sum(map(len, Trace.open(path, signatures).blocks())) == signatures.tokens.sum()
