"""The journal of a capture: what it has finished, kept beside its output, so that a killed one can go on.

It is an SQLite database. The prompts of a batch enter it in one transaction, so they are there together or not at all
whenever the process dies; and SQLite's own lock on the file keeps a second capture away from it.
"""

import json
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from moexray.errors import CaptureError, SignaturesError
from moexray.files import check_writable, target_of
from moexray.recorded_images import RecordedImage, images_of_text, text_of_images
from moexray.recording.counting import Totals
from moexray.recording.packing import DamagedError, Packed, is_whole, pack, pack_text, unpack_text
from moexray.recording.sequence_blocks import PackedSequences, pack_sequences
from moexray.routing import RoutedSequence
from moexray.segments import Segment

# Says that a database is a journal of a capture: SQLite keeps it in the header.
_APPLICATION = int.from_bytes(b"moex", "big")
# Changes with what a journal holds, so that no version goes on with the journal of another.
_VERSION = 3
_TABLES = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE batches (number INTEGER PRIMARY KEY, prompts TEXT NOT NULL);
CREATE TABLE rows (prompt INTEGER PRIMARY KEY, totals BLOB NOT NULL, block INTEGER);
CREATE TABLE blocks (number INTEGER PRIMARY KEY, sequences BLOB NOT NULL);
"""
_EARLIER = {"facts", "batches", "rows"}
_IN_MEMORY = ":memory:"
# Digits of the checksum before a text.
_SEAL = 8
# Blocks that are held while sequences are read, a megabyte each.
_HELD = 128
_BEGIN_ANEW = "delete it to begin anew"


class InUseError(CaptureError):
    """A journal that another process writes to."""


class Journal:
    """The facts of a capture, the batches that are left, and the totals and sequences of the prompts that are done.

    Made by `journal_of`, which closes it. What is damaged raises CaptureError when it is read.

    Attributes
    ----------
    is_new
        Whether no plan was made yet.
    is_over
        Whether its content has become the output. A journal that is new or over is deleted when it is closed.
    """

    def __init__(self, connection: sqlite3.Connection, name: str = _IN_MEMORY) -> None:
        self._database, self._name = connection, name
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
        return None if found is None else self._value(found[0])

    def set(self, **facts: Any) -> None:
        """Keep facts: JSON values by name."""
        with self._transaction():
            self._set(facts)

    def pending(self) -> tuple[int, list[int]] | None:
        """Return the number and the prompts of the next batch; None when all are done."""
        found = self._database.execute("SELECT number, prompts FROM batches ORDER BY number LIMIT 1").fetchone()
        return None if found is None else (found[0], self._value(found[1]))

    def all_pending(self) -> list[list[int]]:
        """Return the prompts of each batch that is left."""
        found = self._database.execute("SELECT prompts FROM batches ORDER BY number")
        return [self._value(prompts) for (prompts,) in found]

    def done(self) -> list[int]:
        """Return the prompts that are done, in order."""
        return [prompt for (prompt,) in self._database.execute("SELECT prompt FROM rows ORDER BY prompt")]

    def rows_are_whole(self) -> bool:
        """Whether the checksums of the prompts that are done are right; it reads all of them."""
        contents = ("SELECT totals FROM rows", "SELECT sequences FROM blocks")
        return all(is_whole(one) for content in contents for (one,) in self._database.execute(content))

    def replace_pending(self, batches: Sequence[Sequence[int]], **facts: Any) -> None:
        """Put other batches in the place of those that are left, and keep facts with them."""
        with self._transaction():
            self._database.execute("DELETE FROM batches")
            self._plan(batches)
            self._set(facts)

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
            The sequence of each prompt, where a recorder wants it.
        facts
            Facts that change with them.
        """
        rows = [(prompt, _packed_totals(prompt, one)) for prompt, one in totals.items()]
        blocks = list(pack_sequences(sequences))
        found = self._database.execute("SELECT prompts FROM batches WHERE number = ?", (batch,)).fetchone()
        left = [prompt for prompt in self._value(found[0]) if prompt not in totals]
        with self._transaction():
            self._database.executemany("INSERT INTO rows (prompt, totals) VALUES (?, ?)", rows)
            for prompts, packed in blocks:
                number = self._database.execute("INSERT INTO blocks (sequences) VALUES (?)", (packed,)).lastrowid
                placed = [(number, prompt) for prompt in prompts]
                self._database.executemany("UPDATE rows SET block = ? WHERE prompt = ?", placed)
            if left:
                self._database.execute("UPDATE batches SET prompts = ? WHERE number = ?", (_text(left), batch))
            else:
                self._database.execute("DELETE FROM batches WHERE number = ?", (batch,))
            self._set(facts)

    def totals(self) -> Iterator[Totals]:
        """Yield the totals of the prompts that are done, in the order of the prompts."""
        for prompt, packed in self._database.execute("SELECT prompt, totals FROM rows ORDER BY prompt"):
            with self._reading():
                arrays = Packed(packed)
                if arrays.rows("prompt").tolist() != [prompt]:
                    raise DamagedError
                output = unpack_text(arrays.rows("output"))
                counts, tokens = arrays.rows("counts"), arrays.rows("tokens")
                mass = arrays.rows("mass") if "mass" in arrays else None
                images = _images(unpack_text(arrays.rows("images"))) if "images" in arrays else ()
            yield Totals(counts=counts, tokens=tokens, output=output, mass=mass, images=images)

    def sequences(self, segments: tuple[Segment, ...]) -> Iterator[RoutedSequence]:
        """Yield the sequences of the prompts that are done, in the order of the prompts, with the layout's segments."""
        held: OrderedDict[int, PackedSequences] = OrderedDict()
        for prompt, number in self._database.execute("SELECT prompt, block FROM rows ORDER BY prompt"):
            with self._reading():
                block = held.get(number) or self._block(number)
                if len(block) > 1:  # one that is alone in its block may be as long as a model's context
                    held[number] = block
                    held.move_to_end(number)
                    if len(held) > _HELD:
                        held.popitem(last=False)
                sequence = block.sequence(prompt, segments)
            yield sequence

    @property
    def damaged(self) -> CaptureError:
        """The error of a journal that is not whole."""
        return CaptureError(f"{self._name} is damaged: {_BEGIN_ANEW}")

    def _block(self, number: int) -> PackedSequences:
        found = self._database.execute("SELECT sequences FROM blocks WHERE number = ?", (number,)).fetchone()
        if found is None:
            raise DamagedError
        return PackedSequences(found[0])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DamagedError as error:
            raise self.damaged from error

    def _value(self, text: Any) -> Any:
        if not isinstance(text, str) or text != _sealed(text[_SEAL:]):
            raise self.damaged
        return json.loads(text[_SEAL:])

    def _plan(self, batches: Sequence[Sequence[int]]) -> None:
        self._database.executemany(
            "INSERT INTO batches (prompts) VALUES (?)", [(_text(list(batch)),) for batch in batches]
        )

    def _set(self, facts: Mapping[str, Any]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)", [(name, _text(value)) for name, value in facts.items()]
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
        _make_tables(connection, path)
        connection.execute("COMMIT")
        journal = Journal(connection, str(path or _IN_MEMORY))
        yield journal
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):  # a mistake of ours
        raise
    except sqlite3.Error as error:
        busy = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        raise (InUseError if busy else CaptureError)(_reason(error, path)) from error
    finally:
        if connection is not None:
            connection.close()
        if path is not None and not busy and (fresh if journal is None else journal.is_new or journal.is_over):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)


def _make_tables(connection: sqlite3.Connection, path: Path | None) -> None:
    """Make the tables of a new journal; CaptureError if there are others."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
    (application,), (version,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    if application != _APPLICATION and tables != _EARLIER:
        message = f"{path} is not a journal of a capture: name another `out`, or {_BEGIN_ANEW}"
        raise CaptureError(message)
    if version != _VERSION:
        message = f"{path} was begun by another version of moexray: finish it with that one, or {_BEGIN_ANEW}"
        raise CaptureError(message)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _reason(error: sqlite3.Error, path: Path | None) -> str:
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another capture is writing {path}: wait for it, or name another `out`"
    if code == sqlite3.SQLITE_FULL:
        return f"the disk is full: {path} keeps what is done; make room and start the same capture again"
    # Those of no code are texts that are not UTF-8; SQLITE_ERROR, tables or columns that are missing.
    if code in (0, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
        return f"{path} is not a journal of a capture, or is damaged: {_BEGIN_ANEW}"
    return f"{path} could not be written ({error}): mend that, and start the same capture again, which then goes on"


def _text(value: Any) -> str:
    return _sealed(json.dumps(value))


def _sealed(text: str) -> str:
    """Return a text after its checksum: SQLite has none."""
    return f"{zlib.crc32(text.encode()):0{_SEAL}x}{text}"


def _packed_totals(prompt: int, totals: Totals) -> bytes:
    arrays = {"counts": totals.counts, "tokens": totals.tokens, "mass": totals.mass}
    texts = {"output": totals.output, **({"images": text_of_images(totals.images)} if totals.images else {})}
    return pack({"prompt": np.array([prompt]), **arrays, **{name: pack_text(text) for name, text in texts.items()}})


def _images(text: str) -> tuple[RecordedImage, ...]:
    try:
        return images_of_text(text)
    except SignaturesError as error:
        raise DamagedError from error
