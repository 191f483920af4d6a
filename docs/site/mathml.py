"""Formulas as MathML, which browsers draw by themselves: the site needs no script and no network for them."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

_logger = logging.getLogger(__name__)


def setup(app: Any) -> dict[str, Any]:
    """Offer the renderer ``mathml`` for ``html_math_renderer``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_markup(node, "inline"))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math" tabindex="0">{_markup(node, "block")}</div>\n')
    raise nodes.SkipNode


def _markup(node: nodes.Element, display: str) -> str:
    """Return the formula; a command that the converter does not know is passed on as text, so it is a warning here."""
    markup: str = convert(node.astext(), display=display)
    if "\\" in markup:
        _logger.warning("a command of this formula is not known: %s", node.astext(), location=node)
    return markup
