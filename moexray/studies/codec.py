"""JSON of results: one codec, made from the type hints of their dataclasses.

A dataclass is an object with its fields as keys, in their order; a tuple or an array is a list; a pair of categories
is a key ``first|second``. Numbers that are not finite are refused both ways.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import numpy as np

if TYPE_CHECKING:
    from cattrs import Converter

R = TypeVar("R")
# Two categories, in the order of the alphabet.
Pair = tuple[str, str]


def optional(*, beside: str | None = None) -> Any:
    """Return a field that is None by default, and then has no key in the JSON.

    Parameters
    ----------
    beside
        Another optional field: the key is there, even with null, where that field is not None.
    """
    return field(default=None, metadata={"optional": True, "beside": beside})


def key_of(one: Field[Any]) -> str:
    """Return the key of a field in the JSON."""
    return str(one.metadata.get("key", one.name))


def to_values(result: Any) -> Any:
    """Return the JSON values of a result: dictionaries, lists, strings and finite numbers.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    return json.loads(json.dumps(_converter().unstructure(result), allow_nan=False))


def from_values(values: Any, hint: type[R]) -> R:
    """Return the result that `to_values` made these values of; keys that it does not know are passed over.

    Raises
    ------
    ValueError
        If a key is missing, or a value has another type; says where.
    """
    from cattrs import transform_error
    from cattrs.errors import BaseValidationError

    try:
        return _converter().structure(values, hint)
    except BaseValidationError as error:
        message = transform_error(error, path="", format_exception=_sentence)[0]
        raise ValueError(message.replace(" @ .", " at ")) from error


def pair_name(first: str, second: str) -> str:
    r"""Join the names of two categories by ``|``, in the order of the alphabet, so that no two pairs share a name.

    In a name that holds ``|`` a backslash goes before each ``|`` and each backslash; every other name stays as it is.

    >>> pair_name("story", "code")
    'code|story'
    >>> print(pair_name("yes|no", "code"))
    code|yes\|no
    """
    return "|".join(_escaped(name) for name in sorted((first, second)))


def pair_of(name: str) -> Pair:
    r"""Return the pair of categories that `pair_name` joined.

    >>> pair_of("code|story")
    ('code', 'story')
    >>> pair_of(r"code|yes\|no")
    ('code', 'yes|no')

    Raises
    ------
    ValueError
        If it joined none.
    """
    for place in (place for place, letter in enumerate(name) if letter == "|"):
        first, second = (_unescaped(side) for side in (name[:place], name[place + 1 :]))
        if first <= second and pair_name(first, second) == name:
            return first, second
    message = f"{name!r} is not the name of a pair of categories"
    raise ValueError(message)


def _escaped(name: str) -> str:
    return name.replace("\\", r"\\").replace("|", r"\|") if "|" in name else name


def _unescaped(name: str) -> str:
    return name.replace(r"\|", "|").replace(r"\\", "\\") if "|" in name else name


@cache
def _converter() -> "Converter":
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

    made = Converter()

    def keys(hint: Any) -> dict[str, Any]:
        return {one.name: override(rename=key_of(one)) for one in fields(hint)}

    def write(hint: Any) -> Callable[[Any], Any]:
        plain = make_dict_unstructure_fn(hint, made, **keys(hint))
        some = [one for one in fields(hint) if one.metadata.get("optional")]
        return lambda result: _without_absent(plain(result), result, some) if some else plain(result)

    def read(hint: Any) -> Callable[[Any, Any], Any]:
        plain = make_dict_structure_fn(hint, made, **keys(hint))
        return lambda value, _: plain(_checked(value, dict, "an object"), hint)

    def read_tuple(hint: Any) -> Callable[[Any, Any], Any]:
        return lambda value, _: _tuple(_checked(value, list, "a list"), get_args(hint), made)

    def read_mapping(hint: Any) -> Callable[[Any, Any], Any]:
        key, of_value = get_args(hint)
        name: Callable[[str], Any] = pair_of if key == Pair else str
        return lambda value, _: {
            name(one): made.structure(part, of_value) for one, part in _checked(value, dict, "an object").items()
        }

    made.register_unstructure_hook_factory(_is_result, write)
    made.register_structure_hook_factory(_is_result, read)
    made.register_structure_hook_factory(lambda hint: _kind(hint) is tuple, read_tuple)
    made.register_structure_hook_factory(lambda hint: _kind(hint) in (dict, Mapping), read_mapping)
    made.register_unstructure_hook_func(
        lambda hint: _kind(hint) in (dict, Mapping) and get_args(hint)[0] == Pair,
        lambda pairs: {pair_name(*pair): made.unstructure(value) for pair, value in pairs.items()},
    )
    made.register_unstructure_hook_func(_is_array, lambda array: array.tolist())
    made.register_structure_hook_func(_is_array, lambda value, _: np.asarray(_checked(value, list, "a list")))
    made.register_structure_hook(bool, lambda value, _: _checked(value, bool, "true or false"))
    made.register_structure_hook(str, lambda value, _: _checked(value, str, "a text"))
    made.register_structure_hook(int, lambda value, _: _number(value, int))
    made.register_structure_hook(float, lambda value, _: _number(value, float))
    return made


def _is_result(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _is_array(hint: Any) -> bool:
    return _kind(hint) is np.ndarray


def _kind(hint: Any) -> Any:
    return get_origin(hint) or hint


def _without_absent(values: dict[str, Any], result: Any, some: list[Field[Any]]) -> dict[str, Any]:
    absent = {
        key_of(one)
        for one in some
        if getattr(result, one.name) is None
        and (one.metadata["beside"] is None or getattr(result, one.metadata["beside"]) is None)
    }
    return {key: value for key, value in values.items() if key not in absent}


def _tuple(values: list[Any], hints: tuple[Any, ...], converter: "Converter") -> tuple[Any, ...]:
    if hints[-1] is Ellipsis:
        return tuple(converter.structure(value, hints[0]) for value in values)
    if len(values) != len(hints):
        message = f"{len(values)} values stand where {len(hints)} belong"
        raise ValueError(message)
    return tuple(converter.structure(value, hint) for value, hint in zip(values, hints, strict=True))


def _checked(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        message = f"{_shown(value)} is not {name}"
        raise TypeError(message)
    return value


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | kind):
        message = f"{_shown(value)} is not a {'whole ' if kind is int else ''}number"
        raise TypeError(message)
    return kind(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 30 else f"{text[:30]}…"


def _sentence(error: BaseException, _hint: Any) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
