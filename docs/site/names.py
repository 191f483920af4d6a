"""Names in docstrings: errors by their short names, and names of other packages, whose addresses only a network has."""

from typing import Any

import moexray.errors


def setup(app: Any) -> dict[str, Any]:
    """Resolve what Sphinx does not find; a name of moexray that nothing documents stays a warning."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app: Any, env: Any, node: Any, text: Any) -> Any:
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removeprefix("moexray.errors.")
    if hasattr(moexray.errors, name):
        python = env.get_domain("py")
        return python.resolve_xref(env, node["refdoc"], app.builder, "exc", f"moexray.errors.{name}", node, text)
    return None if name.startswith("moexray.") else text
