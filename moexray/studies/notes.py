"""Notes of a study: why something is None, or what it looked at."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from moexray.errors import NotComputable

if TYPE_CHECKING:
    from moexray.studies.cohort import Cohort

R = TypeVar("R")


@runtime_checkable
class Explained(Protocol):
    """A result that says which of its parts are None, and why."""

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each part that could not be computed, and the reason."""


class Notes:
    """Notes by the name of what they are about; those of a part of a part have a name with dots.

    Examples
    --------
    >>> notes = Notes()
    >>> notes.under("classifier").add("p_value", "there is one category only")
    >>> notes.found
    {'classifier.p_value': 'there is one category only'}
    """

    def __init__(self, found: dict[str, str] | None = None, prefix: str = "") -> None:
        self.found = {} if found is None else found
        self.prefix = prefix

    def under(self, name: str) -> "Notes":
        """Return the notes of a part; they are among these."""
        return Notes(self.found, self._key(name))

    def add(self, name: str, note: str) -> None:
        """Note something of a part, or of the whole where the name is empty."""
        self.found[self._key(name)] = note

    def attempt(self, name: str, compute: Callable[[], R]) -> R | None:
        """Return what `compute` returns, and note what that misses; None and a note where it is not computable."""
        try:
            result = compute()
        except NotComputable as reason:
            self.add(name, str(reason))
            return None
        if isinstance(result, Explained):
            of_part = self.under(name)
            for part, note in result.missing():
                of_part.add(part, note)
        return result

    def sampled(self, some: "Cohort", cohort: "Cohort", name: str = "") -> None:
        """Note that a part looks at some prompts of a cohort; nothing where it looks at all of them."""
        if len(some) < len(cohort):
            self.add(name, str(some.sampled()))

    def sorted(self) -> Mapping[str, str]:
        """Return the notes in the order of their names."""
        return dict(sorted(self.found.items()))

    def _key(self, name: str) -> str:
        return ".".join(part for part in (self.prefix, name) if part)
