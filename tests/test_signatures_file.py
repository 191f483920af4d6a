"""signatures.npz: the same content gives the same bytes, and a damaged file is one clear error."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moexray.errors import SignaturesError
from moexray.segments import Segment
from moexray.signatures import Signatures

from . import made

EARLIER_SCHEMAS = sorted((Path(__file__).parent / "data").glob("signatures-schema-*.npz"))


def signatures(prompts: int = 3, texts: tuple[str, ...] | None = None) -> Signatures:
    tokens = np.arange(1, 2 * prompts + 1, dtype=np.int32).reshape(prompts, 2)
    counts = np.zeros((prompts, 2, 2, 4), dtype=np.uint32)
    counts[..., :2] = tokens[:, :, None, None]
    return made.signatures(
        counts=counts,
        tokens=tokens,
        categories=("code", "märchen", "数学"),
        texts=texts,
        meta={"seed": None, "nested": {"list": [1, 2.5, True]}},
    )


def assert_equal(first: Signatures, second: Signatures) -> None:
    for name in ("counts", "mass", "tokens", "layers", "top_k", "experts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.segments, first.meta) == (second.segments, second.meta)
    ours, theirs = first.prompts.all_columns(), second.prompts.all_columns()
    assert {name: tuple(column) for name, column in ours.items()} == {n: tuple(c) for n, c in theirs.items()}


@given(texts=st.tuples(st.text(), st.text(), st.text()))
def test_every_text_comes_back_as_it_was(texts: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also those that numpy's own strings would change: trailing NULs, the empty text, one very long among short."""
    path = tmp_path_factory.mktemp("texts") / "s.npz"
    whole = signatures(texts=(texts[0] + "\0", texts[1], texts[2] * 50))
    whole.save(path)
    assert_equal(Signatures.load(path), whole)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    signatures().save(tmp_path / "first.npz")
    Signatures.load(tmp_path / "first.npz").save(tmp_path / "second.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()


def test_counts_take_the_smallest_type_that_holds_them(tmp_path: Path) -> None:
    signatures().save(tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["counts"].dtype == np.uint8


def test_a_long_prompt_costs_its_own_length_only(tmp_path: Path) -> None:
    texts = ("long " * 100_000, "short", "short")
    signatures(texts=texts).save(tmp_path / "s.npz")
    assert len(np.load(tmp_path / "s.npz")["texts.utf8"]) == sum(len(text) for text in texts)


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.npz"
    signatures().save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moexray.signatures_file.npy_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        signatures(2).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    signatures().save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(SignaturesError, match=r"s\.npz"):
            Signatures.load(path)


def test_a_file_with_any_byte_changed_is_refused_or_reads_the_same(tmp_path: Path) -> None:
    """Every member carries a checksum; only what zip does not check, such as dates, may change unseen."""
    path = tmp_path / "s.npz"
    whole = signatures()
    whole.save(path)
    content = path.read_bytes()
    for place in range(0, len(content), 61):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read = Signatures.load(path)
        except SignaturesError:
            continue
        assert_equal(read, whole)


def rewrite(path: Path, **changes: np.ndarray | None) -> None:
    """Replace, add or (with None) remove arrays of a file."""
    with np.load(path) as opened:
        arrays = {name: opened[name] for name in opened.files}
    arrays |= {name.replace("_utf8", ".utf8").replace("_offsets", ".offsets"): a for name, a in changes.items()}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def meta(**values: object) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), dtype=np.uint8)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"counts": None}, "counts missing"),
        ({"categories_utf8": None}, "categories.utf8 missing"),
        ({"categories_offsets": None}, "categories.offsets missing"),
        ({"categories_offsets": np.array([0, 99])}, "offsets of categories"),
        ({"categories_utf8": np.full(18, 255, dtype=np.uint8)}, "not UTF-8"),
        ({"meta": None}, "no readable meta"),
        ({"meta": meta(model="m")}, "no readable meta"),
        ({"meta": meta(schema=3)}, "update moexray"),
        ({"tokens": np.zeros((3, 2), dtype=np.int32)}, "selections"),
        ({"tokens": np.array("x")}, "tokens"),
        ({"tokens": np.zeros((3, 2), dtype=[("field", "i4")])}, "tokens must be whole numbers"),
        ({"layers": np.array(3)}, "layers of shape"),
        ({"counts": np.array(3.0)}, "counts must be unsigned"),
    ],
)
def test_arrays_that_disagree_are_refused_with_the_files_name(
    tmp_path: Path, changes: dict[str, np.ndarray | None], problem: str
) -> None:
    path = tmp_path / "s.npz"
    signatures().save(path)
    rewrite(path, **changes)
    with pytest.raises(SignaturesError, match=problem) as caught:
        Signatures.load(path)
    assert "s.npz" in str(caught.value)


def test_a_pickle_in_a_file_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, counts=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(SignaturesError):
        Signatures.load(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.npz"
    path.write_bytes(content)
    with pytest.raises(SignaturesError):
        Signatures.load(path)


def test_a_zip_and_a_single_array_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not arrays")
    with pytest.raises(SignaturesError):
        Signatures.load(path)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(SignaturesError, match="single array"):
        Signatures.load(path)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SignaturesError, match="`moexray capture` makes it"):
        Signatures.load(tmp_path / "s.npz")


@pytest.mark.parametrize("path", EARLIER_SCHEMAS, ids=lambda path: path.stem)
def test_a_file_of_every_schema_ever_released_is_still_read(path: Path) -> None:
    read = Signatures.load(path)
    assert read.prompts.ids == ("p0", "p1", "p2")
    assert read.prompts.texts == ("first text", "zweiter Text\0", "第三")
    assert read.loads("generated").sum(axis=2).tolist() == [[4, 4], [8, 8], [12, 12]]


@pytest.mark.parametrize("path", EARLIER_SCHEMAS, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_schema_keeps_its_fingerprint_when_it_is_written_again(path: Path, tmp_path: Path) -> None:
    Signatures.open(path).save(tmp_path / "today.npz")
    assert Signatures.open(tmp_path / "today.npz").fingerprint == Signatures.open(path).fingerprint


def test_there_is_a_file_of_each_schema() -> None:
    assert [path.stem for path in EARLIER_SCHEMAS] == ["signatures-schema-1"]


def test_every_column_segment_and_number_of_experts_comes_back(tmp_path: Path) -> None:
    """What schema 2 adds: further columns, segments, and layers that differ in their number of experts."""
    counts = np.zeros((2, 3, 2, 4), dtype=np.uint8)
    counts[:, :, 0, :2] = 3
    counts[:, :, 1, 3] = 3
    whole = made.signatures(
        counts=counts,
        tokens=np.full((2, 3), 3),
        layers=(0, 5),
        top_k=(2, 1),
        experts=(2, 4),
        segments=(Segment("prompt"), Segment("prompt", "image"), Segment("generated")),
        columns={"difficulty": ("easy", ""), "größe": ("1", "2\0")},
    )
    whole.save(tmp_path / "s.npz")
    assert_equal(Signatures.load(tmp_path / "s.npz"), whole)
    assert whole.loads("image").sum() == 2 * 3 * 3


def test_a_selection_of_an_expert_that_a_layer_does_not_have_is_refused() -> None:
    whole = signatures()
    last = whole.shape[3] - 1
    moved = whole.counts[..., [*range(1, last + 1), 0]]
    assert moved[:, :, 1, last].any()
    with pytest.raises(SignaturesError, match=f"layer 1 has {last} experts, but selections of one beyond them"):
        whole.replace(counts=moved, experts=np.array([last + 1, last], dtype=np.int16))
