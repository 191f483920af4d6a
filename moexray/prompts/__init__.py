"""Prompts: read from files, folders, standard input and data sets, or the eighty that come with moexray."""

from moexray.prompts.prompt import Prompt, chat_prompt
from moexray.prompts.read import bundled_prompts, left_out, read_prompts

__all__ = ["Prompt", "bundled_prompts", "chat_prompt", "left_out", "read_prompts"]
