"""Pickles of strangers, read as data: opcodes are interpreted here, and nothing that a pickle names is ever imported.

Python's own unpickler calls what a pickle names. This one knows some dozens of opcodes that make numbers, texts, lists,
tuples and dicts; a name stands for a constructor that the caller gave for it, or the pickle is refused.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from moexray.errors import ImportingError

MOST_BYTES = 2**26
# Lists, tuples and dicts take up to a hundred times as much memory as their opcodes.
_MOST_CONTAINERS = 2**20
_MARK = object()
_VALUES = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
Constructor = Callable[..., Any]


class Named:
    """What a pickle names, by its module and name; nothing is imported for it."""

    def __init__(self, module: str, name: str) -> None:
        self.path = f"{module}.{name}"


class Built:
    """What a constructor may return where a pickle then gives it a state; `build` takes it."""

    def build(self, state: Any) -> None:
        """Take the state."""
        raise NotImplementedError


def read_pickle(
    content: bytes,
    constructors: Mapping[str, Constructor],
    place: str,
    *,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the data of a pickle.

    Parameters
    ----------
    content
        The pickle.
    constructors
        By name, ``collections.OrderedDict``, what makes a value of its arguments. It checks them itself and raises
        ValueError or TypeError.
    place
        What the pickle is called in errors.
    persistent
        What makes a value of a persistent id, as files of torch have them.

    Raises
    ------
    ImportingError
        If it is damaged, too large, or holds anything else: such a pickle could run code.
    """
    if len(content) > MOST_BYTES:
        message = f"{place} has {len(content):,} bytes: no more than {MOST_BYTES:,} are read"
        raise ImportingError(message)
    machine = _Machine(constructors, persistent, place)
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return machine.result()
            machine.run(opcode.name, argument)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        message = f"{place} is a damaged pickle ({reason})"
        raise ImportingError(message) from error
    message = f"{place} is a pickle that ends too early"
    raise ImportingError(message)


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(
        self, constructors: Mapping[str, Constructor], persistent: Callable[[Any], Any] | None, place: str
    ) -> None:
        self._constructors, self._persistent, self._place = constructors, persistent, place
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._containers = 0
        self._steps: dict[str, Callable[[Any], None]] = {
            "PROTO": self._nothing,
            "FRAME": self._nothing,
            "MARK": lambda _: self._stack.append(_MARK),
            "MEMOIZE": lambda _: self._remember(len(self._memo)),
            "BINPUT": self._remember,
            "LONG_BINPUT": self._remember,
            "BINGET": lambda place: self._stack.append(self._memo[place]),
            "LONG_BINGET": lambda place: self._stack.append(self._memo[place]),
            "TUPLE": lambda _: self._make(tuple(self._since_mark())),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._update([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._update(self._since_mark()),
            "GLOBAL": lambda named: self._stack.append(Named(*named.split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._name(self._stack.pop(-2), self._stack.pop()),
            "REDUCE": lambda _: self._call(self._stack.pop(-2), self._stack.pop()),
            "BUILD": lambda _: self._build(self._stack.pop()),
            "BINPERSID": lambda _: self._persist(self._stack.pop()),
        }

    def run(self, name: str, argument: Any) -> None:
        """Do what an opcode says."""
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._make(_EMPTY[name]())
        elif name in _TUPLES:
            cut = len(self._stack) - _TUPLES[name]
            self._stack[cut:], values = [], tuple(self._stack[cut:])
            self._make(values)
        elif name in self._steps:
            self._steps[name](argument)
        else:
            message = f"{self._place} is a pickle with the opcode {name}, which such files do not hold: it is not read"
            raise ImportingError(message)

    def result(self) -> Any:
        """Return what the pickle is of."""
        (found,) = self._stack
        return found

    def _nothing(self, _: Any) -> None:
        pass

    def _make(self, container: Any) -> None:
        self._containers += 1
        if self._containers > _MOST_CONTAINERS:
            message = f"{self._place} is a pickle of more than {_MOST_CONTAINERS:,} lists and tuples: split the file"
            raise ImportingError(message)
        self._stack.append(container)

    def _remember(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                message = "no mark"
                raise ValueError(message)
        found = self._stack[place + 1 :]
        del self._stack[place:]
        return found

    def _extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            message = "something other than a list is appended to"
            raise ValueError(message)
        self._stack[-1].extend(values)

    def _update(self, pairs: list[Any]) -> None:
        keys = pairs[::2]
        if type(self._stack[-1]) is not dict or len(pairs) % 2 or any(type(key) not in (int, str) for key in keys):
            message = "a dict has keys that are no numbers or texts"
            raise ValueError(message)
        self._stack[-1].update(zip(keys, pairs[1::2], strict=True))

    def _name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            message = "a name is no text"
            raise ValueError(message)
        self._stack.append(Named(module, name))

    def _call(self, named: Any, arguments: Any) -> None:
        path = named.path if isinstance(named, Named) else type(named).__name__
        if path not in self._constructors or type(arguments) is not tuple:
            message = (
                f"{self._place} is a pickle that calls {path}, which such files do not hold: it could run code, and is "
                "not read"
            )
            raise ImportingError(message)
        self._stack.append(self._constructors[path](*arguments))

    def _build(self, state: Any) -> None:
        if not isinstance(self._stack[-1], Built):
            message = (
                f"{self._place} is a pickle that gives a state to {type(self._stack[-1]).__name__}: it is not read"
            )
            raise ImportingError(message)
        self._stack[-1].build(state)

    def _persist(self, name: Any) -> None:
        if self._persistent is None:
            message = f"{self._place} is a pickle with persistent ids, which such files do not hold: it is not read"
            raise ImportingError(message)
        self._stack.append(self._persistent(name))
