"""A file that is read in blocks holds what it holds when read whole, and more prompts than fit memory are analyzed."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moexray import counts as counts_module
from moexray.errors import SignaturesError
from moexray.prompt_table import PromptTable
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.sections.layers import layer_by_layer

from . import made

FEW = Limits(in_memory=40, sample=30)


def signatures(prompts: int = 60, seed: int = 0, *, grouped: bool = True) -> Signatures:
    """Three layers of six experts, k = 2; categories prefer experts of their own, and one prompt generated none."""
    tokens = np.random.default_rng(seed).integers(3, 12, size=(prompts, 2))
    tokens[prompts // 2, 1] = 0
    return made.signatures(
        prompts,
        layers=(0, 1, 2),
        experts=6,
        categories="abc",
        tokens=tokens,
        seed=seed,
        texts=[f"prompt {i} größe " + "x" * (i % 5) for i in range(prompts)],
        groups=[f"g{i // 2}" if i < 6 else "" for i in range(prompts)] if grouped else None,
    )


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_module, "_BLOCK_NUMBERS", 7 * 18)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    signatures().save(tmp_path / "s.npz")
    return tmp_path / "s.npz"


@pytest.fixture
def stored(path: Path, small_blocks: None) -> Signatures:
    return Signatures.open(path)


def test_blocks_hold_every_prompt_once_and_in_order(stored: Signatures) -> None:
    blocks = list(stored.blocks())
    assert [len(block) for block in blocks] == [7] * 8 + [4]
    np.testing.assert_array_equal(np.concatenate([block.counts for block in blocks]), signatures().counts)
    prompts = PromptTable.concat([block.prompts for block in blocks])
    assert (prompts.ids, prompts.groups) == (signatures().prompts.ids, signatures().prompts.groups)


def test_blocks_in_memory_are_those_of_the_file(stored: Signatures) -> None:
    for ours, theirs in zip(signatures().blocks(), stored.blocks(), strict=True):
        np.testing.assert_array_equal(ours.counts, theirs.counts)
        assert (ours.prompts.categories, ours.prompts.groups) == (theirs.prompts.categories, theirs.prompts.groups)


def test_prompts_that_are_taken_bring_their_texts(stored: Signatures) -> None:
    ours, theirs = stored.take([3, 8, 59]), signatures().take([3, 8, 59])
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    assert (ours.prompts.texts, ours.prompts.ids) == (theirs.prompts.texts, theirs.prompts.ids)


@pytest.mark.parametrize("rows", [[-1, 3], [False, True] * 30, [59, 0, 7], range(5, 50, 9)])
def test_rows_of_a_file_are_named_as_those_in_memory(stored: Signatures, rows: Sequence[int]) -> None:
    """As NumPy names them: negative ones count from the end, and a mask chooses."""
    found = stored.take(rows)
    np.testing.assert_array_equal(found.counts, signatures().counts[np.asarray(rows)])
    assert found.prompts == signatures().take(rows).prompts
    assert found.prompts.ids == tuple(np.array(signatures().prompts.ids)[np.asarray(rows)])


@pytest.mark.parametrize("rows", [[60], [-61], [1.5]])
def test_rows_that_are_not_there_are_refused(stored: Signatures, rows: Sequence[int]) -> None:
    for either in (stored, signatures()):
        with pytest.raises(IndexError):
            either.take(rows)


def test_counts_in_columns_are_the_same_file(tmp_path: Path) -> None:
    s = signatures()
    s.replace(counts=np.asfortranarray(s.counts)).save(tmp_path / "columns.npz")
    s.save(tmp_path / "rows.npz")
    assert (tmp_path / "columns.npz").read_bytes() == (tmp_path / "rows.npz").read_bytes()


def rewritten(path: Path, **changed: np.ndarray) -> Path:
    with np.load(path) as file:
        arrays = {**file, **changed}
    np.savez_compressed(path, **arrays)
    return path


def test_a_file_written_by_others_in_columns_is_read(tmp_path: Path, small_blocks: None) -> None:
    signatures().save(tmp_path / "s.npz")
    path = rewritten(tmp_path / "s.npz", counts=np.asfortranarray(signatures().counts))
    blocks = Signatures.open(path).blocks()
    np.testing.assert_array_equal(np.concatenate([block.counts for block in blocks]), signatures().counts)


@pytest.mark.usefixtures("small_blocks")
def test_a_block_whose_counts_do_not_add_up_is_refused(path: Path) -> None:
    counts = signatures().counts.copy()
    counts[40, 0, 0, 0] += 1
    stored = Signatures.open(rewritten(path, counts=counts))
    with pytest.raises(SignaturesError, match=r"s\.npz: prompt 'p40', prompt tokens, layer 0"):
        list(stored.blocks())


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        ("counts", np.zeros((3, 2, 3, 6), np.uint8), "counts of shape (3, 2, 3, 6) do not fit 60 prompts"),
        (
            "counts",
            np.zeros(60, np.uint8),
            "counts must be unsigned (prompts, segments, layers, experts), not",
        ),
        ("tokens", np.zeros((5, 2), np.int32), "tokens of shape (5, 2) do not fit 60 prompts"),
        ("texts.offsets", np.zeros(3, np.int64), "the offsets of texts do not fit"),
    ],
)
def test_parts_of_unequal_length_are_refused(tmp_path: Path, name: str, array: np.ndarray, problem: str) -> None:
    signatures().save(tmp_path / "s.npz")
    with pytest.raises(SignaturesError, match=re.escape(problem)):
        Signatures.open(rewritten(tmp_path / "s.npz", **{name: array}))


def test_an_id_that_occurs_twice_is_refused_though_no_block_holds_both(path: Path) -> None:
    utf8 = np.frombuffer("".join(["p59", *signatures().prompts.ids[1:]]).encode(), np.uint8)
    offsets = np.cumsum([0, 3, *map(len, signatures().prompts.ids[1:])])
    rewritten(path, **{"prompt_ids.utf8": utf8, "prompt_ids.offsets": offsets})
    with pytest.raises(SignaturesError, match="two prompts have the id 'p59'"):
        Signatures.open(path)


def test_a_truncated_file_is_refused_in_one_sentence(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SignaturesError, match="damaged"):
        Signatures.open(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("counts.npy", b"not an array")
    with pytest.raises(SignaturesError):
        Signatures.open(path)


def test_a_file_that_was_replaced_after_it_was_opened_is_refused_not_mixed(path: Path) -> None:
    stored = Signatures.open(path)
    signatures(seed=1).save(path)
    with pytest.raises(SignaturesError, match="was changed after it was opened"):
        stored.counts  # noqa: B018
    with pytest.raises(SignaturesError, match="was changed after it was opened"):
        list(stored.blocks())


def test_signatures_of_a_file_and_those_in_memory_have_one_fingerprint(path: Path) -> None:
    stored = Signatures.open(path)
    assert stored.fingerprint == signatures().fingerprint
    stored.counts  # noqa: B018  # reading changes nothing
    assert Signatures.open(path).fingerprint == stored.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"meta": {"model": "another"}},
        {"categories": ("abc" * 20)[::-1]},
        {"texts": ("other",) * 60},
        {"mass": signatures().counts.astype(np.float32)},
        {"layers": np.array([0, 1, 3], dtype=np.int16)},
    ],
)
def test_other_content_has_another_fingerprint(change: dict[str, object]) -> None:
    assert signatures().replace(**change).fingerprint != signatures().fingerprint


def test_so_many_prompts_that_a_sample_is_taken_are_all_counted(path: Path, small_blocks: None) -> None:
    """Similarity, layers and load are those of every prompt; the notes name what looked at a sample."""
    signatures(grouped=False).save(path)
    stored = Signatures.open(path)
    whole = analyze(stored, permutations=499).document
    document = analyze(stored, permutations=499, limits=FEW).document
    assert document["signatures"] == {**whole["signatures"], "sample": 30}
    assert document["load"] == whole["load"]
    for part in ("within", "across"):
        assert document["similarity"][part]["mean"] == pytest.approx(whole["similarity"][part]["mean"], abs=1e-9)
        assert document["similarity"][part]["ci"] == pytest.approx(whole["similarity"][part]["ci"], abs=1e-9)
    assert document["similarity"]["cohens_d_ci"] == pytest.approx(whole["similarity"]["cohens_d_ci"], rel=1e-9)
    assert document["permutation"]["observed"] == pytest.approx(whole["permutation"]["observed"])
    assert document["permutation"]["p_value"] == whole["permutation"]["p_value"] == 1 / 500
    for ours, theirs in zip(document["layers"], whole["layers"], strict=True):
        assert ours["cohens_d"] == pytest.approx(theirs["cohens_d"])
    assert abs(document["similarity"]["auc"] - whole["similarity"]["auc"]) < 0.01
    assert len(document["pca"]["coordinates"]) == len(document["pca"]["prompt_ids"]) == 30
    assert "30 of the 60 prompts" in document["notes"]["signatures.sample"]
    assert analyze(Signatures.load(path), permutations=499, limits=FEW).document == document


def test_of_a_phase_only_prompts_with_tokens_are_streamed(path: Path, small_blocks: None) -> None:
    signatures(grouped=False).save(path)
    stored = Signatures.open(path)
    whole = analyze(stored, tokens="generated", permutations=99).document
    document = analyze(stored, tokens="generated", permutations=99, limits=FEW).document
    assert document["signatures"]["prompts"] == 59
    assert document["similarity"]["cohens_d"] == pytest.approx(whole["similarity"]["cohens_d"])
    assert document["notes"]["signatures.prompts"] == whole["notes"]["signatures.prompts"]


def test_a_prompt_all_of_whose_tokens_a_layer_dropped_is_left_out_of_that_layer_and_named(
    tmp_path: Path, small_blocks: None
) -> None:
    """In memory and streamed; whole signatures are of all prompts."""
    made_up = signatures(grouped=False)
    counts = made_up.counts.copy()
    counts[[2, 50], :, 1] = 0
    made_up.replace(counts=counts, meta={"router_may_drop": True}).save(tmp_path / "s.npz")
    stored = Signatures.open(tmp_path / "s.npz")
    whole = Cohort.of(stored, permutations=99)
    streamed = Cohort.of(stored, permutations=99, limits=FEW)
    expected = Cohort.of(made_up.take(np.delete(np.arange(60), [2, 50]))).layer_effects[1]
    for cohort in (whole, streamed):
        notes = Notes()
        found, layer = cohort.layer_effects[1], layer_by_layer(cohort, notes)[1]
        assert (found.within, found.across, found.cohens_d) == pytest.approx(
            (expected.within, expected.across, expected.cohens_d)
        )
        assert layer.cohens_d_ci == pytest.approx(expected.cohens_d_ci)
        assert layer.p_value == 0.01
        assert cohort.similarity.within.pairs == 3 * 20 * 19 // 2
        assert notes.found["prompts"] == (
            "the router dropped every token of 2 prompts in layer 1: they are left out of that layer's similarity"
        )
