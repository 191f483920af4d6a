"""Chat templates: the token ids of a prompt or a chat in the format that a model was trained to read."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from inspect import signature
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from moexray.engines.transformers.template_time import asks_for_time, dates_in, with_time
from moexray.errors import CaptureError
from moexray.prompts import Prompt

# What this module or transformers passes to every template; a user's options have other names.
_TAKEN = {"messages", *signature(PreTrainedTokenizerBase.apply_chat_template).parameters} - {"kwargs"}


class ChatTemplate:
    """A tokenizer's chat template with its options.

    Parameters
    ----------
    tokenizer
        One that `has_format`.
    name
        The template to take where there are several; by default the one called ``default``.
    options
        Variables that the template reads, such as ``enable_thinking``: JSON values by name.
    system
        A system message that is put before every prompt.

    Raises
    ------
    CaptureError
        If there is no such template, or it reads no such option.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str | None = None,
        options: Mapping[str, Any] | None = None,
        system: str | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._given = dict(options or {})
        self._system = system
        self._template = template = _named(tokenizer, name)
        _check_options(self._given, tokenizer, template)
        if name is not None:
            self._given["chat_template"] = name

    def begin_at(self, moment: datetime) -> str | None:
        """Give the template this time wherever it asks for it; return what it reads, or None where it does not ask."""
        if self._template is None or not asks_for_time(self._template):
            return None
        self._given["chat_template"] = with_time(self._template, moment)
        return dates_in(self._template, moment)

    def tokens(self, prompt: Prompt) -> list[int]:
        """Return the token ids of a prompt or a chat, with the model's turn opened.

        A chat whose last message is the assistant's is left open after that message, so that the model continues it.

        Raises
        ------
        CaptureError
            If the template fails with this prompt, or leaves out one of its messages.
        """
        chat = self._chat(prompt)
        try:
            token_ids = self._apply(chat)
        except Exception as error:  # a template is a program that comes with the checkpoint: it may raise anything
            raise _unsuited(prompt, error) from error
        role = self._unread(chat, self._tokenizer.decode(token_ids), lambda other: self._apply(other) == token_ids)
        if role is not None:
            raise _left_out(prompt, role)
        return token_ids

    def text(self, prompt: Prompt) -> str:
        """Return the text of a prompt or a chat with images, a placeholder for each, with the model's turn opened.

        Templates that read lists of parts only get all contents as such.

        Raises
        ------
        CaptureError
            If the template fails with this prompt, or leaves out one of its messages.
        """
        chat, cause, role = self._chat(prompt), None, None
        for same in (chat, [{**message, "content": _parts(message["content"])} for message in chat]):
            try:
                text = self._render(same)
            except Exception as error:  # as above
                cause = cause or error
                continue
            role = self._unread(same, text, partial(self._renders, text))
            if role is None:
                return text
        if role is not None:
            raise _left_out(prompt, role)
        raise _unsuited(prompt, cause) from cause

    def _chat(self, prompt: Prompt) -> list[dict[str, Any]]:
        content: Any = prompt.text
        if prompt.images:
            content = [*({"type": "image"} for _ in prompt.images), {"type": "text", "text": prompt.text}]
        chat = [dict(message) for message in prompt.messages or [{"role": "user", "content": content}]]
        if self._system is None:
            return chat
        if any(message["role"] in ("system", "developer") for message in chat):
            message = f"prompt {prompt.id!r} has a system message of its own: leave out `system`, or take that one out"
            raise CaptureError(message)
        return [{"role": "system", "content": self._system}, *chat]

    def _apply(self, chat: Sequence[Mapping[str, Any]]) -> list[int]:
        encoded = self._formatted(chat, tokenize=True, return_dict=True)
        return list(encoded["input_ids"])

    def _render(self, chat: Sequence[Mapping[str, Any]]) -> str:
        return str(self._formatted(chat, tokenize=False))

    def _renders(self, text: str, chat: Sequence[Mapping[str, Any]]) -> bool:
        return self._render(chat) == text

    def _formatted(self, chat: Sequence[Mapping[str, Any]], **options: Any) -> Any:
        is_continued = chat[-1]["role"] == "assistant"
        return self._tokenizer.apply_chat_template(
            list(chat),
            add_generation_prompt=not is_continued,
            continue_final_message=is_continued,
            **options,
            **self._given,
        )

    def _unread(
        self, chat: Sequence[Mapping[str, Any]], text: str, gives: Callable[[list[Mapping[str, Any]]], bool]
    ) -> str | None:
        """Return the role of a message of which a text does not reach the model; None where all do.

        A text that cannot be found in the prompt's own may still have been rewritten, or cut, as earlier reasoning is:
        where no change at its ends changes a token, it is not read.

        Parameters
        ----------
        gives
            Whether another chat gives the same.
        """
        for place, message in enumerate(chat):
            for number, content in enumerate(_texts(message["content"])):
                if content in text:
                    continue
                changes = [content + content, content + content[-1], content[0] + content]
                others = [
                    [
                        *chat[:place],
                        {**message, "content": _changed(message["content"], number, one)},
                        *chat[place + 1 :],
                    ]
                    for one in changes
                ]
                if all(_holds(gives, other) for other in others):
                    return str(message["role"])
        return None


def _holds(gives: Callable[[list[Mapping[str, Any]]], bool], chat: list[Mapping[str, Any]]) -> bool:
    try:
        return gives(chat)
    except Exception:  # a template that fails at other words has read them
        return False


def _texts(content: str | Sequence[Mapping[str, Any]]) -> list[str]:
    if isinstance(content, str):
        return [content.strip()]
    return [part["text"].strip() for part in content if "text" in part]


def _changed(content: str | Sequence[Mapping[str, Any]], number: int, text: str) -> Any:
    """Return a content with another text in the place of one of its own."""
    if isinstance(content, str):
        return text
    places = [place for place, part in enumerate(content) if "text" in part]
    return [{**part, "text": text} if place == places[number] else part for place, part in enumerate(content)]


def _parts(content: str | Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _unsuited(prompt: Prompt, error: Exception | None) -> CaptureError:
    cause = "no reason given" if error is None else cause_of(error)
    return CaptureError(f"prompt {prompt.id!r} does not suit this model's chat template: {cause}")


def _left_out(prompt: Prompt, role: str) -> CaptureError:
    return CaptureError(
        f"prompt {prompt.id!r}: the text of its {role} message does not reach the model: "
        "this model's chat template or its tokenizer leaves it out"
    )


def has_format(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer puts chats into a format: by a template, or by code of its own as mistral-common's does."""
    return getattr(tokenizer, "chat_template", None) is not None or _has_own_code(tokenizer)


def _has_own_code(tokenizer: PreTrainedTokenizerBase) -> bool:
    function = getattr(tokenizer, "apply_chat_template", None)
    return function is not None and getattr(function, "__func__", function) is not (
        PreTrainedTokenizerBase.apply_chat_template
    )


def _named(tokenizer: PreTrainedTokenizerBase, name: str | None) -> str | None:
    """Return the text of the template that is applied; None where the tokenizer has code instead."""
    found = getattr(tokenizer, "chat_template", None)
    templates: Mapping[str, str] = found if isinstance(found, Mapping) else {}
    if name is not None and name not in templates:
        there_are = f"it has {_listed(templates)}" if templates else "it has one without a name: leave it out"
        message = f'the model\'s tokenizer has no chat template `chat_template="{name}"`: {there_are}'
        raise CaptureError(message)
    if not templates:
        return None if found is None else str(found)
    if name is None and "default" not in templates:
        message = (
            f"the model's tokenizer has the chat templates {_listed(templates)}, and none is its default: "
            "choose one with `chat_template`, or none with `raw=True`"
        )
        raise CaptureError(message)
    return templates[name or "default"]


def _check_options(options: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, template: str | None) -> None:
    read_by_code = signature(tokenizer.apply_chat_template).parameters if template is None else {}
    for name, value in options.items():
        problem = None
        if name in _TAKEN:
            problem = "that is no option of a template"
        elif not (name in read_by_code if template is None else re.search(rf"\b{re.escape(name)}\b", template)):
            problem = "this model's chat template reads no variable of that name"
        else:
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                problem = "it must be a JSON value"
        if problem:
            message = f"`template_options` sets {name} to {value!r}: {problem}"
            raise CaptureError(message)


def _listed(names: Mapping[str, str]) -> str:
    return ", ".join(map(repr, names))


def cause_of(error: Exception) -> str:
    """Return the first line of an error's message with its class, which an error of jinja's goes without."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    return text if isinstance(error, TemplateError) else f"{type(error).__name__}: {text}"
