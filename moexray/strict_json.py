"""JSON whose every key counts: an object that names a key twice is refused, where `json.loads` takes the last."""

import json
from collections.abc import Callable
from typing import Any, NoReturn


def loads(text: str | bytes, *, parse_float: Callable[[str], float] = float, finite: bool = False) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    text
        The JSON, as text or in UTF-8.
    parse_float
        What makes a number of its digits.
    finite
        Whether to refuse ``NaN`` and ``Infinity``, which Python writes though JSON has none.

    Raises
    ------
    ValueError
        If it is not JSON, a key is twice in one object, a number has thousands of digits, or brackets are nested too
        deeply.

    Examples
    --------
    >>> loads('{"a": 1, "b": {"a": 2}}')
    {'a': 1, 'b': {'a': 2}}
    """
    constants: dict[str, Any] = {"parse_constant": _refused} if finite else {}
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=parse_float, **constants)
    except RecursionError as error:
        message = "its brackets are nested too deeply"
        raise ValueError(message) from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if "integer string conversion" not in str(error):  # int() of thousands of digits
            raise
        message = "a number has thousands of digits"
        raise ValueError(message) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        message = f"the key {twice!r} is there twice"
        raise ValueError(message)
    return found


def _refused(name: str) -> NoReturn:
    message = f"{name} is not a finite number"
    raise ValueError(message)
