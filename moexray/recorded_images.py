"""What is recorded of the images of a prompt: the column ``images`` of signatures, and its JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from moexray import strict_json
from moexray.errors import SignaturesError

# The column of the prompt table.
COLUMN = "images"


@dataclass(frozen=True)
class RecordedImage:
    """An image of a prompt, and the tokens that a model made of it.

    Attributes
    ----------
    name
        The path as it was written, or such as ``image 2``.
    sha256
        Of the encoded bytes.
    width, height
        In pixels, upright.
    tokens
        How many tokens stand for it, markers around them left out; None where a processor does not tell the tokens of
        one image from those of another.
    rows, columns
        The grid of its tokens, row by row, which covers the whole image; None where a processor does not tell it.
    """

    name: str
    sha256: str
    width: int
    height: int
    tokens: int | None = None
    rows: int | None = None
    columns: int | None = None


def text_of_images(images: Sequence[RecordedImage]) -> str:
    """Return the JSON of a prompt's images, a list of objects."""
    return json.dumps([asdict(one) for one in images], ensure_ascii=False)


def images_of_text(text: str) -> tuple[RecordedImage, ...]:
    """Return the images that `text_of_images` wrote.

    Raises
    ------
    SignaturesError
        If it did not.
    """
    names = {one.name for one in fields(RecordedImage)}
    try:
        found = strict_json.loads(text, finite=True)
        if not isinstance(found, list) or not all(isinstance(one, dict) and set(one) == names for one in found):
            raise TypeError  # one message for every way in which it may be wrong
        images = tuple(RecordedImage(**one) for one in found)
        json.dumps(found, ensure_ascii=False).encode()  # an escape may stand for half of a character
    except (ValueError, TypeError) as error:
        message = f"the column {COLUMN!r} holds {text[:60]!r}, which describes no images: capture the prompts anew"
        raise SignaturesError(message) from error
    for one in images:
        _check(one)
    return images


def images_of_prompt(columns: Mapping[str, Sequence[str]], row: int) -> tuple[RecordedImage, ...]:
    """Return the images of the prompt at a place of a prompt table, by its further columns; none where it has none.

    Raises
    ------
    SignaturesError
        If the column of images is damaged.
    """
    column = columns.get(COLUMN)
    return images_of_text(column[row]) if column is not None and column[row] else ()


def _check(image: RecordedImage) -> None:
    numbers = (image.width, image.height, image.tokens, image.rows, image.columns)
    are_numbers = all(one is None or (type(one) is int and one > 0) for one in numbers)
    are_texts = isinstance(image.name, str) and isinstance(image.sha256, str)
    grid = are_numbers and (
        image.rows is image.columns is None
        if image.rows is None or image.columns is None
        else image.rows * image.columns == image.tokens
    )
    if not (are_texts and grid and image.width is not None and image.height is not None):
        message = f"the column {COLUMN!r} describes no image by {image}: capture the prompts anew"
        raise SignaturesError(message)
