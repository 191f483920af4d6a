"""Prompts: read from files, folders, standard input and data sets, or the eighty that come with moexray."""

from moexray.prompts.bundled import bundled_prompts
from moexray.prompts.chats import chat_prompt
from moexray.prompts.prompt import Prompt
from moexray.prompts.read import read_prompts

__all__ = ["Prompt", "bundled_prompts", "chat_prompt", "read_prompts"]
