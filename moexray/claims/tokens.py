"""What token identity has to do with a headline claim: said beside its verdict, which stays what its test says."""

from collections.abc import Callable, Mapping
from typing import Any

from moexray.formats import p_text, percent

Control = Mapping[str, Any]


def token_remark(kind: str, document: Mapping[str, Any]) -> str | None:
    """Say how much of a claim's figure is the tokens themselves; None where that is not known or not asked."""
    found = document.get("controls", {}).get("token_identity")
    return _REMARKS[kind](found) if found is not None and kind in _REMARKS else None


def _separation(found: Control) -> str | None:
    share = found["share"]
    if share is None:
        return None
    between = "" if share["ci"] is None else " [{}, {}]".format(*map(percent, share["ci"]))
    return f"token identity is {percent(share['share'])}{between} of the separation, on {_covered(found)}"


def _left(found: Control) -> str | None:
    residual = found["residual"]
    return None if residual is None else f"what tokens leave: {p_text(residual['p_value'])}, on {_covered(found)}"


def _classified(found: Control) -> str | None:
    expected, residual = found["expected"], found["residual"]
    if residual is None or residual["accuracy"] is None or expected["accuracy"] is None:
        return None
    shares = f"expected by token {percent(expected['accuracy'])}, what tokens leave {percent(residual['accuracy'])}"
    return f"{shares}, on {_covered(found)}"


def _covered(found: Control) -> str:
    return f"the {percent(found['covered'])} of tokens that occur often elsewhere"


_REMARKS: Mapping[str, Callable[[Control], str | None]] = {
    "effect_size": _separation,
    "shuffled_labels": _left,
    "accuracy": _classified,
}
