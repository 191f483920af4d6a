"""The directive ``results``: every kind of result, and every class inside of one, by autodoc."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, get_args, get_type_hints

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from moexray.views.studies import STUDIES


class Results(SphinxDirective):
    """A heading and the fields for each command whose answer is a result, and the classes of its parts."""

    def run(self) -> list[nodes.Node]:
        """Return what autodoc makes of the classes."""
        seen: set[type] = set()
        parts = []
        for command, study in STUDIES.items():
            module, _, name = study.result.partition(":")
            found = list(_classes(getattr(import_module(module), name), seen))
            lines = "\n\n".join(f".. autoclass:: {one.__module__}.{one.__qualname__}" for one in found)
            parts.append(f"## {command}\n\n{study.reading}\n\n```{{eval-rst}}\n{lines}\n```\n")
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def setup(app: Any) -> dict[str, Any]:
    """Offer the directive."""
    app.add_directive("results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _classes(hint: Any, seen: set[type]) -> Iterator[type]:
    """Yield a dataclass and those of its fields, each once."""
    if is_dataclass(hint) and isinstance(hint, type) and hint not in seen:
        seen.add(hint)
        yield hint
        hints = get_type_hints(hint)
        for field in fields(hint):
            yield from _classes(hints[field.name], seen)
    for part in get_args(hint):
        yield from _classes(part, seen)
