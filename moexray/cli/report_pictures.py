"""Pictures of prompts for a report: found again where they were, known by their digest, and made small."""

import base64
import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from moexray.errors import PromptsError
from moexray.recorded_images import RecordedImage

_MOST_BYTES = 50_000_000
# The longer side of what is shown, in pixels.
_SIDE = 320


def pictures_near(file: Path) -> Callable[[RecordedImage], str | None]:
    """Return a function that gives a recorded image as a ``data:`` address, or None where it is not found.

    It is looked for under its name, from the working directory and from the folder of the signatures, and taken only if
    its SHA-256 is that which was recorded.

    Parameters
    ----------
    file
        The signatures.
    """

    def find(image: RecordedImage) -> str | None:
        for folder in dict.fromkeys((Path(), file.parent)):
            data = _read(folder / image.name)
            if data is not None and hashlib.sha256(data).hexdigest() == image.sha256:
                return _small(data, image.name)
        return None

    return find


def _read(path: Path) -> bytes | None:
    try:
        # A file without a size may be one of the system's, such as /proc/kmsg, which whoever reads it waits for.
        if not path.is_file() or not 0 < path.stat().st_size <= _MOST_BYTES:
            return None
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except (OSError, ValueError):  # ValueError of a NUL in a name
        return None


def _small(data: bytes, name: str) -> str | None:
    """Return a picture as a small JPEG; None where it cannot be decoded."""
    from moexray.prompts.decoding import decoded

    try:
        picture = decoded(data, name)
    except PromptsError:
        return None
    picture.thumbnail((_SIDE, _SIDE))
    written = BytesIO()
    picture.save(written, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
