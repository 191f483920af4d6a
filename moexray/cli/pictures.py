"""`moexray plot --picture`: its options, and the picture itself, read again where it still is what was recorded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.recorded_pictures import find_picture
from moexray.cli.render import say
from moexray.cli.workloads import opened_trace
from moexray.errors import FigureError, MissingExtra, PromptsError
from moexray.recorded_images import RecordedImage

PICTURE = "picture"
_PANEL = "Picture (--picture)"
_MOST_PIXELS = 1_600

PictureOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="The picture of this prompt, its places in the colours of their experts; needs a trace.",
        rich_help_panel=_PANEL,
    ),
]
PictureImageOption = Annotated[
    int | None, typer.Option(min=1, help="Which picture of the prompt; by default the first.", rich_help_panel=_PANEL)
]
PictureLayersOption = Annotated[
    list[int] | None,
    typer.Option(
        min=0,
        help="A layer to draw, by its index in the model; may be given several times. By default the first MoE layer, "
        "the middle one and the last. Also for --categories, and, one layer alone, for --coactivation.",
        rich_help_panel=_PANEL,
    ),
]
PictureFolderOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the recorded name of a picture starts from; by default the working directory, and that of "
        "the signatures.",
        metavar="FOLDER",
        rich_help_panel=_PANEL,
    ),
]


def picture_axes(
    file: Path, prompt: str, *, trace: Path | None, image: int, layers: Sequence[int] | None, folder: Path | None
) -> Any:
    """Return the drawn axes of a picture, under its tints where it is found and unchanged, else of the grid alone."""
    from moexray.studies.pictures import study_picture
    from moexray.views.figures.picture import picture

    if file.suffix == ".json":
        message = f"--picture needs signatures and a trace, and {file} is a result: name the signatures instead"
        raise FigureError(message)
    found = study_picture(opened_trace(file, trace), prompt, image=image, layers=layers or None)
    folders = [folder] if folder is not None else [Path(), file.parent]
    return picture(found, _pixels(found.image, folders))


def _pixels(image: RecordedImage, folders: Sequence[Path]) -> Any:
    """Return the pixels of a recorded picture, or None, and say why, if it is not there as it was."""
    import numpy as np

    try:
        found = find_picture(image, folders)
    except (MissingExtra, PromptsError) as error:
        say(f"the grid alone is drawn: {error}", err=True)
        return None
    if found is None:
        say(f"the grid alone is drawn: there is no picture {image.name} here; --images names its folder", err=True)
        return None
    found.thumbnail((_MOST_PIXELS, _MOST_PIXELS))  # a figure shows no more
    return np.asarray(found)
