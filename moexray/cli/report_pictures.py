"""Pictures of prompts for a report: found again where they were, and made small."""

import base64
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

from moexray.cli.recorded_pictures import find_picture
from moexray.errors import PromptsError
from moexray.recorded_images import RecordedImage

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

    @cache  # a report that has no room for all tries fewer prompts, and many prompts may show one picture
    def find(image: RecordedImage) -> str | None:
        try:
            picture = find_picture(image, list(dict.fromkeys((Path(), file.parent))))
        except PromptsError:
            return None
        if picture is None:
            return None
        picture.thumbnail((_SIDE, _SIDE))
        written = BytesIO()
        picture.save(written, format="JPEG", quality=85)
        return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"

    return find
