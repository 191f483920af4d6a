"""A journal is whole, survives the death of its process, and belongs to one capture at a time."""

import os
from pathlib import Path

import numpy as np
import pytest

from moexray.errors import CaptureError, MoexrayError
from moexray.recording.counting import Totals
from moexray.recording.journal import journal_of
from moexray.routing import RoutedSequence
from moexray.segments import PLAIN

COUNTS = np.arange(6, dtype=np.uint16).reshape(1, 2, 3)


def totals(number: int, counts: np.ndarray = COUNTS) -> Totals:
    return Totals(counts=counts, tokens=np.array([number, 0], dtype=np.int32), output="ä")


def sequence(number: int, *, weights: bool = False) -> RoutedSequence:
    experts = np.array([[[2, -1]], [[0, 1]]], dtype=np.int16)
    return RoutedSequence(
        token_ids=np.array([number, 7], dtype=np.int32),
        segments=np.array([0, 1], dtype=np.int8),
        experts=experts,
        output="ö",
        gate_weights=np.full(experts.shape, 0.5, dtype=np.float16) if weights else None,
    )


def open_and_close(output: Path) -> None:
    with journal_of(output):
        pass


def finish_where_there_is_no_space(output: Path) -> None:
    with journal_of(output) as journal:
        journal._database.execute("PRAGMA max_page_count = 1")  # SQLite's own way to be out of space
        noise = np.random.default_rng(0).integers(2**32, size=(1, 100, 1000), dtype=np.uint32)
        journal.keep(2, {1: totals(1, noise)}, {})


def test_what_was_kept_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        assert journal.is_new
        journal.begin({"inputs": {"model": "m"}}, [[2, 0], [1]])
        journal.keep(1, {2: totals(2), 0: totals(0)}, {0: sequence(5), 2: sequence(6, weights=True)}, done=7)
    with journal_of(tmp_path / "out.npz") as journal:
        assert not journal.is_new
        assert (journal.fact("inputs"), journal.fact("done")) == ({"model": "m"}, 7)
        assert journal.pending() == (2, [1])
        kept = list(journal.totals())
        assert [one.tokens.tolist() for one in kept] == [[0, 0], [2, 0]]
        for one in kept:
            np.testing.assert_array_equal(one.counts, COUNTS)
            assert (one.counts.dtype, one.output, one.mass) == (np.uint16, "ä", None)


def test_sequences_come_back_as_they_were(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0, 1]])
        journal.keep(1, {0: totals(0), 1: totals(1)}, {1: sequence(6, weights=True), 0: sequence(5)})
        plain, weighted = journal.sequences(PLAIN)
    assert (plain.output, plain.segment_names, plain.gate_weights, plain.scores) == ("ö", PLAIN, None, None)
    for found, made in ((plain, sequence(5)), (weighted, sequence(6, weights=True))):
        for name in ("token_ids", "segments", "experts", "gate_weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(made, name))


def test_a_batch_of_which_some_prompts_are_kept_is_left_with_the_others(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[3, 0, 1], [2]])
        journal.keep(1, {0: totals(0)}, {})
        assert journal.all_pending() == [[3, 1], [2]]
        journal.keep(1, {3: totals(3), 1: totals(1)}, {})
        assert journal.pending() == (2, [2])


def test_totals_come_in_the_order_of_the_prompts_whatever_order_they_were_done_in(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[2, 0], [1]])
        journal.keep(1, {2: totals(2), 0: totals(0)}, {})
        journal.keep(2, {1: totals(1)}, {})
        assert [int(one.tokens[0]) for one in journal.totals()] == [0, 1, 2]
        assert journal.pending() is None


def test_other_batches_may_take_the_place_of_those_that_are_left(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0], [1, 2], [3]])
        journal.keep(1, {0: totals(0)}, {})
        journal.replace_pending([[1], [2], [3]])
        assert journal.all_pending() == [[1], [2], [3]]


def test_a_batch_enters_whole_or_not_at_all(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0, 1]])
        with pytest.raises(TypeError):
            journal.keep(1, {0: totals(0), 1: totals(1)}, {}, done=object())
        assert (list(journal.totals()), journal.pending()) == ([], (1, [0, 1]))


def test_two_captures_into_one_file_at_once_are_refused(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0]])
        with pytest.raises(CaptureError, match=r"another capture is writing .*out\.npz\.journal"):
            open_and_close(tmp_path / "out.npz")
        assert journal.pending() == (1, [0])


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    file, content = tmp_path / "out.npz.journal", b"no database, but a text that is longer than the header of one" * 40
    file.write_bytes(content)
    with pytest.raises(CaptureError, match="is not a journal of a capture"):
        open_and_close(tmp_path / "out.npz")
    assert file.read_bytes() == content


def test_a_full_disk_is_one_sentence_and_what_was_done_stays(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0], [1]])
        journal.keep(1, {0: totals(0)}, {})
    with pytest.raises(CaptureError, match="the disk is full"):
        finish_where_there_is_no_space(tmp_path / "out.npz")
    with journal_of(tmp_path / "out.npz") as journal:
        assert (len(list(journal.totals())), journal.pending()) == (1, (2, [1]))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="could not be"):
        open_and_close(tmp_path / "no" / "such" / "out.npz")


def test_a_pipe_in_the_place_of_a_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.npz.journal")
    with pytest.raises(MoexrayError, match=r"out\.npz\.journal is a pipe"):
        open_and_close(tmp_path / "out.npz")
    assert (tmp_path / "out.npz.journal").is_fifo()
