"""Links to Markdown files beside the docs, which are no pages of the site: their text stays, the link goes."""

import re
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./|\./)[\w/.-]+\.md\)")


def setup(app: Any) -> dict[str, Any]:
    """Change pages, and files that they include, when they are read."""
    app.connect("source-read", lambda _app, _page, source: _unlink(source))
    app.connect("include-read", lambda _app, _path, _page, source: _unlink(source))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _unlink(source: list[str]) -> None:
    source[0] = _LINK.sub(r"\1", source[0])
