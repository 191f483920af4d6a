"""read_prompts(): prompts from any source, in the order given; and the eighty prompts that come with moexray."""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from moexray.errors import PromptsError
from moexray.files import LFS_CURE, is_lfs_pointer
from moexray.formats import in_plain_spelling
from moexray.prompts.hugging_face import PREFIX, is_saved, read_hub, read_saved
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import Columns, Source, Unit
from moexray.prompts.text_files import read_standard_input

STANDARD_INPUT = "-"
_ADDRESS = re.compile(r"\w+://")
_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/([\w.-]+(?:/(?!tree/|blob/|viewer)[\w.-]+)?)"
)
_APPLE_DOUBLE = b"\x00\x05\x16\x07"

Reader = Callable[[Source, Path, Columns], Iterator[Prompt]]
# A new format is a module with a `Reader` and one line here: suffix, what a prompt is called in errors, the reader.
# The module is imported when the first such file is read.
READERS: dict[str, tuple[Unit, str]] = {
    ".txt": ("line", "moexray.prompts.text_files:read_text"),
    ".jsonl": ("line", "moexray.prompts.text_files:read_json_lines"),
    ".csv": ("row", "moexray.prompts.text_files:read_csv"),
    ".parquet": ("row", "moexray.prompts.arrow:read_parquet"),
}
SUFFIXES = ", ".join(READERS)


def bundled_prompts() -> list[Prompt]:
    """Return the eighty prompts that come with moexray: code, factual, math and story, twenty of each."""
    package = Path(__file__).parent.parent
    installed = package / "bundled_prompts"
    return read_prompts(installed if installed.is_dir() else package.parent / "prompts")


def read_prompts(
    *paths: str | Path,
    text_column: str | None = None,
    category_column: str | None = None,
    id_column: str | None = None,
    group_column: str | None = None,
    output_column: str | None = None,
    image_column: str | None = None,
    split: str | None = None,
) -> list[Prompt]:
    """Read prompts in the order of `paths`, a folder's files in the order of their names.

    docs/prompts.md describes each format.

    Parameters
    ----------
    paths
        ``.txt``, ``.jsonl``, ``.csv`` and ``.parquet`` files, folders of them (other files in a folder are
        left out: see `left_out`), ``-`` for JSON Lines from standard input, ``hf:NAME`` or
        ``hf:NAME:CONFIGURATION`` for a data set of the Hugging Face hub, or a folder that one was saved to.
    text_column, category_column, id_column, group_column, output_column, image_column
        The column, or key, of each part. By default the text, or the chat, is in ``text``, ``prompt`` or
        ``messages``, the category in ``category`` or ``label``, images in ``image`` or ``images``, and there may be
        ``id``, ``group`` and ``output``. An empty `image_column` leaves images out. Without a category it is the name
        of the file; without an id, that name and the number of line or row.
    split
        The split of a data set to read; required where it has several.

    Raises
    ------
    PromptsError
        If there is nothing to read, a line or a row is blank or malformed, an image is not one that is read, an id
        occurs twice, or two categories differ only in what nobody can see.
    MissingExtra
        If a format needs a package that is not installed.
    """
    if not paths:
        message = f"no prompts were named: name a folder, or a file ({SUFFIXES})"
        raise PromptsError(message)
    if "" in paths:  # an empty variable of a shell, which would read the folder where one happens to be
        message = f"one of the names of prompts is empty: name a folder, or a file ({SUFFIXES})"
        raise PromptsError(message)
    for path in paths:
        _check_no_address(str(path))
    if split is not None and not any(_is_data_set(path) for path in paths):
        message = f'there is no data set to take the split "{split}" of: leave --split out, or name one as hf:NAME'
        raise PromptsError(message)
    columns = Columns(text_column, category_column, id_column, group_column, output_column, image_column)
    starts: list[tuple[int, Source]] = []
    taken: dict[str, int] = {}
    spelled: dict[str, str] = {}
    prompts: list[Prompt] = []
    for source, found in [reading for path in paths for reading in _readings(path, columns, split)]:
        starts.append((len(prompts), source))
        for prompt in found:
            earlier = taken.setdefault(prompt.id, len(prompts))
            if earlier != len(prompts):
                message = (
                    f"{_place(starts, len(prompts))}: the id {prompt.id!r} is already taken by "
                    f"{_place(starts, earlier)}: ids must be unique"
                )
                raise PromptsError(message)
            alike = spelled.setdefault(in_plain_spelling(prompt.category), prompt.category)
            if alike != prompt.category:
                message = (
                    f"{_place(starts, len(prompts))}: the category {prompt.category!a} looks like {alike!a}, but is "
                    "written otherwise: give both one spelling"
                )
                raise PromptsError(message)
            prompts.append(prompt)
    return prompts


def _place(starts: list[tuple[int, Source]], prompt: int) -> str:
    """Name the place of a prompt, found from the first prompt of each source: places would cost as much memory."""
    start, source = next(one for one in reversed(starts) if one[0] <= prompt)
    return source.place(prompt - start + 1)


def _check_no_address(spelled: str) -> None:
    """Refuse an address of the web: nothing is fetched but data sets of the Hugging Face hub, by their names."""
    page = _PAGE.match(spelled)
    if page:
        message = f"{spelled} is the page of a data set, not its name: write {PREFIX}{page[1]}"
        raise PromptsError(message)
    if _ADDRESS.match(spelled):
        message = f"{spelled} is an address: download the file, and name it here"
        raise PromptsError(message)


def _is_data_set(path: str | Path) -> bool:
    return str(path).startswith(PREFIX) or is_saved(Path(path))


def _readings(path: str | Path, columns: Columns, split: str | None) -> Iterator[tuple[Source, Iterator[Prompt]]]:
    """Yield each source of `path` and an iterator over its prompts."""
    spelled = str(path)
    if spelled == STANDARD_INPUT:
        source = Source("standard input", "stdin", "line", Path())
        yield source, read_standard_input(source, columns)
    elif spelled.startswith(PREFIX):
        source = Source(spelled, spelled.removeprefix(PREFIX).partition(":")[0].rstrip("/").rpartition("/")[2], "row")
        yield source, read_hub(source, spelled, columns, split)
    elif is_saved(Path(path)):
        source = Source(spelled, Path(path).resolve().name, "row", Path(path))
        yield source, read_saved(source, Path(path), columns, split)
    else:
        for file in _files(Path(path)):
            unit, reader = READERS[file.suffix.lower()]
            source = Source(str(file), file.stem, unit, file.parent)
            yield source, _loaded(reader)(source, file, columns)


def _loaded(reader: str) -> Reader:
    module, _, name = reader.partition(":")
    read: Reader = getattr(import_module(module), name)
    return read


def left_out(*paths: str | Path) -> list[Path]:
    """Return what stands in the folders among `paths` and is not read as prompts, except hidden files."""
    folders = [Path(path) for path in paths if str(path) != STANDARD_INPUT and not _is_data_set(path)]
    inside = [one for folder in folders if folder.is_dir() for one in sorted(folder.iterdir())]
    return [one for one in inside if not _is_read(one) and not one.name.startswith(".")]


def _files(path: Path) -> list[Path]:
    try:
        found = _prompt_files(path)
    except OSError as error:
        message = f"{path} could not be read: {error.strerror}"
        raise PromptsError(message) from error
    for file in found:
        if is_lfs_pointer(file):
            message = f"{file} {LFS_CURE}"
            raise PromptsError(message)
    return found


def _prompt_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _is_read(file))
        if not found:
            message = f"{path} holds no {' and no '.join(READERS)} file: put one there for each category"
            raise PromptsError(message)
        for file in found:
            _check_there(file)
            if not file.is_file():
                message = f"{file} is a device or a pipe: name it by itself, or take it out of {path}"
                raise PromptsError(message)
        return found
    _check_there(path)
    if path.suffix.lower() not in READERS:
        message = f"{path} is neither a folder nor a file of prompts ({SUFFIXES})"
        raise PromptsError(message)
    if _is_apple_double(path):
        message = f"{path} holds what macOS keeps beside a file, not prompts: name the file without ._"
        raise PromptsError(message)
    return [path]


def _is_read(file: Path) -> bool:
    """Whether a file in a folder is one of prompts; a link to nothing is, and is refused where it is read."""
    return file.suffix.lower() in READERS and not file.is_dir() and not _is_apple_double(file)


def _is_apple_double(file: Path) -> bool:
    """Whether macOS keeps here the attributes of another file, as on disks and in archives that cannot hold them."""
    if not file.name.startswith("._") or not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(_APPLE_DOUBLE)) == _APPLE_DOUBLE


def _check_there(file: Path) -> None:
    if file.is_symlink() and not file.exists():
        message = f"{file} is a link to {file.readlink()}, which does not exist: mend the link, or take it out"
        raise PromptsError(message)
    if not file.exists():
        message = f"{file} does not exist: name a folder, or a file of prompts ({SUFFIXES})"
        raise PromptsError(message)
