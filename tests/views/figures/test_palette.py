"""Colours of categories are told apart by readers of every kind of colour vision."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from moexray.views.figures.style import COLOURS

# G. Machado, M. Oliveira and L. Fernandes, IEEE TVCG 15 (2009), severity 1, of linear RGB.
VISION = {
    "normal": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
CAT02 = np.array([[0.7328, 0.4296, -0.1624], [-0.7036, 1.6975, 0.0061], [0.0030, 0.0136, 0.9834]])
HPE = np.array([[0.38971, 0.68898, -0.07868], [-0.22981, 1.18340, 0.04641], [0.0, 0.0, 1.0]])


def seen(colours: NDArray[np.float64], vision: str) -> NDArray[np.float64]:
    """Return linear RGB of sRGB colours as one with this vision sees them, within what a screen shows."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ np.array(VISION[vision]).T, 0, 1)


def adapted(xyz: NDArray[np.float64], luminance: float) -> NDArray[np.float64]:
    """Return the responses of CIECAM02's cones, compressed, under D65 with full adaptation as far as it goes."""
    white = 100 * XYZ.sum(axis=1)
    degree = 1 - np.exp((-luminance - 42) / 92) / 3.6
    cones = xyz @ CAT02.T * (degree * 100 / (CAT02 @ white) + 1 - degree)
    k = 1 / (5 * luminance + 1)
    level = 0.2 * k**4 * 5 * luminance + 0.1 * (1 - k**4) ** 2 * (5 * luminance) ** (1 / 3)
    response = cones @ (HPE @ np.linalg.inv(CAT02)).T
    power = (level * np.abs(response) / 100) ** 0.42
    return np.sign(response) * 400 * power / (power + 27.13) + 0.1


def uniform(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return J', a', b' of CAM02-UCS (Luo, Cui and Li 2006), for sRGB's surround: 64 lux, a fifth of grey."""
    luminance, n = 64 / np.pi / 5, 0.2
    base = 0.725 * n**-0.2
    r, g, b = adapted(100 * linear @ XYZ.T, luminance).T
    white = adapted(100 * XYZ.sum(axis=1)[None], luminance)[0]
    red, yellow = r - 12 * g / 11 + b / 11, (r + g - 2 * b) / 9
    hue = np.arctan2(yellow, red)
    ratio = base * (2 * r + g + b / 20 - 0.305) / (base * (2 * white[0] + white[1] + white[2] / 20 - 0.305))
    lightness = 100 * ratio ** (0.69 * (1.48 + n**0.5))
    eccentricity = 0.25 * (np.cos(hue + 2) + 3.8)
    t = 50_000 / 13 * base * eccentricity * np.hypot(red, yellow) / (r + g + 21 * b / 20)
    chroma = t**0.9 * np.sqrt(lightness / 100) * (1.64 - 0.29**n) ** 0.73
    k = 1 / (5 * luminance + 1)
    level = 0.2 * k**4 * 5 * luminance + 0.1 * (1 - k**4) ** 2 * (5 * luminance) ** (1 / 3)
    colourfulness = np.log1p(0.0228 * chroma * level**0.25) / 0.0228
    return np.stack(
        [1.7 * lightness / (1 + 0.007 * lightness), colourfulness * np.cos(hue), colourfulness * np.sin(hue)], axis=1
    )


def least(colours: list[str], vision: str) -> float:
    """Return the least distance of two of some colours."""
    places = uniform(seen(np.array([to_rgb(colour) for colour in colours]), vision))
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(places, 2))


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_are_ten_apart(vision: str) -> None:
    """In CAM02-UCS a distance of 1 is about the least that can be seen."""
    assert least(list(COLOURS), vision) >= 10


def test_the_distance_finds_colours_that_are_not_told_apart() -> None:
    """The red and the brown of matplotlib's own ten colours are one for a reader without red cones."""
    pair = ["#d62728", "#8c564b"]
    assert least(pair, "normal") > 2 * least(pair, "protan")
    assert least(["#ffffff", "#000000"], "normal") == pytest.approx(100, abs=0.5)
