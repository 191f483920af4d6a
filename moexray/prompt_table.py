"""The prompts behind an array: their ids, categories and whatever else is known of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError

Strings = Sequence[str]


@dataclass(frozen=True)
class PromptTable:
    """One row a prompt. It checks itself when made.

    Attributes
    ----------
    ids
        Unique.
    categories
        The label of each prompt.
    groups
        The unit that each prompt belongs to (template, source), empty for none; None where no prompt has one.
    texts, outputs
        The prompts as given, and what the model wrote after them, where kept.
    columns
        Any further column by name.

    Raises
    ------
    SignaturesError
        If columns are not as long as each other, two prompts have one id, a prompt has no id or no category, or a
        further column has the name of an attribute.
    """

    ids: Strings
    categories: Strings
    groups: Strings | None = None
    texts: Strings | None = None
    outputs: Strings | None = None
    columns: Mapping[str, Strings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = [one.name for one in fields(self) if one.name in self.columns]
        if taken:
            message = f"a further column cannot be called {taken[0]}: prompts have {taken[0]} of their own"
            raise SignaturesError(message)
        for name, strings in self.all_columns().items():
            if len(strings) != len(self.ids):
                message = f"{name} do not fit {len(self.ids)} prompts: there are {len(strings)}"
                raise SignaturesError(message)
        for name, strings in (("id", self.ids), ("category", self.categories)):
            blank = next((one for one in set(strings) if not one.strip()), None)
            if blank is not None:
                place = list(strings).index(blank) + 1
                message = f"prompt {place} has the {name} {blank!r}: give every prompt one that is not blank"
                raise SignaturesError(message)
        if len(set(self.ids)) < len(self.ids):
            seen: set[str] = set()
            twice = next(name for name in self.ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            message = f"two prompts have the id {twice!r}: ids must be unique"
            raise SignaturesError(message)

    def __len__(self) -> int:
        return len(self.ids)

    def all_columns(self) -> dict[str, Strings]:
        """Return every column that is there, by name; `columns` come last."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "columns"}
        return {**{name: strings for name, strings in named.items() if strings is not None}, **self.columns}

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "PromptTable":
        """Return the prompts at these places, in the order given."""
        places = places_of(rows, len(self)).tolist()
        return self._of({name: rows_of(strings, places) for name, strings in self.all_columns().items()})

    def bare(self) -> "PromptTable":
        """Return the table without texts, outputs and further columns."""
        return PromptTable(self.ids, self.categories, self.groups)

    def place_of(self) -> dict[str, int]:
        """Return the place of each id."""
        return {name: place for place, name in enumerate(self.ids)}

    @staticmethod
    def concat(tables: Sequence["PromptTable"]) -> "PromptTable":
        """Join tables, in the order given.

        A prompt of a table without groups has none. Texts, outputs and further columns are kept where all tables
        have them.
        """
        grouped = any(table.groups is not None for table in tables)
        parts = [{**table.all_columns(), **(_groups(table) if grouped else {})} for table in tables]
        names = [name for name in parts[0] if all(name in part for part in parts)]
        return PromptTable._of({name: tuple(one for part in parts for one in part[name]) for name in names})

    @staticmethod
    def _of(columns: Mapping[str, Strings]) -> "PromptTable":
        own = {one.name for one in fields(PromptTable)} - {"columns"}
        further = {name: strings for name, strings in columns.items() if name not in own}
        return PromptTable(**{name: columns[name] for name in columns if name in own}, columns=further)


def places_of(rows: Sequence[int] | NDArray[np.integer], length: int) -> NDArray[np.int64]:
    """Return the places that an index of NumPy names among `length`: negative ones count from the end."""
    return np.arange(length)[np.asarray(rows) if len(rows) else []]


def rows_of(strings: Strings, places: Iterable[int]) -> tuple[str, ...]:
    """Return the strings at these places; strings that lie in a file are read in one pass."""
    chosen = list(places)
    at = getattr(strings, "at", None)
    return at(chosen) if at is not None else tuple(strings[i] for i in chosen)


def _groups(table: PromptTable) -> dict[str, Strings]:
    return {"groups": table.groups or ("",) * len(table)}
