"""What is in the journal is whole, is there after the process has died, and is nobody else's."""

from pathlib import Path

import numpy as np
import pytest

from moexray.errors import CaptureError
from moexray.recording.journal import journal_of

ROW = {"counts": np.arange(6, dtype=np.uint16).reshape(2, 3), "output": np.frombuffer("ä".encode(), dtype=np.uint8)}


def numbered(number: int) -> dict[str, np.ndarray]:
    return {"n": np.array([number])}


def open_and_close(output: Path) -> None:
    with journal_of(output):
        pass


def finish_where_there_is_no_space(output: Path) -> None:
    with journal_of(output) as journal:
        journal._database.execute("PRAGMA max_page_count = 1")  # SQLite's own way to be out of space
        journal.finish(2, {1: {"noise": np.random.default_rng(0).random(100_000)}}, {})


def test_what_was_kept_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        assert journal.is_new
        journal.begin({"inputs": {"model": "m"}}, [[2, 0], [1]])
        journal.finish(1, {2: ROW, 0: ROW}, {0: numbered(5), 2: numbered(6)}, done=7)
    with journal_of(tmp_path / "out.npz") as journal:
        assert not journal.is_new
        assert (journal.fact("inputs"), journal.fact("done")) == ({"model": "m"}, 7)
        assert journal.pending() == (2, [1])
        assert [int(row["n"][0]) for row in journal.tokens()] == [5, 6]
        rows = list(journal.totals())
        assert len(rows) == 2
        for row in rows:
            np.testing.assert_array_equal(row["counts"], ROW["counts"])
            assert row["counts"].dtype == np.uint16
            assert row["output"].tobytes().decode() == "ä"


def test_rows_come_in_the_order_of_the_prompts_whatever_order_they_were_done_in(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[2, 0], [1]])
        journal.finish(1, {2: numbered(2), 0: numbered(0)}, {})
        journal.finish(2, {1: numbered(1)}, {})
        assert [int(row["n"][0]) for row in journal.totals()] == [0, 1, 2]
        assert journal.pending() is None


def test_other_batches_may_take_the_place_of_those_that_are_left(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0], [1, 2], [3]])
        journal.finish(1, {0: numbered(0)}, {})
        journal.replace_pending([[1], [2], [3]])
        assert journal.all_pending() == [[1], [2], [3]]


def test_a_batch_enters_whole_or_not_at_all(tmp_path: Path) -> None:
    with journal_of(tmp_path / "out.npz") as journal:
        journal.begin({}, [[0, 1]])
        with pytest.raises(TypeError):
            journal.finish(1, {0: ROW, 1: ROW}, {}, done=object())
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
        journal.finish(1, {0: ROW}, {})
    with pytest.raises(CaptureError, match="the disk is full"):
        finish_where_there_is_no_space(tmp_path / "out.npz")
    with journal_of(tmp_path / "out.npz") as journal:
        assert (len(list(journal.totals())), journal.pending()) == (1, (2, [1]))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="could not be"):
        open_and_close(tmp_path / "no" / "such" / "out.npz")
