"""The tokens of a page."""

from typing import Any

import numpy as np

from moexray.studies.explored_tokens import ExploredTokens
from moexray.views.report.encoding import Block, array_block, json_block, narrowest

# Gate weights take one byte each: this many steps up to the greatest.
STEPS = 255


def token_blocks(tokens: ExploredTokens) -> tuple[list[Block], dict[str, Any]]:
    """Return the blocks of the tokens of a page, and what the page must know of them.

    Experts that were not selected, where a token has fewer than k, are the greatest number of their type. Gate weights
    are rounded to 1/255 of the greatest.
    """
    texts = [f"#{number}" if text is None else text for text, number in zip(tokens.texts, tokens.ids, strict=True)]
    blocks = [
        json_block("token-texts", texts),
        array_block("token-rows", tokens.rows.astype(np.uint32)),
        array_block("token-lengths", tokens.lengths.astype(np.uint32)),
        array_block("token-text", narrowest(tokens.text)),
        array_block("token-segments", tokens.segments.astype(np.uint8)),
        array_block("token-experts", narrowest(tokens.experts.astype(np.int64), missing=-1)),
    ]
    most = None
    if tokens.weights is not None:
        most = float(tokens.weights.max(initial=0.0)) or 1.0
        blocks.append(array_block("token-weights", np.rint(tokens.weights / most * STEPS).astype(np.uint8)))
    about = {
        "prompts": len(tokens.rows),
        "ranked": tokens.ranked,
        "greatest_weight": most,
        "steps": STEPS,
        "texts": any(text is not None for text in tokens.texts),
    }
    return blocks, about
