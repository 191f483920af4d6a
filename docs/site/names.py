"""Docstrings for autodoc: errors by their short names, names of other packages, several names of one entry, pages."""

import re
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from sphinx.util.typing import stringify_annotation

import moexray.errors

# Classes that a user makes; what others are made of stands among their attributes.
_MADE = ("Prompt", "Limits")
# `within, across` in a list of attributes, as napoleon leaves it.
_SEVERAL = re.compile(r"^:ivar (\w+), ([\w, ]+):")
_PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")


def setup(app: Any) -> dict[str, Any]:
    """Resolve what Sphinx does not find; a name of moexray that nothing documents stays a warning."""
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-docstring", _mend, priority=900)  # after napoleon
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Find an error by its short name; leave names of other packages as they are: nothing is asked of a network."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removeprefix("moexray.errors.")
    if hasattr(moexray.errors, name):
        python = env.get_domain("py")
        return python.resolve_xref(env, node["refdoc"], app.builder, "exc", f"moexray.errors.{name}", node, text)
    return None if name.startswith("moexray.") else text


def _mend(_app: Any, what: str, _name: str, of: Any, _options: Any, lines: list[str]) -> None:
    """Keep all names of an entry, of which Sphinx would take the first for a type; link pages; list all fields."""
    if what == "class" and is_dataclass(of):
        hints, text = get_type_hints(of), "\n".join(lines)
        for name in (one.name for one in fields(of)):
            if not re.search(rf"^:ivar .*\b{name}\b.*?:", text, re.MULTILINE):
                lines += [f":ivar {name}:", f":vartype {name}: {stringify_annotation(hints[name], 'smart')}"]
    for place, line in enumerate(lines):
        lines[place] = _PAGE.sub(r":doc:`\1`", _SEVERAL.sub(r":ivar \1: with **\2**:", line))


def _shorten(_app: Any, what: str, name: str, *_more: Any) -> tuple[str, None] | None:
    """Leave out the signature of a class that nobody calls."""
    return ("", None) if what == "class" and name.rpartition(".")[2] not in _MADE else None
