"""Parts of a chat message: texts and images, in the spellings that chats are kept in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moexray.errors import PromptsError
from moexray.prompts.image_values import image_of
from moexray.prompts.images import PromptImage

# The key that holds the image of a part ``{"type": "image", …}``.
_KEYS = ("image", "url", "path", "base64")

Content = str | list[dict[str, str]]


def content_of(
    content: object, *, folder: Path | None, number: int, place: str
) -> tuple[Content, list[PromptImage | None]]:
    """Return the content of a message, and the image of each of its image parts.

    Parameters
    ----------
    content
        A text, or a list of text and image parts.
    folder
        What paths are relative to: see `moexray.prompts.image_values.images_of`.
    number
        Of the content's first image in its chat, from 1.
    place
        The message's name in error messages.

    Returns
    -------
    The text, joined of all parts, where there is no image; the parts ``{"type": "text", "text": …}`` and
    ``{"type": "image"}`` otherwise. None stands for an image part without an image, which takes one of the chat's.

    Raises
    ------
    PromptsError
        If a part is neither, or an image is not one that is read.
    """
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        problem = f'{place} has no "content" that is a text or a list of text and image parts'
        raise PromptsError(problem)
    parts: list[dict[str, str]] = []
    images: list[PromptImage | None] = []
    for part in content:
        held = {key: value for key, value in part.items() if value is not None} if isinstance(part, Mapping) else {}
        if held.get("type") == "text" and isinstance(held.get("text"), str) and len(held) == 2:
            parts.append({"type": "text", "text": held["text"]})
            continue
        images.append(_image(part, held, folder=folder, number=number + len(images), place=place))
        parts.append({"type": "image"})
    return (parts if images else text_of(parts)), images


def text_of(content: Content) -> str:
    """Return the text of a content, joined of its text parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _image(
    part: object, held: Mapping[str, Any], *, folder: Path | None, number: int, place: str
) -> PromptImage | None:
    kind = held.get("type") or type(part).__name__
    rest = {key: value for key, value in held.items() if key != "type"}
    if kind not in ("image", "image_url"):
        problem = f"{place} holds a part that is neither a text nor an image ({kind}): only these are supported"
        raise PromptsError(problem)
    if kind == "image" and not rest:
        return None
    if kind == "image" and set(rest) == {"index"} and rest["index"] == number - 1:
        return None  # the images of some data sets, numbered from 0
    key = next((one for one in ("image_url", *_KEYS) if one in rest), None)
    value = rest.pop(key) if key else None
    if key == "image_url" and isinstance(value, Mapping):
        inner = {name: one for name, one in value.items() if one is not None}
        value = inner.pop("url", None)
        rest |= inner
        if rest.get("detail") == "auto":  # what it is where nothing is said
            del rest["detail"]
    if key is None or (key == "image_url") != (kind == "image_url") or rest:
        more = ", ".join(map(repr, rest)) or "nothing"
        problem = f'{place} holds an image part with {more} beside {key or "its type"}: write {{"type": "image"}} '
        problem += 'or {"type": "image", "image": path}'
        raise PromptsError(problem)
    if key == "base64" and isinstance(value, str) and not value.startswith("data:"):
        value = f"data:;base64,{value}"
    return image_of(value, folder=folder, number=number, name=f'{place}: "{key}"', place=place)
