"""A table of any part of a result, for a part that has none of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from moexray.formats import MISSING
from moexray.studies.results import rows_of
from moexray.views.tables.table import Column, Table
from moexray.views.wording import name_of


def generic_tables(name: str, part: Any) -> Iterator[Table]:
    """Yield a table of a part's values, and one of each list or mapping inside of it.

    Parameters
    ----------
    name
        Its key in the result.
    part
        A dataclass, a mapping or a sequence of them, or a value.
    """
    rows = [row for row in rows_of(part) if row]
    if len(rows) == 1 and is_dataclass(part):
        yield Table(
            name_of(name), ["", Column("", numeric=True)], [(name_of(key), _text(rows[0][key])) for key in rows[0]]
        )
    elif rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        numeric = [all(isinstance(row.get(key), int | float | None) for row in rows) for key in columns]
        yield Table(
            name_of(name),
            [Column(name_of(key), numeric=is_number) for key, is_number in zip(columns, numeric, strict=True)],
            [[_text(row.get(key)) for key in columns] for row in rows],
        )
    if is_dataclass(part):
        for one in fields(part):
            inner = getattr(part, one.name)
            if isinstance(inner, Mapping | tuple) and not one.name.endswith("ci"):
                yield from generic_tables(f"{name}.{one.name}", inner)


def _text(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
