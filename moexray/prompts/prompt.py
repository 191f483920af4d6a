"""Prompt: what a model is given, and what it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt: its text, the category that it stands for, a unique id, and what it must not be split from.

    Prompts of one `group` (a shared template or source) are kept together when a classifier's folds are made.
    A chat has `messages`, which go through a tokenizer's chat template as they are; its `text` is then what
    they say, for statistics of words: `moexray.prompts.chat_prompt` makes one.
    """

    text: str
    category: str
    id: str
    group: str | None = None
    messages: tuple[Mapping[str, Any], ...] | None = field(default=None, hash=False)
