"""Lines of UTF-8, one at a time: a file of any size is never in memory as a whole."""

from collections.abc import Iterable, Iterator

from moexray.errors import PromptsError
from moexray.prompts.source import Source

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decoded(file: Iterable[bytes], source: Source) -> Iterator[str]:
    """Yield each line with its end; `PromptsError` with the line for what is not UTF-8."""
    for number, line in enumerate(file, start=1):
        place = f"{source} line {number}"
        try:
            text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            problem = f"{place} is not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8"
            raise PromptsError(problem) from error
        if "\0" in text:
            problem = (
                f"{place} holds a NUL byte, as UTF-16 does: save the file as UTF-8; "
                "a NUL that is meant can stand in a .jsonl file as \\u0000"
            )
            raise PromptsError(problem)
        yield text


def lines(file: Iterable[bytes], source: Source) -> Iterator[str]:
    """Yield each line without its end, be it of Unix or of Windows; refuse a blank one, and a file without any."""
    number = 0
    texts = decoded(file, source)
    for number, text in enumerate(texts, start=1):
        bare = text.removesuffix("\n").removesuffix("\r")
        if not bare.strip():
            if number == 1 and not any(more.strip() for more in texts):
                raise empty(source)
            problem = f"{source.place(number)} is empty: delete the line, or write a prompt there"
            raise PromptsError(problem)
        yield bare
    if not number:
        raise empty(source)


def empty(source: Source) -> PromptsError:
    """Return the error of a source without a prompt."""
    return PromptsError(f"{source} is empty: there must be a prompt on each {source.unit}")
