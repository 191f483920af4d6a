"""Images of what stands for them in files and tables: paths, bytes, data URIs, images of Hugging Face data sets."""

import base64
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path

from moexray.errors import PromptsError
from moexray.formats import is_blank
from moexray.prompts.images import PromptImage, image_in_bytes, image_in_file

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://")
_FILE = "file://"
_DATA = re.compile(r"data:[^,]*,", re.IGNORECASE)
_BASE64 = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_WANTED = "the path of an image, its bytes, or an object with one of these under path or bytes"


def images_of(value: object, *, folder: Path | None, name: str, place: str) -> tuple[PromptImage, ...]:
    """Return the images of a row: of one value, or of a list of them; none of None.

    Parameters
    ----------
    value
        See `image_of`.
    folder
        What relative paths are relative to; None where there is nothing, so that they are refused.
    name
        Of the column, for error messages.
    place
        Of the row, for error messages.

    Raises
    ------
    PromptsError
        If a value is no image, or of another type.
    """
    values = value if isinstance(value, list) else [] if _is_nothing(value) else [value]
    return tuple(
        image_of(one, folder=folder, number=number, name=f'{place}: "{name}"', place=place)
        for number, one in enumerate(values, start=1)
    )


def image_of(value: object, *, folder: Path | None, number: int, name: str, place: str) -> PromptImage:
    """Return the image that a value stands for, decoded once to see that it can be.

    Parameters
    ----------
    value
        A path, also as a ``file://`` address; encoded bytes, also in base64 as a ``data:`` URI; or an object with
        ``bytes``, ``path`` or both, as Hugging Face data sets hold images. Bytes go before a path.
    folder
        See `images_of`.
    number
        Of the image in its prompt, which names it where there is no path.
    name
        What holds the value, for the message where it is of another type.
    place
        See `images_of`.

    Raises
    ------
    PromptsError
        If there is no such image, it is not one that is read, or it lies at an address of the web.
    """
    unnamed = f"image {number}"
    if isinstance(value, Mapping) and value and set(value) <= {"bytes", "path"} and not _is_nothing(value):
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes) and (path is None or isinstance(path, str)):
            return image_in_bytes(data, name=path or unnamed, place=place)
        value = path if data is None and isinstance(path, str) else value
    if isinstance(value, bytes):
        return image_in_bytes(value, name=unnamed, place=place)
    if not isinstance(value, str) or is_blank(value):
        problem = f"{name} is {reprlib.repr(value)}: it must be {_WANTED}"
        raise PromptsError(problem)
    if _is_no_unicode(value):
        problem = f"{name} is {value!a:.200}, which holds half a character: rename the file, or take that out"
        raise PromptsError(problem)
    if _DATA.match(value):
        return image_in_bytes(_bytes_of(value, f"{place}: {unnamed}"), name=unnamed, place=place)
    return image_in_file(_path_of(value, folder, place), name=value, place=place)


def _is_nothing(value: object) -> bool:
    """Whether a value is None, or the object that tables make of it."""
    return value is None or (isinstance(value, Mapping) and all(one is None for one in value.values()))


def _is_no_unicode(value: str) -> bool:
    """Whether a text holds an unpaired surrogate, as names of files do that are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _bytes_of(uri: str, name: str) -> bytes:
    beginning = _BASE64.match(uri)
    if beginning is None:
        problem = f"{name} is a data URI that is not in base64 ({reprlib.repr(uri)}): write data:image/png;base64,…"
        raise PromptsError(problem)
    try:
        return base64.b64decode(uri[beginning.end() :], validate=True)
    except ValueError as error:  # also of characters that are not ASCII
        problem = f"{name} is a data URI that is not in base64 ({error})"
        raise PromptsError(problem) from error


def _path_of(value: str, folder: Path | None, place: str) -> Path:
    spelled = value.removeprefix(_FILE)
    if _ADDRESS.match(spelled):
        problem = f'{place}: image "{value:.200}" is an address: download the file, and name it here'
        raise PromptsError(problem)
    if spelled != value and (not spelled.startswith("/") or "%" in spelled):
        problem = f'{place}: image "{value:.200}" is an address of a file with a host or with %: write its plain path'
        raise PromptsError(problem)
    path = Path(spelled)
    if folder is None and not path.is_absolute():
        problem = f'{place}: image "{value:.200}" is a path without a folder that it is relative to: give its bytes'
        raise PromptsError(problem)
    return path if folder is None else folder / path
