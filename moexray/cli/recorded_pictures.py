"""The pictures of recorded prompts, read again where their files still are what was recorded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moexray.errors import PromptsError
from moexray.recorded_images import RecordedImage

if TYPE_CHECKING:
    from PIL.Image import Image


def find_picture(image: RecordedImage, folders: Sequence[Path]) -> "Image | None":
    """Return a recorded picture, decoded, from the first folder that its name leads to it from.

    Parameters
    ----------
    image
        What was recorded of it: its name and its SHA-256 decide.
    folders
        Where its name may start from.

    Returns
    -------
    Image or None
        None where no folder has a file of that name.

    Raises
    ------
    PromptsError
        If there are such files, but none is the picture that was recorded; it is about the first.
    MissingExtra
        If Pillow is not installed.
    """
    from moexray.prompts.images import PromptImage, opened

    problem: PromptsError | None = None
    for folder in folders:
        path = folder / image.name
        if not _is_there(path):
            continue
        try:
            return opened(PromptImage(image.name, image.sha256, image.width, image.height, path=path.absolute()))
        except PromptsError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a recorded name that is too long, or in a folder that may not be read
        return False
