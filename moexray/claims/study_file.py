"""A table of claims: TOML that is checked when it is read."""

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from moexray.claims.claim import Claim, Study
from moexray.claims.tests import CLAIM_TESTS
from moexray.errors import AnalysisError

_GREATEST = 1e300
SHIPPED = "arxiv_2603_11114"

_TEXTS = ("id", "name", "text", "kind", "published")
_VALUES: Mapping[str, Callable[[Any], bool]] = {
    "number": lambda value: type(value) in (int, float) and -_GREATEST < value < _GREATEST,
    "count": lambda value: type(value) is int and value >= 0,
    "name": lambda value: isinstance(value, str) and value != "",
    "two names": lambda value: _is_names(value) and len(set(value)) == len(value) == 2,
}

_ERRORS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "se": ("a number above zero", lambda value: _VALUES["number"](value) and value > 0),
    "ci": ("two numbers, the lower first", lambda value: _is_interval(value)),  # noqa: PLW0108  # defined below
    "prompts": ("a whole number above one", lambda value: _VALUES["count"](value) and value > 1),
}


def shipped_study(name: str = SHIPPED) -> Study:
    """Return claims that come with moexray: by default those of arXiv:2603.11114."""
    file = f"{name}.toml"
    return parse_study(files(__package__).joinpath(file).read_text(encoding="utf-8"), where=file)


def shipped_names() -> list[str]:
    """Return the names of the tables of claims that come with moexray."""
    return sorted(one.name.removesuffix(".toml") for one in files(__package__).iterdir() if one.name.endswith(".toml"))


def read_study(path: Path) -> Study:
    """Read a table of claims: a file, or one that comes with moexray by its name where there is no such file.

    Raises
    ------
    AnalysisError
        If the file cannot be read, or is no table of claims.
    """
    if str(path) in shipped_names() and not path.exists():
        return shipped_study(str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path} could not be read: {error.strerror}"
        raise AnalysisError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not a table of claims: save it as UTF-8"
        raise AnalysisError(message) from error
    return parse_study(text, where=str(path))


def parse_study(text: str, *, where: str) -> Study:
    """Read a table of claims from TOML; `where` is named in errors.

    Raises
    ------
    AnalysisError
        If it is no TOML, or a key is missing, unknown or of the wrong kind.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{where} is not a table of claims: {error}"
        raise AnalysisError(message) from error
    _check_keys(document, ("study", "claims"), (), where)
    study, entries = document["study"], document["claims"]
    _require(isinstance(study, dict), f"{where}: study must be a table: write [study]")
    _check_keys(study, ("title", "source", "settings"), (), f"{where}, [study]")
    _check_texts(study, ("title", "source"), f"{where}, [study]")
    settings = _settings(study["settings"], f"{where}, [study.settings]")
    _require(
        isinstance(entries, list) and bool(entries) and all(isinstance(entry, dict) for entry in entries),
        f"{where}: claims must be one table or more: write [[claims]] above each",
    )
    claims = tuple(_claim(entry, settings, f"{where}, claim {n}") for n, entry in enumerate(entries, start=1))
    for n, claim in enumerate(claims):
        _require(
            claim.id not in {other.id for other in claims[:n]},
            f"{where}: two claims have the id {claim.id!r}: ids must be unique",
        )
    return Study(title=study["title"], source=study["source"], settings=settings, claims=claims)


def _settings(settings: object, where: str) -> dict[str, Any]:
    if not isinstance(settings, dict) or not _VALUES["name"](settings.get("model")):
        message = f'{where}: name the model that the claims are about: model = "…"'
        raise AnalysisError(message)
    if "categories" in settings:
        _require(_is_names(settings["categories"]), f"{where}: categories must be a list of names")
    for key, value in settings.items():
        _require(
            type(value) is bool or any(_VALUES[kind](value) for kind in ("number", "name")) or _is_names(value),
            f"{where}: {key} is {value!r}: it must be a text, a number, true or false, or a list of names",
        )
    return settings


def _claim(entry: dict[str, Any], settings: Mapping[str, Any], where: str) -> Claim:
    _check_keys(entry, _TEXTS, ("values", "needs", "margin", "error"), where)
    _check_texts(entry, _TEXTS, where)
    where = f"{where} ({entry['id']})"
    kind, values, needs = entry["kind"], entry.get("values", {}), entry.get("needs", list(settings))
    _require(kind in CLAIM_TESTS, f"{where}: no kind {kind!r}: there are {', '.join(sorted(CLAIM_TESTS))}")
    _require(isinstance(values, dict), f"{where}: values must be a table: write values = {{ … }}")
    known = {**CLAIM_TESTS[kind].values, **CLAIM_TESTS[kind].more}
    _check_keys(values, tuple(CLAIM_TESTS[kind].values), tuple(CLAIM_TESTS[kind].more), f"{where}, values of {kind}")
    for key, value in values.items():
        _require(_VALUES[known[key]](value), f"{where}: {key} is {value!r}: it must be {_article(known[key])}")
    if {"low", "high"} <= set(values):
        _require(values["low"] <= values["high"], f"{where}: low is above high: exchange them")
    _require(
        isinstance(needs, list) and all(isinstance(name, str) and name in settings for name in needs),
        f"{where}: needs is {needs!r}: list names of [study.settings], which are {', '.join(settings)}",
    )
    margin = _margin(entry["margin"], kind, where) if "margin" in entry else None
    error = _error(entry["error"], kind, where) if "error" in entry else None
    return Claim(**{key: entry[key] for key in _TEXTS}, values=values, needs=tuple(needs), margin=margin, error=error)


def _margin(margin: Any, kind: str, where: str) -> float:
    _require(CLAIM_TESTS[kind].tolerates, f"{where}: the test {kind} knows no margin: leave it out")
    _require(_VALUES["number"](margin) and margin > 0, f"{where}: margin is {margin!r}: it must be a number above zero")
    return float(margin)


def _error(error: Any, kind: str, where: str) -> dict[str, Any]:
    """Return the error of a published value: a table of one of `_ERRORS`, and its source."""
    _require(
        CLAIM_TESTS[kind].compares, f"{where}: the test {kind} knows no error of the published value: leave it out"
    )
    _require(isinstance(error, dict), f"{where}: error must be a table: write error = {{ … }}")
    given = [key for key in _ERRORS if key in error]
    _require(len(given) == 1, f"{where}: error must give one of {', '.join(_ERRORS)}, and its source")
    _check_keys(error, (given[0], "source"), (), f"{where}, error")
    _check_texts(error, ("source",), f"{where}, error")
    wanted, good = _ERRORS[given[0]]
    _require(good(error[given[0]]), f"{where}: error {given[0]} is {error[given[0]]!r}: it must be {wanted}")
    ranges = given[0] == "ci" and "low" in CLAIM_TESTS[kind].values
    _require(not ranges, f"{where}: a range has no interval of its own: give se or prompts")
    return dict(error)


def _check_keys(table: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...], where: str) -> None:
    for key in required:
        _require(key in table, f"{where}: {key} is missing: add it")
    for key in table:
        allowed = ", ".join((*required, *optional)) or "none"
        _require(key in (*required, *optional), f"{where}: no key {key!r} is known here: there are {allowed}")


def _check_texts(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        _require(_VALUES["name"](table[key]), f"{where}: {key} is {table[key]!r}: it must be a text")


def _require(fulfilled: object, message: str) -> None:
    if not fulfilled:
        raise AnalysisError(message)


def _article(kind: str) -> str:
    return {"two names": "a list of two names", "count": "a whole number from zero up"}.get(kind, f"a {kind}")


def _is_interval(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_VALUES["number"], value)) and value[0] < value[1]


def _is_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_VALUES["name"](one) for one in value)
