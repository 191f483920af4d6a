"""The journal of a capture: what it has finished, kept beside its output, so that a killed one can go on.

It is an SQLite database. The prompts of a batch enter it in one transaction, so they are there together or not at all
whenever the process dies; and SQLite's own lock on the file keeps a second capture away from it.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as safetensors

from moexray.errors import CaptureError
from moexray.files import check_writable, target_of
from moexray.recording.counting import Totals
from moexray.routing import RoutedSequence
from moexray.segments import Segment

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (number INTEGER PRIMARY KEY, prompts TEXT NOT NULL);
CREATE TABLE rows (prompt INTEGER PRIMARY KEY, totals BLOB NOT NULL, sequence BLOB);
"""
_IN_MEMORY = ":memory:"


class Journal:
    """The facts of a capture, the batches that are left, and the totals and sequences of the prompts that are done.

    Made by `journal_of`, which closes it.

    Attributes
    ----------
    is_new
        Whether no plan was made yet.
    is_over
        Whether its content has become the output. A journal that is new or over is deleted when it is closed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._database = connection
        self.is_new = self.fact("begun") is None
        self.is_over = False

    def begin(self, facts: Mapping[str, Any], batches: Sequence[Sequence[int]]) -> None:
        """Keep the facts of the capture and the plan of its batches, in one transaction."""
        with self._transaction():
            self._set({**facts, "begun": True})
            self._plan(batches)
        self.is_new = False

    def fact(self, name: str) -> Any:
        """Return a fact, None if it is not known."""
        found = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def set(self, **facts: Any) -> None:
        """Keep facts: JSON values by name."""
        with self._transaction():
            self._set(facts)

    def pending(self) -> tuple[int, list[int]] | None:
        """Return the number and the prompts of the next batch; None when all are done."""
        found = self._database.execute("SELECT number, prompts FROM batches ORDER BY number LIMIT 1").fetchone()
        return None if found is None else (found[0], json.loads(found[1]))

    def all_pending(self) -> list[list[int]]:
        """Return the prompts of each batch that is left."""
        found = self._database.execute("SELECT prompts FROM batches ORDER BY number")
        return [json.loads(prompts) for (prompts,) in found]

    def replace_pending(self, batches: Sequence[Sequence[int]]) -> None:
        """Put other batches in the place of those that are left."""
        with self._transaction():
            self._database.execute("DELETE FROM batches")
            self._plan(batches)

    def keep(
        self, batch: int, totals: Mapping[int, Totals], sequences: Mapping[int, RoutedSequence], **facts: Any
    ) -> None:
        """Keep prompts of a batch, all or none of them; the batch is over when none of its prompts is left.

        Parameters
        ----------
        batch
            Its number.
        totals
            The totals of each prompt.
        sequences
            The sequence of each prompt, where a recorder wants it. It is large, and not compressed: that would take
            longer than to write it.
        facts
            Facts that change with them.
        """
        rows = [
            (prompt, _packed_totals(one), _packed_sequence(sequences[prompt]) if prompt in sequences else None)
            for prompt, one in totals.items()
        ]
        found = self._database.execute("SELECT prompts FROM batches WHERE number = ?", (batch,)).fetchone()
        left = [prompt for prompt in json.loads(found[0]) if prompt not in totals]
        with self._transaction():
            self._database.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
            if left:
                self._database.execute("UPDATE batches SET prompts = ? WHERE number = ?", (json.dumps(left), batch))
            else:
                self._database.execute("DELETE FROM batches WHERE number = ?", (batch,))
            self._set(facts)

    def totals(self) -> Iterator[Totals]:
        """Yield the totals of the prompts that are done, in the order of the prompts."""
        for (packed,) in self._database.execute("SELECT totals FROM rows ORDER BY prompt"):
            arrays = safetensors.load(zlib.decompress(packed))
            output = arrays.pop("output").tobytes().decode()
            yield Totals(output=output, **arrays)

    def sequences(self, segments: tuple[Segment, ...]) -> Iterator[RoutedSequence]:
        """Yield the sequences of the prompts that are done, in the order of the prompts, with the layout's segments."""
        for (packed,) in self._database.execute("SELECT sequence FROM rows ORDER BY prompt"):
            arrays = safetensors.load(packed)
            output = arrays.pop("output").tobytes().decode()
            yield RoutedSequence(output=output, segment_names=segments, **arrays)

    def _plan(self, batches: Sequence[Sequence[int]]) -> None:
        self._database.executemany(
            "INSERT INTO batches (prompts) VALUES (?)", [(json.dumps(list(batch)),) for batch in batches]
        )

    def _set(self, facts: Mapping[str, Any]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)", [(name, json.dumps(value)) for name, value in facts.items()]
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def journal_path(output: Path) -> Path:
    """Return the journal of the capture that writes `output`: beside the file itself, where that is a link."""
    target = target_of(output)
    return target.with_name(f"{target.name}.journal")


@contextmanager
def journal_of(output: Path | None) -> Iterator[Journal]:
    """Open the journal beside `output`, or make it; None keeps one in memory, for a capture without files.

    Raises
    ------
    CaptureError
        If another capture writes to it, it is damaged, or the disk is full or cannot be written.
    MoexrayError
        If what stands there is no ordinary file.
    """
    path = None if output is None else journal_path(output)
    if path is not None and path.exists():
        check_writable(path)
    connection = journal = None
    fresh, busy = path is None or not path.exists() or not path.stat().st_size, False
    try:
        connection = sqlite3.connect(path or _IN_MEMORY, timeout=0, isolation_level=None)
        # Kept until the connection closes, or its process dies.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
        journal = Journal(connection)
        yield journal
    except sqlite3.Error as error:
        busy = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        raise CaptureError(_reason(error, path)) from error
    finally:
        if connection is not None:
            connection.close()
        if path is not None and not busy and (fresh if journal is None else journal.is_new or journal.is_over):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _reason(error: sqlite3.Error, path: Path | None) -> str:
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another capture is writing {path}: wait for it, or name another `out`"
    if code == sqlite3.SQLITE_FULL:
        return f"the disk is full: {path} keeps what is done; make room and start the same capture again"
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"{path} is not a journal of a capture, or is damaged: delete it to begin anew"
    return f"{path} could not be written ({error}): mend that, and start the same capture again, which then goes on"


def _packed_totals(totals: Totals) -> bytes:
    arrays = {"counts": totals.counts, "tokens": totals.tokens, "output": _text(totals.output), "mass": totals.mass}
    return zlib.compress(_packed(arrays), level=1)


def _packed_sequence(sequence: RoutedSequence) -> bytes:
    names = ("token_ids", "segments", "experts", "gate_weights", "scores")
    return _packed({**{name: getattr(sequence, name) for name in names}, "output": _text(sequence.output)})


def _packed(arrays: Mapping[str, NDArray[Any] | None]) -> bytes:
    return safetensors.save({name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None})


def _text(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)
