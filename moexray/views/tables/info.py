"""The table of what a file holds."""

from collections.abc import Mapping
from typing import Any

from moexray.formats import number
from moexray.views.tables.table import Column, Page, Table


def info_page(found: Mapping[str, Any]) -> Page:
    """Return a row for each value that describes a file."""
    return Page("", Table("", [Column(whole=True), Column()], [(name, _text(value)) for name, value in found.items()]))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return number(value, 3)
    return f"{value:,}" if type(value) is int else str(value)
