"""The tokens of a page, and the images that some of them stand for."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from moexray.recorded_images import RecordedImage, images_of_prompt
from moexray.signatures import Signatures
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


def image_blocks(
    signatures: Signatures, tokens: ExploredTokens, picture_of: Callable[[RecordedImage], str | None] | None
) -> list[Block]:
    """Return the block of the images of the prompts whose tokens are shown, by the prompt's place; none without images.

    Parameters
    ----------
    signatures, tokens
        Of the prompts.
    picture_of
        Returns an image as a ``data:`` address, or None where it is not at hand.
    """
    found = {}
    for row in tokens.rows.tolist():
        images = images_of_prompt(signatures.prompts.columns, row)
        if images:
            found[str(row)] = [
                {**asdict(one), "data": None if picture_of is None else picture_of(one)} for one in images
            ]
    return [json_block("images", found)] if found else []
