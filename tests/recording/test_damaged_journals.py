"""Whatever happened to a journal, a capture goes on as it would have, or says in one sentence that it cannot."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording import batches
from moexray.recording.capture import capture_with

from .made_engine import MadeEngine

PROMPTS = [Prompt("abcdefghijkl"[: 1 + i], "a", f"p{i}") for i in range(12)]
JOURNAL = "out.npz.journal"
Damage = Callable[[Path], object]


def run(folder: Path, engine: MadeEngine | None = None) -> dict[str, bytes]:
    """Capture, and return the files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "now", lambda: "2026-03-11T00:00:00+00:00")
        capture_with(
            engine or MadeEngine("tokens"),
            PROMPTS,
            Generation(max_new_tokens=3),
            out=folder / "out.npz",
            record=("trace", "coselection"),
            batch_tokens=45,
        )
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the journal of a capture that was killed after some batches."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(KeyboardInterrupt):
        run(folder, MadeEngine("tokens", stop_after=7))
    return (folder / JOURNAL).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run(tmp_path_factory.mktemp("whole"))


def sql(*statements: str) -> Damage:
    def damage(journal: Path) -> None:
        connection = sqlite3.connect(journal, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return damage


def foreign(*statements: str) -> Damage:
    def damage(journal: Path) -> None:
        journal.unlink()
        sql(*statements)(journal)

    return damage


def cut_to(size: float) -> Damage:
    return lambda journal: journal.write_bytes(journal.read_bytes()[: int(size * journal.stat().st_size)])


EARLIER = [
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE batches (number INTEGER PRIMARY KEY, prompts TEXT NOT NULL)",
    "CREATE TABLE rows (prompt INTEGER PRIMARY KEY, totals BLOB NOT NULL, sequence BLOB)",
    "INSERT INTO facts VALUES ('begun', 'true')",
]
CASES: dict[str, tuple[Damage, str]] = {
    **{
        f"no {fact}": (sql(f"DELETE FROM facts WHERE name = '{fact}'"), "is damaged")
        for fact in ("inputs", "created", "most_tokens", "done")
    },
    "a fact that is no JSON": (sql("UPDATE facts SET value = '{' WHERE name = 'done'"), "is damaged"),
    "a fact that is a number": (sql("UPDATE facts SET value = 7 WHERE name = 'inputs'"), "is damaged"),
    "a fact that is no text": (sql("UPDATE facts SET value = x'ff00'"), "is damaged"),
    "a fact that is not UTF-8": (sql("UPDATE facts SET value = CAST(x'ff00' AS TEXT)"), "is damaged"),
    "a batch that is no list": (sql("UPDATE batches SET prompts = 'null'"), "is damaged"),
    "a batch gone": (sql("DELETE FROM batches WHERE number = (SELECT max(number) FROM batches)"), "is damaged"),
    "a row gone": (sql("DELETE FROM rows WHERE prompt = 11"), "is damaged"),
    "a row of another prompt": (sql("UPDATE rows SET prompt = 99 WHERE prompt = 11"), "is damaged"),
    "rows exchanged": (
        sql(*(f"UPDATE rows SET prompt = {new} WHERE prompt = {old}" for old, new in ((11, 99), (10, 11), (99, 10)))),
        "is damaged",
    ),
    "a row that is nothing": (sql("UPDATE rows SET totals = x'' WHERE prompt = 11"), "is damaged"),
    "a row that is not compressed": (sql("UPDATE rows SET totals = zeroblob(40) WHERE prompt = 11"), "is damaged"),
    "a row that is text": (sql("UPDATE rows SET totals = 'text' WHERE prompt = 11"), "is damaged"),
    "sequences gone": (sql("DELETE FROM blocks"), "is damaged"),
    "sequences of other prompts": (sql("UPDATE rows SET block = 1"), "is damaged"),
    "sequences nowhere": (sql("UPDATE rows SET block = NULL"), "is damaged"),
    "sequences that are not compressed": (sql("UPDATE blocks SET sequences = zeroblob(999)"), "is damaged"),
    "totals for sequences": (sql("UPDATE blocks SET sequences = (SELECT totals FROM rows LIMIT 1)"), "is damaged"),
    "a table gone": (sql("DROP TABLE blocks"), "is not a journal of a capture, or is damaged"),
    "a column gone": (sql("ALTER TABLE rows RENAME COLUMN totals TO other"), "is not a journal"),
    "a later version": (sql("PRAGMA user_version = 99"), "was begun by another version of moexray"),
    "an earlier version": (foreign(*EARLIER), "was begun by another version of moexray"),
    "another database": (foreign("CREATE TABLE bookmarks (address TEXT)"), "is not a journal of a capture"),
    "half of it": (cut_to(0.5), "damaged"),
    "less than a header": (lambda journal: journal.write_bytes(journal.read_bytes()[:50]), "damaged"),
    "a text": (lambda journal: journal.write_text("remember the milk\n" * 99), "is not a journal of a capture"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_journal_is_one_sentence_and_stays(tmp_path: Path, begun: bytes, case: str) -> None:
    damage, message = CASES[case]
    (tmp_path / JOURNAL).write_bytes(begun)
    damage(tmp_path / JOURNAL)
    before = (tmp_path / JOURNAL).read_bytes()
    with pytest.raises(CaptureError, match=message) as error:
        run(tmp_path)
    assert JOURNAL in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.npz").exists()
    assert (tmp_path / JOURNAL).exists()
    assert case in FOUND_LATE or (tmp_path / JOURNAL).read_bytes() == before


# What is whole, but of another prompt, shows when the files are written.
FOUND_LATE = (
    "rows exchanged",
    "sequences of other prompts",
    "sequences nowhere",
    "sequences gone",
    "totals for sequences",
)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_bytes_that_change_are_noticed_or_do_not_matter(
    tmp_path: Path, begun: bytes, whole: dict[str, bytes], seed: int
) -> None:
    """Nothing that a damaged disk does to a journal gives other files than an undisturbed capture."""
    chance, noticed = random.Random(seed), 0
    for number in range(1000 if seed else 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = bytearray(begun)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (folder / JOURNAL).write_bytes(content)
        found, error = files_or_error(folder)
        assert found == whole or JOURNAL in error
        noticed += bool(error)
        shutil.rmtree(folder)
    assert noticed


def files_or_error(folder: Path) -> tuple[dict[str, bytes], str]:
    try:
        return run(folder), ""
    except CaptureError as error:
        return {}, str(error)
