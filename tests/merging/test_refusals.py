"""What does not belong together is not merged: one sentence says what is wrong and where, and no file is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moexray.errors import MoexrayError, SignaturesError, TraceError
from moexray.generation import Generation
from moexray.merging import merge, merge_files
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.shards import KEY, Shard
from moexray.signatures import Signatures

from ..recording.made_engine import MadeEngine

RECORD = ("trace", "coselection", "weights")
PROMPTS = [Prompt("abcdefgh"[: 1 + i], "xy"[i % 2], f"p{i}") for i in range(5)]
SHARDS = 3


def recorded(out: Path, prompts: list[Prompt] = PROMPTS, **options: Any) -> None:
    settings = {"generation": Generation(2), "record": RECORD, **options}
    capture_with(MadeEngine(), prompts, out=out, **settings)


@pytest.fixture(scope="module")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three shards of a capture, two captures, and shards of other captures."""
    folder = tmp_path_factory.mktemp("pantry")
    for index in range(SHARDS):
        recorded(folder / "all.npz", shard=(index, SHARDS))
    recorded(folder / "all.npz", shard=(1, 4))
    recorded(folder / "other.npz", [*PROMPTS[:4], Prompt("zz", "x", "p4")], shard=(1, SHARDS))
    recorded(folder / "warm.npz", generation=Generation(2, temperature=1.0), shard=(1, SHARDS))
    recorded(folder / "plain.npz", record=("trace", "coselection"), shard=(1, SHARDS))
    recorded(folder / "one.npz", PROMPTS[:2])
    recorded(folder / "two.npz", PROMPTS[2:])
    return folder


@pytest.fixture
def kitchen(pantry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(pantry, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shard(index: int, number: int = SHARDS, name: str = "all") -> str:
    return f"{name}.shard-{index}-of-{number}.npz"


ALL = [shard(index) for index in range(SHARDS)]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([shard(0), shard(2)], r"shard 1 of 3 \(counted from 0\) is missing: `moexray capture --shard 1/3` writes"),
        (
            [shard(1)],
            r"shards 0, 2 of 3 \(counted from 0\) are missing: `moexray capture --shard 0/3` writes the first",
        ),
        ([*ALL, shard(1)], r"all.shard-1-of-3.npz and all.shard-1-of-3.npz are both shard 1 of 3: leave out all but"),
        ([shard(0), shard(1, 4), shard(2)], r"1-of-4.npz is shard 1 of 4 .*, and all.shard-0-of-3.npz one of 3: merge"),
        (
            [shard(0), shard(1, name="other"), shard(2)],
            r"other.shard-1-of-3.npz is a shard of other prompts than all\.s",
        ),
        (
            [shard(0), shard(1, name="warm"), shard(2)],
            r"differ in do_sample: False and True \(all.*npz and warm.*npz\)",
        ),
        (
            [shard(0), shard(1, name="plain"), shard(2)],
            r"0-of-3.npz has gate mass and plain.* has none: .* same `record`",
        ),
        (
            ["one.npz", *ALL],
            r"all.shard-0-of-3.npz is shard 0 of 3 .*, and one.npz is none: merge all shards of a captu",
        ),
        (["one.npz", "one.npz"], r"two prompts have the id 'p0'"),
        (["one.npz", "nowhere.npz"], r"nowhere.npz does not exist"),
        ([], "nothing to merge"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(kitchen: Path, files: list[str], told: str) -> None:
    before = contents(kitchen)
    with pytest.raises(SignaturesError, match=told):
        merge_files(files, "merged.npz")
    assert contents(kitchen) == before


def test_shards_in_memory_are_refused_alike(kitchen: Path) -> None:
    opened = [Signatures.open(file) for file in ALL]
    with pytest.raises(SignaturesError, match=r"shard 2 of 3 .* is missing"):
        merge(opened[:2])
    with pytest.raises(SignaturesError, match=r"part 1 is shard 0 of 3 .*, which has 2 prompts, and holds 1:"):
        merge([opened[0].take([0]), *opened[1:]])


def test_of_many_missing_shards_only_some_are_named(kitchen: Path) -> None:
    """Also where a file says that there are so many that nobody could count them."""
    opened = Signatures.open(shard(1))
    meta = {**opened.meta, KEY: {**opened.meta[KEY], "number": 10**12}}
    with pytest.raises(SignaturesError, match=r"shards 0, 2-40 and 999,999,999,959 more of 1000000000000 "):
        merge([opened.replace(meta=meta)])


def test_a_merge_never_replaces_what_it_reads(kitchen: Path) -> None:
    before = contents(kitchen)
    with pytest.raises(
        SignaturesError, match=r"one\.npz is written, and one\.npz is read: name another file with `out`"
    ):
        merge_files(["one.npz", "two.npz"], "one.npz")
    Path("link.npz").symlink_to("two.npz")
    with pytest.raises(SignaturesError, match=r"link\.npz is written, and two\.npz is read"):
        merge_files(["one.npz", "two.npz"], "link.npz")
    Path("link.npz").unlink()
    shutil.copy("one.npz", "odd.v1")  # its trace has the name that the trace of odd.v1.npz would have
    shutil.copy("one.trace.parquet", "odd.v1.trace.parquet")
    with pytest.raises(
        SignaturesError, match=r"odd\.v1\.trace\.parquet is written, and odd\.v1\.trace\.parquet is read"
    ):
        merge_files(["odd.v1", "two.npz"], "odd.v1.npz")
    for name in ("odd.v1", "odd.v1.trace.parquet"):
        Path(name).unlink()
    assert contents(kitchen) == before


def trace_of(name: str) -> Path:
    return Path(name.removesuffix(".npz") + ".trace.parquet")


def other_selections() -> None:
    """Let the first token of a trace go to other experts than its signatures count."""
    table = pq.read_table(trace_of("two.npz"))
    rows = table.column("experts").to_pylist()
    rows[0] = [one for one in range(5) if one not in rows[0]][:2]
    place = table.schema.get_field_index("experts")
    changed = table.set_column(place, table.schema.field("experts"), pa.array(rows, pa.list_(pa.int16())))
    pq.write_table(changed, trace_of("two.npz"))


def other_order() -> None:
    table = pq.read_table(trace_of("two.npz"))
    names = table.column("prompt").to_pylist()
    pq.write_table(table.take(sorted(range(len(names)), key=lambda row: -int(names[row][1:]))), trace_of("two.npz"))


def other_texts() -> None:
    table = pq.read_table(trace_of("two.npz"))
    place = table.schema.get_field_index("token")
    texts = [f"<{text}>" for text in table.column("token").to_pylist()]
    pq.write_table(table.set_column(place, "token", [texts]), trace_of("two.npz"))


def other_pairs(**changes: Any) -> None:
    with np.load("two.coselection.npz") as file:
        np.savez("two.coselection.npz", **{**file, **changes})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda: shutil.copy(trace_of("one.npz"), trace_of("two.npz")),
            r"two.trace.parquet holds prompt 'p0', which th",
        ),
        (other_selections, r"two.trace.parquet: the selections of prompt 'p2' do not add up to its signature"),
        (other_order, r"two.trace.parquet is in another order than its signatures: prompt 'p4' stands where 'p2' belo"),
        (other_texts, r"token 97 is 'a' in one.trace.parquet and '<a>' in two.trace.parquet: .* of two tokenizers"),
        (lambda: trace_of("two.npz").write_bytes(b"PAR1"), r"two.trace.parquet is not a Parquet file"),
        (
            lambda: shutil.copy("one.coselection.npz", "two.coselection.npz"),
            r"two.coselection.npz: expert . of layer 0",
        ),
        (lambda: Path("two.coselection.npz").write_bytes(b"no"), r"two.coselection.npz is damaged"),
        (
            lambda: other_pairs(pairs=np.zeros((2, 2, 9, 9), np.uint64)),
            r"holds pairs uint64 \(2, 2, 9, 9\), its signat",
        ),
        (lambda: other_pairs(layers=np.array([0, 9], np.int16)), r"two.coselection.npz is of other layers than its si"),
        (
            lambda: np.savez("two.coselection.npz", other=np.zeros(3)),
            r"two.coselection.npz has no pairs: `moexray capt",
        ),
    ],
)
def test_what_is_not_of_the_signatures_beside_it_is_refused(
    kitchen: Path, change: Callable[[], object], told: str
) -> None:
    change()
    before = contents(kitchen)
    with pytest.raises((SignaturesError, TraceError), match=told):
        merge_files(["one.npz", "two.npz"], "merged.npz")
    assert contents(kitchen) == before


def test_traces_of_shards_must_have_the_same_columns(kitchen: Path) -> None:
    table = pq.read_table(trace_of(shard(1)))
    pq.write_table(table.drop_columns(["gate_weights"]), trace_of(shard(1)))
    with pytest.raises(
        TraceError, match=r"0-of-3.trace.parquet has gate weights and .*1-of-3.trace.parquet has none: ca"
    ):
        merge_files(ALL, "merged.npz")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"texts": None}, r"0-of-3.npz has the column 'texts' and .*1-of-3.npz has none: merge shards as they were"),
        ({"columns": {"source": ("a", "b")}}, r"1-of-3.npz has the column 'source' and .*0-of-3.npz has none"),
    ],
)
def test_shards_must_have_the_same_columns(kitchen: Path, change: dict[str, Any], told: str) -> None:
    """Otherwise the texts of all prompts would be gone without a word."""
    Signatures.load(shard(1)).replace(**change).save(shard(1))
    with pytest.raises(SignaturesError, match=told):
        merge_files(ALL, "merged.npz")


def test_what_stands_beside_the_output_and_is_not_merged_is_refused(kitchen: Path) -> None:
    """Beside the merged signatures it would be taken for their trace."""
    trace_of("two.npz").unlink()
    shutil.copy(trace_of("one.npz"), "merged.trace.parquet")
    with pytest.raises(
        SignaturesError, match=r"merged.trace.parquet is there and not of the merged signatures: delete"
    ):
        merge_files(["one.npz", "two.npz"], "merged.npz")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({KEY: "3/8"}, r"1-of-3.npz: meta says that this is a shard, but not which of what"),
        ({"created": 3}, r"1-of-3.npz: meta says that it was created at 3, which is no time"),
        ({"seen": [1]}, r"1-of-3.npz: meta says that seen is \[1\], not a list of texts"),
    ],
)
def test_a_meta_that_no_capture_writes_is_refused(kitchen: Path, change: dict[str, Any], told: str) -> None:
    opened = Signatures.load(shard(1))
    of_shard = {**opened.meta[KEY], "observed": ["seen"]}
    opened.replace(meta={**opened.meta, KEY: of_shard, **change}).save(shard(1))
    with pytest.raises(SignaturesError, match=told):
        merge_files(ALL, "merged.npz")


def test_a_name_of_what_was_observed_makes_nothing_up(kitchen: Path) -> None:
    """A fingerprint of no model, say, which no file of signatures may hold."""
    opened = Signatures.load(shard(1))
    opened.replace(meta={**opened.meta, KEY: {**opened.meta[KEY], "observed": ["fingerprint"]}}).save(shard(1))
    merge_files(ALL, "merged.npz")
    assert "fingerprint" not in Signatures.open("merged.npz").meta


def test_a_damaged_part_leaves_no_file(kitchen: Path) -> None:
    content = bytearray(Path("two.npz").read_bytes())
    content[90] ^= 255  # in the compressed counts
    Path("two.npz").write_bytes(content)
    for file in (*Path().glob("*.trace.parquet"), *Path().glob("*.coselection.npz")):
        file.unlink()
    before = contents(kitchen)
    with pytest.raises(MoexrayError, match=r"two\.npz"):
        merge_files(["one.npz", "two.npz"], "merged.npz")
    assert contents(kitchen) == before


def test_the_name_of_a_shard_says_which(kitchen: Path) -> None:
    assert [Shard(index, SHARDS).file(Path("all.npz")).name for index in range(SHARDS)] == ALL
