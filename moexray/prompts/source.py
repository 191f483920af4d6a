"""Source: a file, a stream or a data set that prompts are read from, and how its errors call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from moexray.errors import PromptsError

Unit = Literal["line", "row"]


@dataclass(frozen=True)
class Source:
    """What prompts are read from: its name in errors, the category that it stands for, and what it counts in."""

    name: str
    category: str
    unit: Unit

    def __str__(self) -> str:
        return self.name

    def place(self, number: int) -> str:
        """Say where the prompt of this number stands, counted from 1."""
        return f"{self.name} {self.unit} {number}"

    def id(self, number: int) -> str:
        """Return the id of the prompt of this number, where the source gives it none."""
        return f"{self.category}-{number:02}"

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Say in one sentence why the source cannot be read."""
        try:
            yield
        except OSError as error:
            problem = f"{self} could not be read: {error.strerror or error}"
            raise PromptsError(problem) from error
