"""Figures as SVG that stands in a page: no style attributes, which its policy forbids, and colours that follow it."""

import io
import re
import warnings
from xml.etree import ElementTree

from matplotlib.axes import Axes

from moexray.views.figures.style import COLOURS, figure_of, figure_style

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LEFT_OUT = ("metadata", "style", "title")
# Black, white and greys of a figure on paper, as the page has them on paper and on a dark screen.
_COLOURS = {
    "#000000": "var(--ink)",
    "#ffffff": "var(--paper)",
    **dict.fromkeys(("#595959", "#666666"), "var(--faint)"),
    "#999999": "var(--rule-strong)",
    **dict.fromkeys(("#b2b2b2", "#bfbfbf", "#cccccc", "#d9d9d9", "#e6e6e6", "#ededed"), "var(--rule)"),
    **{colour.lower(): f"var(--c{place})" for place, colour in enumerate(COLOURS[:6], start=1)},
}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def drawing(axes: Axes | tuple[Axes, ...], name: str, label: str) -> str:
    """Return the figure of some axes as an SVG element; equal figures give equal text.

    Parameters
    ----------
    axes
        What a function of `moexray.views.figures` returned.
    name
        Makes the ids in it differ from those of other figures of the page.
    label
        What it shows, for those who do not see it.
    """
    figure = figure_of(axes)
    written = io.StringIO()
    with figure_style(), warnings.catch_warnings():
        # Texts stay texts, for which the browser has a font even where matplotlib has none.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(written.getvalue().encode("utf-8"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.removeprefix(f"{{{_SVG}}}") in _LEFT_OUT:
                parent.remove(child)
    for element in root.iter():
        _restyle(element, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": label, "class": "drawing"}
    root.attrib |= {"fill": "var(--ink)", "stroke-linejoin": "round"}
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element, name: str) -> None:
    """Write a style attribute as attributes of its own, and ids as those of this figure."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in ("font", "font-size"):
            size = re.search(r"([\d.]+)px", value)
            element.set("font-size", size[1] if size else "9")
        elif key and not key.startswith("font-"):
            element.set(key, value)
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        else:
            element.set(key, _COLOURS.get(value, _REFERENCE.sub(rf"url(#{name}-\1)", value)))
