"""Readers of Hugging Face data sets: from the hub by name, or from a folder that `save_to_disk` wrote."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moexray.errors import PromptsError
from moexray.extras import import_extra
from moexray.prompts.arrow import columns_of, prompts_of, rows_together
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import Columns, Source

PREFIX = "hf:"
_SAVED = ("dataset_info.json", "dataset_dict.json")


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved this folder."""
    return any(os.path.isfile(folder / name) for name in _SAVED)  # noqa: PTH113  # false for a name too long


def read_hub(source: Source, spelled: str, columns: Columns, split: str | None) -> Iterator[Prompt]:
    """Read ``hf:NAME`` or ``hf:NAME:CONFIGURATION`` from the hub, or from the local cache of it."""
    name, _, configuration = spelled.removeprefix(PREFIX).partition(":")
    if not name:
        problem = f"{spelled} names no data set: write hf:NAME, or hf:NAME:CONFIGURATION"
        raise PromptsError(problem)
    datasets = import_extra("datasets", extra="datasets", purpose=f"reading {source}")
    try:
        found = datasets.load_dataset(name, configuration or None, split=split)
    # datasets has no common base class for problems of names, networks and files; it raises RuntimeError for a data
    # set that is made by a script.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = _first_line(error.__cause__ or error)
        problem = f"{source} could not be loaded: {reason} (check its name, --split and the network)"
        raise PromptsError(problem) from error
    yield from _prompts(source, found, columns, split)


def read_saved(source: Source, folder: Path, columns: Columns, split: str | None) -> Iterator[Prompt]:
    """Read a folder that `save_to_disk` wrote, of one data set or of one for each split."""
    datasets = import_extra("datasets", extra="datasets", purpose=f"reading {source}")
    try:
        found = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{source} is damaged or is not a saved data set ({_first_line(error)})"
        raise PromptsError(problem) from error
    if split is not None and hasattr(found, "keys"):
        if split not in found:
            problem = f'{source} has no split "{split}": it has {", ".join(found)}'
            raise PromptsError(problem)
        found = found[split]
    elif split is not None and str(found.split) != split:
        problem = f'{source} has no split "{split}": it holds {found.split or "one data set without a named split"}'
        raise PromptsError(problem)
    yield from _prompts(source, found, columns, split)


def _prompts(source: Source, dataset: Any, columns: Columns, split: str | None) -> Iterator[Prompt]:
    if split is None and hasattr(dataset, "keys"):
        if len(dataset) != 1:
            problem = f"{source} has the splits {', '.join(dataset)}: name one with --split"
            raise PromptsError(problem)
        (dataset,) = dataset.values()
    schema = dataset.features.arrow_schema
    found = columns_of(source, schema, columns)
    chosen = dataset.select_columns(list(set(found.values()))).with_format("arrow")
    yield from prompts_of(source, schema, chosen.iter(rows_together(schema, found)), found)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
