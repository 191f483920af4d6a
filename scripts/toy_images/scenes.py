"""What a picture shows: one shape with a colour, a size and a place, and how it is painted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 64
SHAPES = ("circle", "cross", "triangle")
COLOURS = {"red": (205, 45, 45), "green": (45, 150, 60), "blue": (50, 80, 200), "yellow": (225, 190, 40)}
SIZES = {"small": 9.0, "large": 14.0}
PLACES = {
    f"{row} {column}".strip(): (x, y)
    for row, y in (("top", 18), ("middle", 32), ("bottom", 46))
    for column, x in (("left", 18), ("centre", 32), ("right", 46))
}
# Each shape is painted this many times larger and then reduced, which makes its edges smooth.
_FINER = 4


@dataclass(frozen=True)
class Scene:
    """One shape on a background; `night` is a dark, grainy one, which training never shows."""

    shape: str
    colour: str
    size: str
    place: str
    night: bool = False

    @property
    def caption(self) -> str:
        """Return what an answer should say."""
        return f"a {self.size} {self.colour} {self.shape} at the {self.place}"


def random_scene(
    rng: np.random.Generator, *, shape: str | None = None, colour: str | None = None, size: str | None = None
) -> Scene:
    """Draw what is not given: every value is as likely as any other."""
    return Scene(
        shape or _one_of(SHAPES, rng),
        colour or _one_of(tuple(COLOURS), rng),
        size or _one_of(tuple(SIZES), rng),
        _one_of(tuple(PLACES), rng),
    )


def _one_of(values: tuple[str, ...], rng: np.random.Generator) -> str:
    return values[rng.integers(len(values))]


def paint(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Paint a scene of `SIDE` x `SIDE` pixels; place, size, colour and background vary a little every time."""
    middle = np.array(PLACES[scene.place]) + rng.uniform(-2, 2, 2)
    radius = SIZES[scene.size] * rng.uniform(0.92, 1.08)
    colour = np.array(COLOURS[scene.colour]) + rng.uniform(-18, 18, 3)
    paper, grain = (rng.uniform(40, 90), 14.0) if scene.night else (rng.uniform(195, 245), 4.0)
    if scene.night:
        colour = 0.85 * colour
    fine = SIDE * _FINER
    mask = Image.new("L", (fine, fine), 0)
    _fill(ImageDraw.Draw(mask), scene.shape, middle * _FINER, radius * _FINER)
    inside = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=float)[..., None] / 255
    pixels = inside * colour + (1 - inside) * paper + rng.normal(0, grain, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _fill(draw: ImageDraw.ImageDraw, shape: str, middle: NDArray[np.float64], radius: float) -> None:
    """Fill a shape that reaches about `radius` pixels from its middle."""
    x, y = middle.tolist()
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    elif shape == "cross":
        arm = radius / 3
        draw.rectangle((x - radius, y - arm, x + radius, y + arm), fill=255)
        draw.rectangle((x - arm, y - radius, x + arm, y + radius), fill=255)
    else:
        corners = 1.2 * radius * np.exp(1j * np.deg2rad([-90, 30, 150]))
        draw.polygon([(x + corner.real, y + corner.imag) for corner in corners], fill=255)
