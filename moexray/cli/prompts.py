"""The prompts that a command runs: those that are named, or the eighty that come with moexray."""

from collections.abc import Sequence
from pathlib import Path

from moexray.prompts import Prompt, bundled_prompts, read_prompts


def read_or_bundled(prompts: Sequence[str | Path] | None, **reading: str | None) -> list[Prompt]:
    """Return the prompts that options name; without any, the bundled ones.

    Parameters
    ----------
    prompts
        The values of ``--prompts``.
    reading
        Columns and the split, as `moexray.prompts.read_prompts` takes them. One of these without prompts is an error.

    Raises
    ------
    PromptsError
        If prompts cannot be read.
    """
    if prompts or any(reading.values()):
        return read_prompts(*prompts or (), **reading)
    return bundled_prompts()
