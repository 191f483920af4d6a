"""The command that made a result, as far as the result says: its settings, without those that are the default.

What a result does not hold, such as the name of another file or of prompts, stands as a word in capital letters.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from moexray.claims.study_file import shipped_names, shipped_study
from moexray.formats import visible
from moexray.studies.results import Result

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_PERMUTATIONS = 10_000
_RANKINGS, _BY_CATEGORY = ["coldest", "hottest", "lightest", "redundant", "category"], "least used by "


@dataclass(frozen=True)
class Setting:
    """An option of a command: its value, and whether a command without it means the same."""

    option: str
    value: str
    default: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What stands in a command: the option and its value; an option alone where it takes none."""
        return (f"--{self.option}", self.value) if self.value else (f"--{self.option}",)


def settings_of(command: str, result: Result) -> list[Setting]:
    """Return the settings of a result that differ from one result of a command to another, in a fixed order."""
    return _SETTINGS[command](result)


def command_line(command: str, result: Result, file: str, fingerprint: str | None) -> str:
    """Return the command that prints a result.

    Parameters
    ----------
    command
        Which one.
    result
        What it printed.
    file, fingerprint
        The name of the signatures that a report is of, and their fingerprint.
    """
    words = ["moexray", command, *_named(command, result, file, fingerprint)]
    for one in settings_of(command, result):
        if not one.default:
            words += one.words
    if command != "analyze":  # which writes a file by itself
        words.append("--json")
    return " ".join(shlex.quote(visible(word)) for word in words)


def _named(command: str, result: Any, file: str, fingerprint: str | None) -> list[str]:
    """Return the files, or the model, that a command is given."""
    if command in ("ablate", "budget"):
        return [result.model or "MODEL"]
    if command == "power" and result.pilot is None:
        return []
    if command in ("compare", "pool"):
        own = [one is not None and one == fingerprint for one in result.studied()]
        numbers = count(1)
        several = own.count(False) > 1
        return [file if is_own else f"OTHER{next(numbers) if several else ''}.npz" for is_own in own]
    return [file]


def _setting(option: str, value: object, default: object = None) -> list[Setting]:
    """Return an option with its value; nothing where the result has none."""
    if value is None:
        return []
    values = value if isinstance(value, list | tuple) else [value]
    return [Setting(option, ",".join(map(str, values)), default=value == default)]


def _flag(option: str, *, given: bool) -> list[Setting]:
    return [Setting(option, "")] if given else []


def _analyze(found: Any) -> list[Setting]:
    about, made = found.signatures, found.settings
    return [
        *_setting("tokens", about.phase, "all"),
        *_setting("by", about.by, "counts"),
        *_setting("permutations", made.permutations, _PERMUTATIONS),
        *_setting("folds", made.folds, 5),
        *_setting("seed", made.seed, 0),
        *_flag("specifications", given=bool(getattr(found, "specifications", None))),
    ]


def _claims(found: Any) -> list[Setting]:
    shipped = (name for name in shipped_names() if shipped_study(name).title == found.study.title)
    return [*_setting("claims", next(shipped, "CLAIMS.toml"), shipped_names()[0]), *_analyze(found)]


def _ablate(found: Any) -> list[Setting]:
    experts = {
        kind: [f"{layer}:{one}" for policy in found.policies if policy.kind == kind
               for layer, some in policy.experts.items() for one in some]
        for kind in ("chosen", "forced")
    }  # fmt: skip
    ranks = [one.policy for one in found.policies if one.kind == "ranking"]
    of_others = any(" of " in one for one in ranks)  # "coldest of FILE": those that a file ranks
    known = dict.fromkeys("category" if one.startswith(_BY_CATEGORY) else one for one in ranks if " of " not in one)
    return [
        *_setting("rank", list(known) or None, _RANKINGS),
        *_setting("ranking", "FILE" if of_others else None),
        *_setting("share", found.share, 0.25),
        *_setting("without", experts["chosen"] or None),
        *_setting("force", experts["forced"] or None),
        *_setting("active", sorted({one.without for one in found.active or ()}) or None),
        *_setting("kind", found.kind),
        *_setting("meaning", found.meaning, "replaced"),
        *_setting("draws", found.draws, 10),
        *_setting("new-tokens", found.new_tokens, 8),
        *_setting("seed", found.seed, 0),
    ]


def _batch(found: Any) -> list[Setting]:
    return [
        *_setting("sizes", found.mean.sizes, _BATCHES),
        *_setting("group-size", None if found.grouping is None else found.grouping.size, 8),
        *_setting("policy", None if found.policy is None else f"oea:k0={found.policy.k0}"),
        *_setting("tokens", found.tokens, "all"),
        *_expert_bytes(None if found.bytes is None else found.bytes.expert),
        *_setting("seed", found.seed, 0),
    ]


def _budget(found: Any) -> list[Setting]:
    policies = found.policies
    shares = dict.fromkeys(f"{one.keep:g}" for one in policies if one.keep_kinds is None)
    return [
        *_setting("policy", list(dict.fromkeys(one.policy for one in policies))),
        *_setting("keep", list(shares) or None),
        *_setting("new-tokens", found.new_tokens, 8),
        *_setting("seed", found.seed, 0),
    ]


def _cache(found: Any) -> list[Setting]:
    capacities = {one.capacities for one in found.layers}
    return [
        *_setting("capacity", next(iter(capacities)) if len(capacities) == 1 else None),
        *_setting("tokens", found.tokens, "all"),
        *_setting("hit-rate", found.wanted, 0.9),
        *_expert_bytes(found.expert_bytes),
        *_flag("shared", given=found.shared is not None),
        *_setting("seed", found.seed, 0),
    ]


def _expert_bytes(of_layers: Sequence[int] | None) -> list[Setting]:
    """Return the bytes of an expert where all layers have the same; they may be those of the capture."""
    return _setting("expert-bytes", of_layers[0]) if of_layers and len(set(of_layers)) == 1 else []


def _check(found: Any) -> list[Setting]:
    prompts = None if found.comparison is None else len(found.comparison.prompts)
    return [*_setting("number", prompts, 4), *_flag("no-model", given=found.reference is None)]


def _compare(found: Any) -> list[Setting]:
    traced = any(one.agreement is not None for one in found.layers)
    return [
        *[Setting("trace", one) for one in ("FIRST.trace.parquet", "SECOND.trace.parquet") if traced],
        *_flag("common", given=found.common is True),
        *_setting("tokens", found.phase, "all"),
        *_setting("permutations", found.permutations, _PERMUTATIONS),
        *_setting("seed", found.seed, 0),
    ]


def _coverage(found: Any) -> list[Setting]:
    return [
        *_setting("below", found.below, 10),
        *_setting("tokens", found.tokens, "all"),
        *_setting("seed", found.seed, 0),
    ]


def _experts(found: Any) -> list[Setting]:
    one_layer = found.layers[0] if len(found.layers) == 1 else None
    one_expert = one_layer.experts[0].expert if one_layer is not None and len(one_layer.experts) == 1 else None
    return [
        *_setting("layer", None if one_layer is None else one_layer.layer),
        *_setting("expert", one_expert),
        *_setting("tokens", found.phase, "all"),
        *_setting("permutations", found.permutations, _PERMUTATIONS),
        *_setting("seed", found.seed, 0),
    ]


def _kinds(found: Any) -> list[Setting]:
    return [
        *_setting("kinds", found.kinds),
        *_setting("other", None if found.shift is None else "OTHER.npz"),
        *_setting("devices", None if found.devices is None else found.devices.devices),
        *_setting("permutations", found.permutations, _PERMUTATIONS),
        *_setting("seed", found.seed, 0),
    ]


def _place(found: Any) -> list[Setting]:
    return [
        *_setting("devices", found.devices),
        *_setting("redundant", found.redundant, 0),
        *_setting("nodes", found.nodes, 1),
        *_setting("groups", found.groups),
        *_setting("batch", found.batch, 16),
        *_setting("tokens", found.tokens, "all"),
        *_setting("placement", None if found.map is None else found.map.placement),
        *_setting("seed", found.seed, 0),
    ]


def _pool(found: Any) -> list[Setting]:
    return [
        *_setting("tokens", found.phase, "all"),
        *_setting("by", found.by, "counts"),
        *_setting("permutations", found.permutations, _PERMUTATIONS),
        *_setting("seed", found.seed, 0),
    ]


def _power(found: Any) -> list[Setting]:
    pilot = found.pilot
    return [
        *(_setting("effect", found.effect) + _setting("categories", found.categories, 4) if pilot is None else []),
        *(_setting("vary", found.varied) + _setting("prompts", found.prompts) if pilot is not None else []),
        *_setting("groups", None if pilot is None or pilot.design == "crossed" else found.groups),
        *_setting("tokens", None if pilot is None else pilot.phase, "all"),
        *_setting("target", found.target, 0.8),
        *_setting("studies", found.studies, 200),
        *_setting("seed", found.seed, 0),
    ]


_SETTINGS: Mapping[str, Callable[[Any], list[Setting]]] = {
    "analyze": _analyze,
    "ablate": _ablate,
    "batch": _batch,
    "budget": _budget,
    "cache": _cache,
    "check": _check,
    "claims": _claims,
    "compare": _compare,
    "coverage": _coverage,
    "experts": _experts,
    "kinds": _kinds,
    "place": _place,
    "pool": _pool,
    "power": _power,
}
