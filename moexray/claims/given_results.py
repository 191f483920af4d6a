"""Results of other studies than the analysis, which a claim may be about: found in their files, and read by name."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from moexray import strict_json
from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.studies.codec import key_of
from moexray.studies.results import Result

# By the command that makes it, each result that claims may be about.
GIVEN: Mapping[str, str] = {
    "ablate": "moexray.studies.ablation_result:Ablation",
    "batch": "moexray.studies.batch_report:Batching",
    "cache": "moexray.studies.cache_report:CacheReport",
    "coverage": "moexray.studies.coverage_report:Coverage",
    "place": "moexray.studies.placement_results:PlacementStudy",
}


# What an object calls the estimate whose interval it calls ``ci``; of any other key k it is ``k_ci``.
_ESTIMATES = ("value", "mean", "experts", "r")


def read_given(paths: Sequence[Path], signatures: Signatures) -> dict[str, Result]:
    """Read results that `--json` printed, by the command that printed them.

    Raises
    ------
    AnalysisError
        If a file is of no such command, two are of the same one, or one is of other signatures or another model.
    """
    found: dict[str, Result] = {}
    for path in paths:
        command = _command_of(path)
        if command in found:
            message = f"{path} is a second result of `moexray {command}`: give one of each"
            raise AnalysisError(message)
        result = _class_of(command).load(path)
        _check_studied(result, signatures, path)
        found[command] = result
    return found


def value_at(result: Result, place: str) -> tuple[float, tuple[float, float] | None]:
    """Return a value of a result and its interval, by the keys of its JSON, joined by dots.

    An item of a list is named by some of its keys: ``srp.m=16.value``, ``active.layer=15,without=7.added``. An object
    that has a ``ci`` stands for the estimate beside it: its ``value``, ``mean``, ``experts`` or ``r``.

    Raises
    ------
    NotComputable
        If there is no such number.
    """
    holder: Any = None
    found: Any = result.document
    key = ""
    for key in place.split("."):
        holder, found = found, _step(found, key)
    # Where a list of policies or sizes has intervals, ``ci`` is no pair, and no number is the estimate.
    if isinstance(found, Mapping) and not isinstance(found.get("ci", {}), Mapping):
        holder, key = found, next((name for name in _ESTIMATES if name in found), "value")
        found = found.get(key)
    if type(found) not in (int, float):
        name = place.split(".", maxsplit=1)[0]
        message = result.reason(name) or f"the result has no number at {place}"
        raise NotComputable(message)
    beside = "ci" if key in _ESTIMATES else f"{key}_ci"
    ends = holder.get(beside) if isinstance(holder, Mapping) else None
    return float(found), (float(ends[0]), float(ends[1])) if isinstance(ends, list) else None


def _step(found: Any, key: str) -> Any:
    if isinstance(found, Mapping):
        return found.get(key)
    if isinstance(found, list):
        wanted = dict(part.split("=", maxsplit=1) for part in key.split(",") if "=" in part)
        matching = [one for one in found if all(str(one.get(name)) == value for name, value in wanted.items())]
        return matching[0] if wanted and len(matching) == 1 else None
    return None


def _command_of(path: Path) -> str:
    try:
        document = strict_json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{path} could not be read as a result: {error}"
        raise AnalysisError(message) from error
    keys = set(document) if isinstance(document, dict) else set()
    for command in GIVEN:
        needed = {
            key_of(one)
            for one in fields(_class_of(command))  # type: ignore[arg-type]  # every result is a dataclass
            if one.default is MISSING and one.default_factory is MISSING
        }
        if needed <= keys:
            return command
    commands = ", ".join(f"`moexray {command} --json`" for command in GIVEN)
    message = f"{path} is no result that claims can be about: {commands} print those"
    raise AnalysisError(message)


def _class_of(command: str) -> type[Result]:
    module, _, name = GIVEN[command].partition(":")
    found: type[Result] = getattr(import_module(module), name)
    return found


def _check_studied(result: Result, signatures: Signatures, path: Path) -> None:
    """Refuse a result of other signatures, or, where it is of a model that ran, of another model."""
    if result.studied() == (None,):
        here, theirs = signatures.meta.get("model"), getattr(result, "model", None)
        if here == theirs:
            return
        message = f"{path} is of the model {theirs}, the signatures of {here}: run it on the same model"
    elif result.belongs_to(signatures):
        return
    else:
        message = f"{path} is of other signatures: make it anew from these with `{result.MADE_BY}`"
    raise AnalysisError(message)
