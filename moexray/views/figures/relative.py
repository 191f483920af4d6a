"""Colours of values relative to what is expected: white where they agree, and as far on either side of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from moexray.views.figures.style import figure_of

# Diverging, and told apart by readers who do not see red and green.
_COLOURS = "RdBu_r"
# The middle of the colours is nearly white, so that what is not there has to be grey.
_NOTHING = "0.7"
# Doublings that colours reach at most.
MOST = 3


def relative_image(
    axes: Axes,
    relative: NDArray[np.float64],
    *,
    reach: NDArray[np.float64] | None = None,
    most: int = MOST,
    **options: Any,
) -> AxesImage:
    """Draw ratios ``(rows, columns)`` by their doublings, and what is NaN in grey.

    Colours reach as far as any ratio that is not 0, of these or of those in `reach`, and `most` doublings at most:
    beyond are the end colours.
    """
    ends = ends_of(relative if reach is None else reach, most=most)
    image = axes.imshow(
        np.log2(np.clip(relative, 2.0**-most, 2.0**most)), cmap=colormaps[_COLOURS].with_extremes(bad=_NOTHING),
        vmin=-ends, vmax=ends, interpolation="nearest", **options,
    )  # fmt: skip
    axes.spines[:].set_visible(False)
    return image


def ends_of(relative: NDArray[np.float64], *, most: int = MOST) -> int:
    """Return how many doublings the colours of some ratios reach."""
    farthest = np.abs(np.log2(relative[relative > 0])).max(initial=0)
    return int(np.clip(np.ceil(farthest), 1, most))


def relative_bar(
    image: AxesImage, beside: Axes | Sequence[Axes], relative: NDArray[np.float64], label: str, **options: Any
) -> Colorbar:
    """Add the bar of the colours, whose ends say whether some ratios are beyond them."""
    ends = round(image.get_clim()[1])
    one = beside if isinstance(beside, Axes) else beside[0]
    bar = figure_of(one).colorbar(image, ax=beside if isinstance(beside, Axes) else list(beside), **options)
    some = range(-ends, ends + 1, 1 if ends <= MOST else 2)
    low, *inside, high = [f"1/{2**-doubling}" if doubling < 0 else str(2**doubling) for doubling in some]
    low = f"≤ {low}" if (relative < 2.0**-ends).any() else low
    high = f"≥ {high}" if (relative > 2.0**ends).any() else high
    bar.set_ticks(list(some), labels=[low, *inside, high])
    bar.set_label(label)
    return bar
