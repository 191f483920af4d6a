"""Results of other studies than the analysis, which a claim may be about: found in their files, and read by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moexray.errors import AnalysisError, NotComputable
from moexray.model_fingerprint import weights_of
from moexray.signatures import Signatures
from moexray.studies.result_files import foreign, read_kind
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
    model, weights = signatures.meta.get("model"), weights_of(signatures.meta)
    for path in paths:
        command, result = read_kind(path, GIVEN, wanted="a result that claims can be about")
        if command in found:
            message = f"{path} is a second result of `moexray {command}`: give one of each"
            raise AnalysisError(message)
        problem = foreign(result, fingerprint=signatures.fingerprint, model=model, weights=weights)
        if problem is not None:
            message = f"{path} {problem}"
            raise AnalysisError(message)
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
