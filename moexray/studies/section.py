"""Sections: fields of a result that say how they are computed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, TypeVar

from moexray.studies.codec import key_of
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes

R = TypeVar("R")
Compute = Callable[[Cohort, Notes], R]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Section:
    """A part of a result.

    Attributes
    ----------
    field, key
        Its field, and its key in the JSON and in notes.
    compute
        A function of the cohort and the notes of this section; or a dataclass whose fields are sections.
    when_asked
        Whether it is computed only where it is asked for.
    """

    field: str
    key: str
    compute: Compute[Any] | type
    when_asked: bool


def section(
    compute: Compute[R],
    *,
    key: str | None = None,
    when_asked: bool = False,
    beside: str | None = None,
    added: bool = False,
) -> R:
    """Return a field that `compute` fills; None where that raises `NotComputable`, with the reason in the notes.

    Parameters
    ----------
    compute
        The function that returns the field's value.
    key
        Its key in the JSON, by default its name.
    when_asked
        Compute it only where it is asked for; else it has no key in the JSON.
    beside
        Another field: where that is not None, it has its key even with null.
    added
        Files of earlier versions lack it; read from them, it is None.
    """
    made: R = _field(compute, key=key, when_asked=when_asked, beside=beside, added=added)
    return made


def group(of: type[R]) -> R:
    """Return a field that holds a dataclass of sections."""
    made: R = _field(of, key=None)
    return made


def _field(
    compute: Any, *, key: str | None, when_asked: bool = False, beside: str | None = None, added: bool = False
) -> Any:
    metadata = {"compute": compute, "optional": when_asked, "beside": beside, **({} if key is None else {"key": key})}
    return field(default=None, metadata=metadata) if when_asked or added else field(metadata=metadata)


def sections_of(result: Any) -> list[Section]:
    """Return the sections of a dataclass, in order."""
    return [
        Section(one.name, key_of(one), one.metadata["compute"], one.metadata["optional"])
        for one in fields(result)
        if "compute" in one.metadata
    ]


def compute_sections(
    of: type, cohort: Cohort, notes: Notes, *, asked: Collection[str] = (), announce: Announce | None = None
) -> dict[str, Any]:
    """Return the value of each section of a dataclass, by the name of its field.

    Parameters
    ----------
    of
        The dataclass.
    cohort, notes
        What the sections are computed of, and where they note what is missing.
    asked
        Keys of the sections that are asked for.
    announce
        Called with the name of each section before it is computed.
    """
    found: dict[str, Any] = {}
    for one in sections_of(of):
        part = notes.under(one.key)
        if isinstance(one.compute, type):
            found[one.field] = one.compute(**compute_sections(one.compute, cohort, part, announce=announce))
        elif not one.when_asked or one.key in asked:
            if announce is not None:
                announce(part.prefix)
            found[one.field] = part.attempt("", partial(one.compute, cohort, part))
    return found
