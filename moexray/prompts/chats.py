"""Chats: messages with a role and a content, checked when they are read, and what they say as one text."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from moexray.errors import PromptsError
from moexray.prompts.prompt import Prompt


def chat_prompt(
    messages: Iterable[Mapping[str, Any]], *, category: str, id: str, group: str | None = None, place: str = "a chat"
) -> Prompt:
    """Make a prompt of a chat.

    Its text is the contents of all messages in order, a blank line between two: the words that the model reads,
    without roles and markup. A chat of one user's message has the text, and gets the tokens, of that message
    given as a plain text.

    Parameters
    ----------
    messages
        Each with a ``role`` and a ``content``: a text, or a list of parts that are texts. What else a message
        holds goes to the chat template, too.
    category, id, group
        See `Prompt`.
    place
        How to call the chat in an error.

    Raises
    ------
    PromptsError
        If it is no such list, a part is no text (an image, say), or nothing is said at all.
    """
    checked = tuple(_message(f"{place}, message {i}", message) for i, message in enumerate(messages, start=1))
    text = "\n\n".join(message["content"] for message in checked if message["content"])
    if not text.strip():
        message = f"{place} says nothing: its messages are empty"
        raise PromptsError(message)
    try:
        json.dumps(checked, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError, for half a character, is a ValueError
        message = f"{place} holds what JSON cannot hold: {error}"
        raise PromptsError(message) from error
    return Prompt(text, category=category, id=id, group=group, messages=checked)


def _message(place: str, message: object) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        problem = f"{place} is {type(message).__name__}, not an object with a role and a content"
        raise PromptsError(problem)
    # Tables give every message every key that one of them has.
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
        problem = f'{place} has no "content" that is a text: only what is said in words is read'
        raise PromptsError(problem)
    return "".join(_part(place, part) for part in content)


def _part(place: str, part: object) -> str:
    held = {key: value for key, value in part.items() if value is not None} if isinstance(part, Mapping) else {}
    if held.get("type") == "text" and isinstance(held.get("text"), str) and len(held) == 2:
        return str(held["text"])
    kind = held.get("type") or type(part).__name__
    problem = f"{place} holds a part that is not a text ({kind}): images and other parts cannot be given to a model yet"
    raise PromptsError(problem)
