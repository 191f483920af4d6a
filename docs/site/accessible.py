"""What Sphinx, MyST-NB and furo leave out for those who use a keyboard or a screen reader."""

from typing import Any

_MENDED = {
    # What is wider than the page is scrolled by keys.
    "<pre>": '<pre tabindex="0">',
    '<div class="output text_html">': '<div class="output text_html" tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    ' aria-label="Toggle hidden content"': "",  # the summary's own text is its name
}


def setup(app: Any) -> dict[str, Any]:
    """Change the body of each page and the side bar, after the theme has made them."""
    app.connect("html-page-context", _mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _mend(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    for found, mended in _MENDED.items():
        context["body"] = context.get("body", "").replace(found, mended)
    captions = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = captions.replace('role="heading"', 'role="heading" aria-level="2"')
