"""read_prompts(): whatever prompts are kept in, in the order given."""

from pathlib import Path

from moexray.errors import PromptsError
from moexray.prompts.columns import Columns
from moexray.prompts.prompt import Prompt
from moexray.prompts.readings import SUFFIXES, is_data_set, readings
from moexray.prompts.source import Source


def read_prompts(
    *paths: str | Path,
    text_column: str | None = None,
    category_column: str | None = None,
    id_column: str | None = None,
    group_column: str | None = None,
    split: str | None = None,
) -> list[Prompt]:
    """Read prompts in the order of `paths`, a folder's files in the order of their names.

    docs/prompts.md describes each format.

    Parameters
    ----------
    paths
        ``.txt``, ``.jsonl``, ``.csv`` and ``.parquet`` files, folders of them (what else a folder holds is not
        read), ``-`` for JSON Lines from standard input, ``hf:NAME`` or ``hf:NAME:CONFIGURATION`` for a data set
        of the Hugging Face hub, or a folder that one was saved to.
    text_column, category_column, id_column, group_column
        Which column, or key, holds what. By default the text, or the chat, is in ``text``, ``prompt`` or
        ``messages``, the category in ``category`` or ``label``, and there may be ``id`` and ``group``.
        Without a category it is the name of the file; without an id, that name and the number of line or row.
    split
        Which split of a data set to read; needed where it has several.

    Raises
    ------
    PromptsError
        If there is nothing to read, a line or a row is blank or malformed, or an id occurs twice; says where.
    """
    if not paths:
        message = f"no prompts were named: name a folder, or a file ({SUFFIXES})"
        raise PromptsError(message)
    if split is not None and not any(is_data_set(path) for path in paths):
        message = f'there is no data set to take the split "{split}" of: leave --split out, or name one as hf:NAME'
        raise PromptsError(message)
    columns = Columns(text_column, category_column, id_column, group_column)
    begins: list[tuple[int, Source]] = []
    taken: dict[str, int] = {}
    prompts: list[Prompt] = []
    for source, found in [reading for path in paths for reading in readings(path, columns, split)]:
        begins.append((len(prompts), source))
        for prompt in found:
            earlier = taken.setdefault(prompt.id, len(prompts))
            if earlier != len(prompts):
                message = (
                    f"{_place(begins, len(prompts))}: the id {prompt.id!r} is already taken by "
                    f"{_place(begins, earlier)}: ids must be unique"
                )
                raise PromptsError(message)
            prompts.append(prompt)
    return prompts


def _place(begins: list[tuple[int, Source]], prompt: int) -> str:
    """Say where a prompt stands: places are not kept, since they would take as much memory as prompts."""
    begin, source = next(one for one in reversed(begins) if one[0] <= prompt)
    return source.place(prompt - begin + 1)
