"""The specification curve: every answer in order, and the choices behind each."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from moexray.stats.categories.alternatives import Specification
from moexray.studies.sections.alternatives import CHOICES
from moexray.views.figures.style import COLOURS, figure_style, set_title

_HEADINGS = {"measure": "similarity of", "layers": "layers", "phase": "tokens", "left_out": "left out"}
_LEVEL = 0.05


def draw_specifications(found: Sequence[Specification], *, title: str) -> Figure:
    """Draw Cohen's d of every specification, the least first, over marks that say what was chosen.

    Filled circles have p < 0.05, open ones have not. (U. Simonsohn, J. Simmons and L. Nelson, Nature Human
    Behaviour 4, 2020.)
    """
    known = sorted((one for one in found if one.cohens_d is not None), key=lambda one: one.cohens_d or 0.0)
    rows = [(choice, value) for choice in CHOICES for value in dict.fromkeys(getattr(one, choice) for one in known)]
    with figure_style():
        figure = Figure(figsize=(6.4, 2.4 + 0.17 * len(rows)), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 0.17 * len(rows)))
        place = np.arange(len(known))
        effects = np.array([one.cohens_d for one in known], dtype=np.float64)
        clear = np.array([one.p_value is not None and one.p_value < _LEVEL for one in known])
        upper.scatter(place[clear], effects[clear], s=9, color=COLOURS[0], label="p < 0.05")
        if not clear.all():
            upper.scatter(place[~clear], effects[~clear], s=9, facecolor="none", edgecolor=COLOURS[0], label="p ≥ 0.05")
        upper.axhline(0, color="0.6", linewidth=0.6)
        upper.set(ylabel="effect size (Cohen's d)")
        upper.legend(loc="upper left")
        set_title(upper, title, own_figure=True)
        for row, (choice, value) in enumerate(rows):
            chosen = [i for i, one in enumerate(known) if getattr(one, choice) == value]
            lower.plot(chosen, [row] * len(chosen), "|", markersize=5, color="black", markeredgewidth=0.7)
        lower.set_yticks(range(len(rows)), [f"{_HEADINGS[choice]}: {value}" for choice, value in rows], fontsize=7)
        lower.set(xlabel="specifications, by effect size", ylim=(len(rows) - 0.5, -0.5))
        lower.tick_params(axis="y", length=0)
        return figure
