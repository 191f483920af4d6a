"""Prompts: read from files, folders, standard input and data sets, or the eighty that come with moexray."""

from moexray.prompts.images import PromptImage, image_in_bytes, image_in_file, opened
from moexray.prompts.prompt import Prompt, chat_prompt
from moexray.prompts.read import bundled_prompts, left_out, read_prompts

__all__ = [
    "Prompt",
    "PromptImage",
    "bundled_prompts",
    "chat_prompt",
    "image_in_bytes",
    "image_in_file",
    "left_out",
    "opened",
    "read_prompts",
]
