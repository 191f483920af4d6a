"""Prompt against generated routing on screen: rows of the headline."""

from collections.abc import Mapping, Sequence
from typing import Any

from moexray.formats import p_text, percent


def phase_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a name and a text for either phase, their difference, and one prompt's routing in both."""
    found = document.get("phases")
    if found is None:
        return []
    less, own = found["difference"], found["own"]
    alike = f"{own['mean']:.3f} own prompt, {_number(found['same_category'], '.3f')} same category"
    return [
        ("prompt tokens", _effect(found["prompt"])),
        ("generated tokens", _effect(found["generated"])),
        ("generated less", f"{_number(less['cohens_d'], '+.2f')}{_interval(less['ci'], '+.2f')} of d"),
        ("between phases", f"{alike}: {p_text(found['p_value'])}"),
    ]


def _effect(phase: Mapping[str, Any]) -> str:
    accuracy = "–" if phase["accuracy"] is None else percent(phase["accuracy"])
    return f"d = {_number(phase['cohens_d'], '.2f')}{_interval(phase['cohens_d_ci'], '.2f')}, accuracy {accuracy}"


def _interval(ends: Sequence[float] | None, form: str) -> str:
    return "" if ends is None else f" [{ends[0]:{form}}, {ends[1]:{form}}]"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
