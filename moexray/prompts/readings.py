"""What reads prompts of which source: files by their suffix, standard input, data sets."""

from collections.abc import Callable, Iterator
from pathlib import Path

from moexray.errors import PromptsError
from moexray.prompts.columns import Columns
from moexray.prompts.csv_table import read_csv
from moexray.prompts.hugging_face import PREFIX, is_saved, read_hub, read_saved
from moexray.prompts.json_lines import read_json_lines, read_standard_input
from moexray.prompts.parquet import read_parquet
from moexray.prompts.prompt import Prompt
from moexray.prompts.source import Source, Unit
from moexray.prompts.text import read_text

STANDARD_INPUT = "-"
_READERS: dict[str, tuple[Unit, Callable[[Source, Path, Columns], Iterator[Prompt]]]] = {
    ".txt": ("line", read_text),
    ".jsonl": ("line", read_json_lines),
    ".csv": ("row", read_csv),
    ".parquet": ("row", read_parquet),
}
SUFFIXES = ", ".join(_READERS)


def is_data_set(path: str | Path) -> bool:
    """Whether `path` names a Hugging Face data set, on the hub or saved."""
    return str(path).startswith(PREFIX) or is_saved(Path(path))


def readings(path: str | Path, columns: Columns, split: str | None) -> Iterator[tuple[Source, Iterator[Prompt]]]:
    """Yield what prompts are to be read from, and what then reads them, one by one.

    Raises
    ------
    PromptsError
        If there is no such source, or it is of no known kind.
    """
    spelled = str(path)
    if spelled == STANDARD_INPUT:
        source = Source("standard input", "stdin", "line")
        yield source, read_standard_input(source, columns)
    elif spelled.startswith(PREFIX):
        source = Source(spelled, spelled.removeprefix(PREFIX).partition(":")[0].rstrip("/").rpartition("/")[2], "row")
        yield source, read_hub(source, spelled, columns, split)
    elif is_saved(Path(path)):
        source = Source(spelled, Path(path).resolve().name, "row")
        yield source, read_saved(source, Path(path), columns, split)
    else:
        for file in _files(Path(path)):
            unit, read = _READERS[file.suffix]
            source = Source(str(file), file.stem, unit)
            yield source, read(source, file, columns)


def _files(path: Path) -> list[Path]:
    try:
        return _prompt_files(path)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror}"
        raise PromptsError(message) from error


def _prompt_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in _READERS and file.is_file())
        if not found:
            message = f"{path} holds no {' and no '.join(_READERS)} file: put one there for each category"
            raise PromptsError(message)
        return found
    if not path.exists():
        message = f"{path} does not exist: name a folder, or a file of prompts ({SUFFIXES})"
        raise PromptsError(message)
    if path.suffix not in _READERS:
        message = f"{path} is neither a folder nor a file of prompts ({SUFFIXES})"
        raise PromptsError(message)
    return [path]
