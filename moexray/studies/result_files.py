"""Files of results: which kind of result one holds, told by the keys that this kind always has."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path

from moexray.errors import AnalysisError
from moexray.formats import visible
from moexray.studies.codec import key_of
from moexray.studies.results import Result, read_values


def read_kind(path: Path, kinds: Mapping[str, str], *, wanted: str) -> tuple[str, Result]:
    """Read a result, and say which kind it is.

    Parameters
    ----------
    path
        What a command printed with ``--json``, or an analysis.
    kinds
        The class of each kind that it may be, as ``module:Class``, by the command that makes it.
    wanted
        What a file of none of these kinds is not: ``a result that …``.

    Raises
    ------
    AnalysisError
        If it is none of these, missing, damaged or of a newer schema.
    """
    keys = _keys_of(path)
    for command, place in kinds.items():
        if required_keys(class_of(place)) <= keys:
            return command, class_of(place).load(path)
    # A file that lacks a key, or is of a newer schema, is refused as the kind that it is most like.
    like = [class_of(place) for place in kinds.values() if {"schema", class_of(place).MARK} <= keys]
    if like:
        max(like, key=lambda one: _share(required_keys(one), keys)).load(path)
    commands = ", ".join(f"`{class_of(place).MADE_BY}`" for place in kinds.values())
    message = f"{path} is not {wanted}: {commands} make one"
    raise AnalysisError(message)


def required_keys(kind: type[Result]) -> frozenset[str]:
    """Return the keys that every file of a kind of result has; no other kind has all of them."""
    return frozenset(
        key_of(one)
        for one in fields(kind)  # type: ignore[arg-type]  # every result is a dataclass
        if one.default is MISSING and one.default_factory is MISSING
    )


def class_of(place: str) -> type[Result]:
    """Return the class at a place such as ``moexray.studies.power_result:Power``."""
    module, _, name = place.partition(":")
    found: type[Result] = getattr(import_module(module), name)
    return found


def foreign(result: Result, *, fingerprint: str | None, model: str | None, weights: str | None = None) -> str | None:
    """Say why a result is not known to be of some signatures; None if it is.

    A result that says which signatures it studied must say these; one of several, such as a comparison, must have these
    among them. One that ran a model, without signatures, must be of the same model.

    Parameters
    ----------
    result
        A result of any kind.
    fingerprint, model, weights
        Of the signatures, their model, and the fingerprint of its weights, where it is known.
    """
    known = [one for one in result.studied() if one is not None]
    if known:
        others = f"is of other signatures: make it anew from these with `{result.MADE_BY}`"
        return None if fingerprint in known else others
    theirs = getattr(result, "model", None)
    if theirs is None:
        return "does not say which signatures or which model it is of"
    own = getattr(result, "fingerprint", None)  # of the weights, where no signatures were studied
    if theirs == model and None not in (own, weights) and own != weights:
        return f"is of other weights of {visible(str(theirs))} than the signatures: run it on the same model"
    if theirs == model:
        return None
    here = "an unknown model" if model is None else visible(model)
    return f"is of the model {visible(str(theirs))}, the signatures of {here}: run it on the same model"


def _keys_of(path: Path) -> frozenset[str]:
    document = read_values(path, "could not be read as a result: {}")
    return frozenset(document) if isinstance(document, dict) else frozenset()


def _share(required: frozenset[str], keys: frozenset[str]) -> float:
    return len(required & keys) / len(required)
