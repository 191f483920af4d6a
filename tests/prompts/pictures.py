"""Small pictures for tests, made by Pillow."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (6, 4)  # columns, rows


def pixels(seed: int = 0) -> np.ndarray:  # (rows, columns, 3)
    """Return colours of which no two rows or columns are alike."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def encoded(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def picture(seed: int = 0, format_: str = "PNG", **options: Any) -> bytes:
    """Return `pixels`, encoded."""
    return encoded(Image.fromarray(pixels(seed)), format_, **options)


def written(path: Path, seed: int = 0, format_: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(seed, format_))
    return path
