"""Which column, or key, of a file holds what: as asked for, or by its usual name."""

from collections.abc import Iterable
from dataclasses import dataclass

from moexray.errors import PromptsError
from moexray.prompts.source import Source

_USUAL = {"text": ("text", "prompt", "messages"), "category": ("category", "label"), "id": ("id",), "group": ("group",)}
USUAL_NAMES = tuple(name for names in _USUAL.values() for name in names)


def in_usual_spelling(name: str) -> str:
    """Return a column's name without capitals and spaces around it, as `USUAL_NAMES` are written."""
    return name.strip().casefold()


@dataclass(frozen=True)
class Columns:
    """The names of columns that were asked for; None stands for the usual one."""

    text: str | None = None
    category: str | None = None
    id: str | None = None
    group: str | None = None

    @property
    def asked(self) -> dict[str, str]:
        """What was asked for: names of columns by what they hold."""
        parts = {"text": self.text, "category": self.category, "id": self.id, "group": self.group}
        return {part: name for part, name in parts.items() if name is not None}

    def find(self, place: str, names: Iterable[str]) -> dict[str, str]:
        """Return which of the columns `names` hold the text, and, where there are such, category, id and group.

        Raises
        ------
        PromptsError
            If one that was asked for is not there, there is no text, or two could hold the same.
        """
        there = list(names)
        found = {}
        for part, usual in _USUAL.items():
            wanted = self.asked.get(part)
            fitting = [
                name for name in there if (in_usual_spelling(name) in usual if wanted is None else name == wanted)
            ]
            if (
                wanted is None
            ):  # One that was asked for something else holds no second thing, unless it is the only text.
                others = [name for name in fitting if name not in self.asked.values()]
                fitting = others or (fitting if part == "text" else [])
            if len(fitting) > 1:
                problem = f"{place} has {_listed(fitting)}: which holds the {part}? Name it with --{part}-column"
                raise PromptsError(problem)
            if not fitting and (wanted is not None or part == "text"):
                problem = f"{place} has no {_listed(usual if wanted is None else [wanted], 'or')}: it has "
                problem += _listed(there) + ("" if wanted else "; name the column of the texts with --text-column")
                raise PromptsError(problem)
            if fitting:
                found[part] = fitting[0]
        return found

    def refuse(self, source: Source) -> None:
        """Raise PromptsError if columns were asked for, of a source that has none."""
        for part, name in self.asked.items():
            problem = f'{source} has no column "{name}", being plain text: leave --{part}-column out'
            raise PromptsError(problem)


def _listed(names: Iterable[str], last: str = "and") -> str:
    quoted = [f'"{name}"' for name in names]
    return f" {last} ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]])) or "nothing"
