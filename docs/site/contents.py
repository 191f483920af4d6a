"""The side bar: one section for each table of the index, so that a page is listed once."""

import re
from typing import Any

_SECTION = re.compile(r"^## ([^\n]+)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"^\| \[([^\]]+)\]\(([\w-]+)\.md\)", re.MULTILINE)


def setup(app: Any) -> dict[str, Any]:
    """Add the side bar to the index before it is read."""
    app.connect("source-read", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add(_app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] += "".join(_tree(title, _PAGE.findall(table)) for title, table in _SECTION.findall(source[0]))


def _tree(title: str, pages: list[tuple[str, str]]) -> str:
    if not pages:
        return ""
    listed = "\n".join(f"{name} <{page}>" for name, page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:titlesonly:\n:maxdepth: 1\n:caption: {title}\n\n{listed}\n```\n"
