"""Readers of Arrow tables, batch by batch: Parquet files, and the rows of Hugging Face data sets."""

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from moexray import strict_json
from moexray.errors import PromptsError
from moexray.parquet_file import batches_of, open_parquet
from moexray.prompts.prompt import Prompt
from moexray.prompts.rows import Columns, Source, prompt_of

BATCH_ROWS = 1024
# Of rows that may hold images, which take thousands of times the memory of texts.
_IMAGE_ROWS = 16


def read_parquet(source: Source, path: Path, columns: Columns) -> Iterator[Prompt]:
    """Read a ``.parquet`` file, only the columns that hold something of a prompt."""
    with source.opening(), open_parquet(path, error=PromptsError) as file:
        found = columns_of(source, file.schema_arrow, columns)
        rows = rows_together(file.schema_arrow, found)
        batches = batches_of(file, path, list(set(found.values())), rows=rows, error=PromptsError)
        yield from prompts_of(source, file.schema_arrow, batches, found)


def rows_together(schema: Any, found: Mapping[str, str]) -> int:
    """Return how many rows to read at once."""
    return _IMAGE_ROWS if any("binary" in str(schema.field(name).type) for name in found.values()) else BATCH_ROWS


def columns_of(source: Source, schema: Any, columns: Columns) -> dict[str, str]:
    """Return the column of each part of a prompt, with its type checked."""
    found = columns.find(source.name, schema.names)
    for part, name in found.items():
        type_ = schema.field(name).type
        is_other, others = _OTHER.get(part, (_is_label, " or integers"))
        if not (_is_text(type_) or is_other(type_)):
            wanted = f"texts{others}"
            problem = (
                f'{source}: column "{name}" is of {type_}, not of {wanted}: name another with --{part}-column'
                f"{_LEFT_OUT.get(part, '')}; there are {', '.join(schema.names)}"
            )
            raise PromptsError(problem)
    return found


def prompts_of(source: Source, schema: Any, batches: Iterable[Any], found: Mapping[str, str]) -> Iterator[Prompt]:
    """Yield the prompts of record batches, or tables, with the columns `found`; class numbers become class names."""
    from pyarrow import types

    classes = {
        name: names
        for name, names in _class_names(source, schema).items()
        if name in found.values() and types.is_integer(schema.field(name).type)
    }
    number = 0
    for batch in batches:
        held = {name: _values(source, number, batch.column(name)) for name in found.values()}
        for i in range(batch.num_rows):
            number += 1
            row = {name: values[i] for name, values in held.items()}
            for name, names in classes.items():
                row[name] = _class_name(f'{source.place(number)}: "{name}"', row[name], names)
            yield prompt_of(source, number, row, found)
    if not number:
        raise source.empty()


def _values(source: Source, before: int, column: Any) -> list[Any]:
    from pyarrow import ArrowException

    try:
        return _each(column)
    except ArrowException as error:  # a place in a dictionary that it does not have, say
        problem = f"{source} is damaged at or after {source.unit} {before + 1} ({error})"
        raise PromptsError(problem) from error
    except UnicodeDecodeError:
        for number, value in enumerate(column, start=before + 1):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                problem = f"{source.place(number)} is not UTF-8: {error.reason} at byte {error.start + 1} of a text"
                raise PromptsError(problem) from error
        raise


def _each(column: Any) -> list[Any]:
    """Return the value of each row; rows that share a text share its string."""
    if not hasattr(column, "dictionary"):
        return column.to_pylist()  # type: ignore[no-any-return]
    used = column.indices.drop_null().unique()
    values = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
    return [None if place is None else values[place] for place in column.indices.to_pylist()]


def _class_names(source: Source, schema: Any) -> dict[str, list[str]]:
    """Class names by column, which `datasets` keeps in the schema's metadata beside the numbers that it writes."""
    try:
        kept = strict_json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = (kept.get("info") or {}).get("features") or {}
        labels = {
            name: feature.get("names")
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, AttributeError) as error:  # no JSON, or a list or a text where an object belongs
        problem = f"{source}: the description of its columns that `datasets` writes is damaged: save the data set anew"
        raise PromptsError(problem) from error
    for name, names in labels.items():
        if names is not None and not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
            problem = f'{source}: the classes of column "{name}" are {reprlib.repr(names)}, not a list of names'
            raise PromptsError(problem)
    return {name: names for name, names in labels.items() if names}


def _class_name(name: str, number: int | None, names: list[str]) -> str:
    if number is None or not 0 <= number < len(names):
        problem = f"{name} is {number}, which is none of the {len(names)} classes ({', '.join(names[:5])}, …)"
        raise PromptsError(problem)
    return names[number]


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return any(is_one(type_) for is_one in (types.is_string, types.is_large_string, types.is_string_view))


def _is_label(type_: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(type_):
        return _is_label(type_.value_type)
    return bool(types.is_integer(type_) or types.is_boolean(type_) or _is_text(type_))


def _is_list(type_: Any) -> bool:
    from pyarrow import types

    lists = (types.is_list, types.is_large_list, types.is_list_view, types.is_large_list_view)
    return any(is_one(type_) for is_one in lists)


def _is_chat(type_: Any) -> bool:
    from pyarrow import types

    return _is_list(type_) and bool(types.is_struct(type_.value_type))


def _is_output(type_: Any) -> bool:
    from pyarrow import types

    return bool(types.is_null(type_)) or (_is_list(type_) and bool(types.is_integer(type_.value_type)))


def _is_image(type_: Any) -> bool:
    """Whether values are paths, bytes, images of Hugging Face data sets, or nothing."""
    from pyarrow import types

    if types.is_dictionary(type_):
        return _is_image(type_.value_type)
    if types.is_struct(type_):
        fields = [type_.field(i) for i in range(type_.num_fields)]
        plain = all(not types.is_struct(one.type) and _is_image(one.type) for one in fields)
        return bool(fields) and plain and {one.name for one in fields} <= {"bytes", "path"}
    kinds = (types.is_null, types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return _is_text(type_) or any(is_one(type_) for is_one in kinds)


def _is_images(type_: Any) -> bool:
    from pyarrow import types

    if _is_list(type_) or types.is_fixed_size_list(type_):
        return _is_image(type_.value_type)
    return _is_image(type_)


# What a column may hold beside texts, where that is no label.
_OTHER: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_chat, ", or of chats (a list of role and content)"),
    "output": (_is_output, ", or of lists of token ids"),
    "image": (_is_images, " (paths), bytes or images (bytes and path), or of lists of these"),
}
_LEFT_OUT = {"image": ", or leave images out with --image-column ''"}
