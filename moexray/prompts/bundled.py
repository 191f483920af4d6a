"""The eighty prompts that come with moexray."""

from pathlib import Path

from moexray.prompts.prompt import Prompt
from moexray.prompts.read import read_prompts


def bundled_prompts() -> list[Prompt]:
    """Return the eighty prompts that come with moexray: code, factual, math and story, twenty of each."""
    package = Path(__file__).parent.parent
    installed = package / "bundled_prompts"
    return read_prompts(installed if installed.is_dir() else package.parent / "prompts")
