"""Prompt, and its making from the messages of a chat."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moexray.errors import PromptsError
from moexray.formats import count, is_blank
from moexray.prompts.images import PromptImage
from moexray.prompts.parts import content_of, text_of


@dataclass(frozen=True, slots=True)
class Prompt:
    """One input of a model, with its category and a unique id.

    Attributes
    ----------
    text
        What the model reads. Of a chat, the contents of its messages, for statistics of words.
    category
        The class that the prompt belongs to.
    id
        Unique among the prompts of a capture.
    group
        A shared template or source: prompts of one group are never split between training and test folds.
    messages
        The messages of a chat, which go through the tokenizer's chat template unchanged: see `chat_prompt`. The content
        of each is a text, or a list of the parts ``{"type": "text", "text": …}`` and ``{"type": "image"}`` where it
        holds images.
    output
        What was written after it, where that is known: the text, or its token ids with the end token if it was
        written. It is recorded in place of what the model would generate.
    images
        The images that the model sees, in the order of their parts in `messages`. Without messages they stand before
        the text in a user message or, where the model has no chat template, at the placeholders in the text.
    """

    text: str
    category: str
    id: str
    group: str | None = None
    messages: tuple[Mapping[str, Any], ...] | None = field(default=None, hash=False)
    output: str | tuple[int, ...] | None = None
    images: tuple[PromptImage, ...] = ()


def chat_prompt(
    messages: Iterable[Mapping[str, Any]],
    *,
    category: str,
    id: str,
    group: str | None = None,
    output: str | tuple[int, ...] | None = None,
    images: Iterable[PromptImage] = (),
    folder: Path | None = Path(),
    place: str = "a chat",
) -> Prompt:
    """Make a prompt of a chat.

    The prompt's text is the contents of all messages in order, joined by blank lines, without roles and markup.
    A chat of one user message has the text, and gets the tokens, of that message given as plain text.

    Parameters
    ----------
    messages
        Each with a ``role`` and a ``content``, which is a text, or a list of text and image parts: see
        docs/prompts.md. Further keys are passed to the chat template.
    category, id, group, output
        See `Prompt`.
    images
        What the image parts without an image of their own, ``{"type": "image"}``, take in order.
    folder
        What the paths of image parts are relative to; None refuses relative ones.
    place
        The chat's name in error messages.

    Raises
    ------
    PromptsError
        If a message is malformed, a part is neither text nor image (a video, say), an image is not one that is read,
        there are more or fewer `images` than parts that take them, or no message has a text.
    MissingExtra
        If there are images, and Pillow is not installed.
    """
    checked: list[dict[str, Any]] = []
    found: list[PromptImage | None] = []
    for number, message in enumerate(messages, start=1):
        name = f"{place}, message {number}"
        kept = _message(name, message)
        content, own = content_of(kept.get("content"), folder=folder, number=len(found) + 1, place=name)
        checked.append({**kept, "content": content})
        found += own
    text = "\n\n".join(filter(None, (text_of(message["content"]) for message in checked)))
    if is_blank(text):
        problem = f"{place} is empty: none of its messages has a text"
        raise PromptsError(problem)
    try:
        json.dumps(checked, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError, of an unpaired surrogate, is a ValueError
        problem = f"{place} cannot be written as JSON: {error}"
        raise PromptsError(problem) from error
    filled = _filled(found, list(images), place)
    return Prompt(text, category=category, id=id, group=group, messages=tuple(checked), output=output, images=filled)


def _message(place: str, message: object) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        problem = f"{place} is {type(message).__name__}, not an object with a role and a content"
        raise PromptsError(problem)
    # In a table every message has every key that any message has, filled with None.
    kept = {key: value for key, value in message.items() if value is not None}
    role = kept.get("role")
    if not isinstance(role, str) or not role.strip():
        problem = f'{place} has no "role" (user, assistant, system): it has {", ".join(map(repr, kept)) or "nothing"}'
        raise PromptsError(problem)
    return kept


def _filled(found: list[PromptImage | None], images: list[PromptImage], place: str) -> tuple[PromptImage, ...]:
    """Put the images that are given beside a chat in the place of None."""
    taking = found.count(None)
    if taking != len(images):
        problem = (
            f"{place} comes with {count(len(images), 'image')}, but {taking} of its parts are "
            '{"type": "image"} without one: put such a part where each image belongs, or leave the column of images '
            "out with an empty `image_column`"
        )
        raise PromptsError(problem)
    following = iter(images)
    return tuple(next(following) if image is None else image for image in found)
