"""The images of recorded prompts: two prompts of the same words are the same only if they show the same images."""

import numpy as np

from moexray.recorded_images import COLUMN, images_of_text
from moexray.segments import WORDLESS
from moexray.signatures import Signatures

# The SHA-256 of each image of a prompt, in order; None where it holds tokens of something that was not recorded.
Shown = tuple[str, ...] | None


def images_shown(signatures: Signatures) -> list[Shown]:
    """Return what each prompt shows.

    Raises
    ------
    SignaturesError
        If the column of images is damaged.
    """
    places = [place for place, one in enumerate(signatures.segments) if one.kind in WORDLESS]
    wordless = signatures.tokens[:, places].sum(axis=1) > 0
    column = signatures.prompts.columns.get(COLUMN)
    if column is None:
        return [None if one else () for one in np.asarray(wordless).tolist()]
    shown = [tuple(image.sha256 for image in images_of_text(text)) if text else () for text in column]
    return [one if one or not held else None for one, held in zip(shown, np.asarray(wordless).tolist(), strict=True)]
