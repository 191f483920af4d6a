"""Prompt, and its making from the messages of a chat."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moexray.errors import PromptsError
from moexray.formats import is_blank
from moexray.prompts.images import PromptImage


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
    place: str = "a chat",
) -> Prompt:
    """Make a prompt of a chat.

    The prompt's text is the contents of all messages in order, joined by blank lines, without roles and markup.
    A chat of one user message has the text, and gets the tokens, of that message given as plain text.

    Parameters
    ----------
    messages
        Each with a ``role`` and a ``content``, which is a text or a list of text parts. Further keys are passed to
        the chat template.
    category, id, group, output
        See `Prompt`.
    place
        The chat's name in error messages.

    Raises
    ------
    PromptsError
        If a message is malformed, a part is not a text (an image, say), or no message has a text.
    """
    checked = tuple(_message(f"{place}, message {i}", message) for i, message in enumerate(messages, start=1))
    text = "\n\n".join(message["content"] for message in checked if message["content"])
    if is_blank(text):
        message = f"{place} is empty: none of its messages has a text"
        raise PromptsError(message)
    try:
        json.dumps(checked, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError, of an unpaired surrogate, is a ValueError
        message = f"{place} cannot be written as JSON: {error}"
        raise PromptsError(message) from error
    return Prompt(text, category=category, id=id, group=group, messages=checked, output=output)


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
    return {**kept, "content": _content(place, kept.get("content"))}


def _content(place: str, content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        problem = f'{place} has no "content" that is a text or a list of text parts'
        raise PromptsError(problem)
    return "".join(_part(place, part) for part in content)


def _part(place: str, part: object) -> str:
    held = {key: value for key, value in part.items() if value is not None} if isinstance(part, Mapping) else {}
    if held.get("type") == "text" and isinstance(held.get("text"), str) and len(held) == 2:
        return str(held["text"])
    kind = held.get("type") or type(part).__name__
    problem = f"{place} holds a part that is not a text ({kind}): only text parts are supported"
    raise PromptsError(problem)
