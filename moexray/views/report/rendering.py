"""The template of a page, its script and its style."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from moexray.version import __version__
from moexray.views.report.policy import policy

# What would end a script or a style before its end, in whatever letters.
_ENDS = ("</script", "</style", "<!--", "<script")


def rendered(**values: Any) -> str:
    """Return a page of some values, all of which are texts but what `trusted` returned."""
    script, style = _asset("report.js"), _asset("report.css")
    html: str = _template().render(
        policy=policy(script, style), script=trusted(script), style=trusted(style), version=__version__, **values
    )
    return html


@cache
def _asset(name: str) -> str:
    """Return the script or the style of a page; no part of it ends the element that it stands in."""
    text = files("moexray.views.report").joinpath("static", name).read_text(encoding="utf-8")
    for end in _ENDS:
        if end in text.lower():
            message = f"{name} holds {end!r}, which would end its element"
            raise ValueError(message)
    return text


def trusted(text: str) -> Any:
    """Return a text of our own, which is markup: the script, the style, and drawings."""
    from markupsafe import Markup

    return Markup(text)  # none of it comes from prompts or models but as text nodes that were escaped


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("moexray.views.report", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Sorted keys would shuffle what is in order; no key of ours repeats.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False, "ensure_ascii": True}
    environment.policies["json.dumps_function"] = json.dumps
    return environment.get_template("report.html")
