"""The prompts that the toy is examined and recorded with: drawings, and the same scenes painted at night."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from toy_images.questions import CAPTION
from toy_images.scenes import COLOURS, SHAPES, SIZES, Scene, paint, random_scene

# Training draws its pictures by [seed, step], and these by one number: none is among them.
_SEED = 20_261_127


def scenes(each: int) -> list[Scene]:
    """Return `each` scenes of every shape, colour and size, at places drawn at random."""
    rng = np.random.default_rng(_SEED)
    return [
        random_scene(rng, shape=shape, colour=colour, size=size)
        for _ in range(each)
        for shape in SHAPES
        for colour in COLOURS
        for size in SIZES
    ]


def at_night(given: Sequence[Scene]) -> list[Scene]:
    """Return the same scenes, dark and grainy."""
    return [replace(scene, night=True) for scene in given]


def paint_all(given: Sequence[Scene]) -> list[Image.Image]:
    """Paint each scene; the same scenes give the same pictures."""
    return [paint(scene, np.random.default_rng([_SEED, i, scene.night])) for i, scene in enumerate(given)]


def write_set(folder: Path, name: str, given: Sequence[Scene]) -> None:
    """Write ``NAME/*.png``, and ``NAME.jsonl`` with a question on each picture and what it shows as columns."""
    (folder / name).mkdir(exist_ok=True)
    rows = []
    for i, (scene, picture) in enumerate(zip(given, paint_all(given), strict=True)):
        file = f"{name}/{i:03}.png"
        picture.save(folder / file)
        shown = {"category": scene.shape, "colour": scene.colour, "size": scene.size, "caption": f" {scene.caption}"}
        rows.append({"id": f"{name}-{i:03}", "image": file, "text": CAPTION, **shown})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
