"""PromptImage: an image of a prompt, checked when it is read and decoded again when it runs."""

import hashlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from moexray.errors import PromptsError
from moexray.prompts.decoding import MOST_BYTES, decoded

if TYPE_CHECKING:
    from PIL.Image import Image

# By digest, an image that some prompt has: many questions of one picture decode it once, and share its bytes.
_ALIVE: "WeakValueDictionary[str, PromptImage]" = WeakValueDictionary()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class PromptImage:
    """An image of a prompt, encoded: in a file, or as bytes.

    Attributes
    ----------
    name
        The path as it was written, or such as ``image 2`` where there is none.
    sha256
        Of the encoded bytes, in hexadecimal digits.
    width, height
        In pixels, upright: as EXIF says that the image is to be turned.
    path
        The file, which is read again when the prompt runs; None where there are `data`.
    data
        The encoded bytes, where they do not lie in a file.
    """

    name: str
    sha256: str
    width: int
    height: int
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            message = f"image {self.name!r} must have a path or data, and not both"
            raise PromptsError(message)
        try:
            self.name.encode()
        except UnicodeEncodeError as error:  # of a file whose name is not UTF-8
            message = f"the name of image {self.name!a} cannot be written as UTF-8: give it another `name`"
            raise PromptsError(message) from error


def image_in_file(path: str | Path, *, name: str | None = None, place: str = "") -> PromptImage:
    """Return the image in a file, decoded once to see that it can be.

    Parameters
    ----------
    path
        The file. It must be there, unchanged, when the prompt runs.
    name
        The image's name; by default the path as it is given.
    place
        Where the image is named, such as a line of a file, for error messages.

    Raises
    ------
    PromptsError
        If there is no such file, or it is not an image that `decoded` takes.
    MissingExtra
        If Pillow is not installed.
    """
    called = _called(str(path) if name is None else name, place)
    file = Path(path).absolute()  # another process may have another working directory
    return _checked(_read(file, called), called, name=str(path) if name is None else name, path=file)


def image_in_bytes(data: bytes, *, name: str = "image 1", place: str = "") -> PromptImage:
    """Return the image that encoded bytes hold, decoded once to see that it can be; see `image_in_file`."""
    return _checked(data, _called(name, place), name=name, path=None)


def opened(image: PromptImage) -> "Image":
    """Return an image decoded: RGB, upright, on white where it is transparent.

    Raises
    ------
    PromptsError
        If its file is gone, or holds other bytes than when the prompt was read.
    MissingExtra
        If Pillow is not installed.
    """
    called = _called(image.name, "")
    data = image.data
    if data is None and image.path is not None:
        data = _read(image.path, called)
    data = data or b""
    if hashlib.sha256(data).hexdigest() != image.sha256:
        message = f"{called} has changed since it was read: read the prompts again, and leave their images alone"
        raise PromptsError(message)
    return decoded(data, called)


def _called(name: str, place: str) -> str:
    called = name if re.fullmatch(r"image \d+", name) else f'image "{name}"'
    return f"{place}: {called}" if place else called


def _checked(data: bytes, called: str, *, name: str, path: Path | None) -> PromptImage:
    digest = hashlib.sha256(data).hexdigest()
    known = _ALIVE.get(digest)
    width, height = decoded(data, called).size if known is None else (known.width, known.height)
    if path is None and known is not None and known.data is not None:
        data = known.data
    made = PromptImage(name, digest, width, height, path, data if path is None else None)
    if known is None or known.data is None:
        _ALIVE[digest] = made
    return made


def _read(file: Path, called: str) -> bytes:
    """Return the bytes of a file, which must be one: a device or a pipe would never end."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            message = f"{called} is not a file ({file}): name the file of an image"
            raise PromptsError(message)
        if not status.st_size:  # empty, or one of the system's, such as /proc/kmsg, whose reader waits for ever
            return b""
        if status.st_size > MOST_BYTES:
            message = f"{called} has {status.st_size:,} bytes: an image may have {MOST_BYTES:,}"
            raise PromptsError(message)
        with file.open("rb") as stream:
            return stream.read(MOST_BYTES)
    except FileNotFoundError as error:
        message = f"{called} does not exist: there is no {file}"
        raise PromptsError(message) from error
    except (OSError, ValueError) as error:  # ValueError of a NUL in a path
        message = f"{called} could not be read: {getattr(error, 'strerror', None) or error}"
        raise PromptsError(message) from error
