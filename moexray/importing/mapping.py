"""The file that says which field of a recording holds what: TOML, read and checked."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moexray.errors import ImportingError
from moexray.importing.stated import Stated, check_layers

AXES = ("tokens", "layers", "k")
ENCODINGS = ("lists", "npy", "uint8", "uint16", "int16", "int32", "int64")
_FIELDS = ("experts", "prompt_id", "category", "group", "text", "output", "token_ids", "prompt_length", "length")
_FACTS = ("layers", "num_experts", "top_k", "tokens_are", "model")
_OTHERS = ("axes", "encoding", "layer_rows", "last_token_unrouted")


@dataclass(frozen=True)
class Mapping:
    """Which field holds what.

    Attributes
    ----------
    fields
        The name of the field of each part; a name with dots leads into objects and lists of JSON. `token_ids` may be
        of several fields, one after the other, as ``token_ids.0``, ``token_ids.1``.
    axes
        The order of the axes of `experts`.
    encoding
        ``lists``, ``npy``, or an integer type of bare numbers.
    layer_rows
        How many layers the axis of layers has, where the numbers come without a shape.
    last_token_unrouted
        Whether there is one token id more than rows, because the last token passed no router.
    """

    fields: dict[str, str]
    axes: tuple[str, ...]
    encoding: str = "lists"
    layer_rows: int | None = None
    last_token_unrouted: bool = False

    @property
    def token_fields(self) -> list[str]:
        """The fields of token ids, in their order."""
        return [name for name in self.fields if name.partition(".")[0] == "token_ids"]


def read_mapping(path: Path, stated: Stated) -> tuple[Mapping, Stated]:
    """Read a mapping, and the facts that it states; those of the command line are added to them.

    Raises
    ------
    ImportingError
        If the file is not TOML, has a key that is not known, or lacks `experts` or `axes`.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{path} is not TOML ({str(error).splitlines()[0]})"
        raise ImportingError(message) from error
    known = (*_FIELDS, *_OTHERS, *_FACTS)
    strange = next((key for key in found if key not in known), None)
    if strange is not None:
        message = f"{path} has a key {strange!r}: a mapping may have {', '.join(known)}"
        raise ImportingError(message)
    facts = {name: found[name] for name in _FACTS if name in found}
    return _mapping(path, found), stated.joined(_checked_facts(path, facts), path)


def _mapping(path: Path, found: dict[str, Any]) -> Mapping:
    axes, encoding, rows = found.get("axes"), found.get("encoding", "lists"), found.get("layer_rows")
    if not isinstance(axes, list) or len(axes) != len(AXES) or any(axes.count(one) != 1 for one in AXES):
        message = f'{path}: axes is {axes!r}: say in what order experts are, such as ["tokens", "layers", "k"]'
        raise ImportingError(message)
    if encoding not in ENCODINGS:
        message = f"{path}: encoding is {encoding!r}: it must be one of {', '.join(ENCODINGS)}"
        raise ImportingError(message)
    if rows is not None and (type(rows) is not int or not 1 <= rows < 2**15):
        message = f"{path}: layer_rows is {rows!r}: it must be how many layers the axis of layers has"
        raise ImportingError(message)
    unrouted = found.get("last_token_unrouted", False)
    if not isinstance(unrouted, bool):
        message = f"{path}: last_token_unrouted is {unrouted!r}: it must be true or false"
        raise ImportingError(message)
    fields = _fields(path, found)
    if "experts" not in fields:
        message = f"{path} does not say which field holds the experts: experts = FIELD"
        raise ImportingError(message)
    return Mapping(fields, tuple(axes), encoding, rows, unrouted)


def _fields(path: Path, found: dict[str, Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in _FIELDS:
        name = found.get(part)
        if part == "token_ids" and isinstance(name, list) and name:
            fields |= {f"{part}.{place}": one for place, one in enumerate(name)}
        elif name is not None:
            fields[part] = name
    for part, name in fields.items():
        if not isinstance(name, str) or not name:
            message = f"{path}: {part} is {name!r}: it must be the name of a field"
            raise ImportingError(message)
    return fields


def _checked_facts(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    if "layers" in facts:
        if not isinstance(facts["layers"], list):
            message = f"{path}: layers is {facts['layers']!r}: it must be a list, the index of each MoE layer"
            raise ImportingError(message)
        check_layers(facts["layers"])
        facts["layers"] = tuple(facts["layers"])
    for name in ("model", "tokens_are"):
        if name in facts and not isinstance(facts[name], str):
            message = f"{path}: {name} is {facts[name]!r}: it must be a text"
            raise ImportingError(message)
    return facts
