"""CSV files from anywhere, row by row: in UTF-8 and strict, and every damage is one sentence."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from moexray.errors import MoexrayError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_VALUE = 2**31 - 1
# A row none of whose quotes stands inside of a value without quotes; possessive, so in linear time.
_VALUE = r'(?:"(?:[^"]|"")*+"|[^",\r\n]*+)'
_ROW = re.compile(rf"{_VALUE}(?:,{_VALUE})*+[\r\n]*+")


def csv_rows(
    file: Iterable[bytes], name: object, *, error: type[MoexrayError], prompts: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line of each row, and its values; parsing is strict, so a stray quote is an error.

    Parameters
    ----------
    file, name
        The lines of a file, and what it is called.
    error
        Raised if it is not UTF-8, holds a NUL byte, a row is blank, or a quote is where none can be.
    prompts
        Whether its rows are prompts, for what messages advise.
    """
    written: list[str] = []  # the lines of the row that is read
    reader = csv.reader(_kept(decoded(file, name, error=error, prompts=prompts), written), strict=True)
    while True:
        line = reader.line_num + 1
        written.clear()
        try:
            with _long_values():
                row = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            message = f"{name} line {line} begins a row that is not CSV{_cure(problem, written)}"
            raise error(message) from problem
        if any('"' in value for value in row) and not _ROW.fullmatch("".join(written)):
            message = f"{name} line {line} has a quote inside of a value without quotes: double it, within quotes"
            raise error(message)
        if not row or not "".join(row).strip():
            message = f"{name} line {line} is empty: delete the line{', or write a prompt there' if prompts else ''}"
            raise error(message)
        yield line, row


def decoded(file: Iterable[bytes], name: object, *, error: type[MoexrayError], prompts: bool = False) -> Iterator[str]:
    """Yield each line with its end, decoded from UTF-8; a byte-order mark is dropped.

    Parameters
    ----------
    file, name, error, prompts
        See `csv_rows`.
    """
    for number, line in enumerate(file, start=1):
        place = f"{name} line {number}"
        try:
            text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).decode()
        except UnicodeDecodeError as problem:
            message = f"{place} is not UTF-8 (byte {problem.start + 1} of the line): save the file as UTF-8"
            raise error(message) from problem
        if "\0" in text:
            kept = "; to keep a NUL, write it as \\u0000 in a .jsonl file" if prompts else ""
            message = f"{place} holds a NUL byte, as UTF-16 does: save the file as UTF-8{kept}"
            raise error(message)
        yield text


def _cure(error: csv.Error, lines: list[str]) -> str:
    """Say what is wrong with a row of these lines, and what to do."""
    if "new-line" in f"{error}" and any("\r" in line.removesuffix("\n").removesuffix("\r") for line in lines):
        return ": a carriage return alone ends no line: save the file with Unix or Windows line ends"
    return f" ({error}): double a quote within quotes"


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    """Pass lines on, and keep them."""
    for line in lines:
        kept.append(line)
        yield line


@contextmanager
def _long_values() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB a value, which is global and too small for long prompts."""
    before = csv.field_size_limit(_LONGEST_VALUE)
    try:
        yield
    finally:
        csv.field_size_limit(before)
