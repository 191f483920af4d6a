"""Figure `specifications`: the effect size under every choice of analysis, in order."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.formats import p_text
from moexray.stats.categories.alternatives import Specification
from moexray.studies.analysis import Analysis
from moexray.studies.limits import LEVEL
from moexray.studies.sections.alternatives import CHOICES
from moexray.views.figures.style import (
    COLOURS,
    EFFECT_SIZE,
    Panels,
    figure_style,
    missing,
    note_above,
    set_title,
    shown_names,
    title_of,
)
from moexray.views.wording import choice_text

# Beside the marks there is room for names of so many characters.
_LONGEST_NAME = 22


def specifications(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw Cohen's d of every specification, the smallest first, over marks that say what was chosen.

    Filled circles have p < 0.05, open ones have not, and crosses have no p; that of all specifications together stands
    above them.
    (U. Simonsohn, J. Simmons and L. Nelson, Nature Human Behaviour 4, 2020.)

    Parameters
    ----------
    analysis
        Its specifications are drawn.
    ax
        Two axes, above and below; by default those of a new figure.

    Raises
    ------
    FigureError
        If the analysis has no specifications, or none has an effect size.
    """
    if analysis.specifications is None:
        raise missing(analysis, figure="specifications", part="specifications")
    known = sorted(
        (one for one in analysis.specifications if one.cohens_d is not None), key=lambda one: one.cohens_d or 0.0
    )
    if not known:
        message = "no figure specifications: no specification has an effect size"
        raise FigureError(message)
    rows = [(choice, value) for choice in CHOICES for value in dict.fromkeys(getattr(one, choice) for one in known)]
    with figure_style():
        upper, lower = ax or _panels(len(rows))
        title = title_of("Effect size under every choice", analysis.signatures, sample=analysis.signatures.sample)
        set_title(upper, title, own_figure=ax is None)
        _effects(upper, known)
        if analysis.specifications_p is not None:
            note_above(upper, f"all together: {p_text(analysis.specifications_p.p_value)}")
        for row, (choice, value) in enumerate(rows):
            chosen = [i for i, one in enumerate(known) if getattr(one, choice) == value]
            lower.plot(chosen, [row] * len(chosen), "|", markersize=5, color="black", markeredgewidth=0.7)
        lower.set_yticks(range(len(rows)), _names(rows), fontsize=7)
        lower.set(xlabel="specifications, by effect size", ylim=(len(rows) - 0.5, -0.5))
        lower.tick_params(axis="y", length=0)
        return upper, lower


def _names(rows: Sequence[tuple[str, str]]) -> list[str]:
    shown = shown_names([value for _, value in rows], most=_LONGEST_NAME)
    return [choice_text(choice, name) for (choice, _), name in zip(rows, shown, strict=True)]


def _panels(rows: int) -> Panels:
    figure = Figure(figsize=(6.4, 2.4 + 0.17 * rows), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 0.17 * rows))
    return upper, lower


def _effects(axes: Axes, known: Sequence[Specification]) -> None:
    place = np.arange(len(known))
    effects = np.array([one.cohens_d for one in known], dtype=np.float64)
    below = np.array([one.p_value is not None and one.p_value < LEVEL for one in known])
    none = np.array([one.p_value is None for one in known])
    for chosen, fill, label in ((below, COLOURS[0], f"p < {LEVEL}"), (~below & ~none, "none", f"p ≥ {LEVEL}")):
        if chosen.any():
            axes.scatter(place[chosen], effects[chosen], s=9, facecolor=fill, edgecolor=COLOURS[0], label=label)
    if none.any():
        axes.scatter(place[none], effects[none], s=12, marker="x", color=COLOURS[0], linewidths=0.8, label="no p")
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set(ylabel=EFFECT_SIZE)
    axes.legend(loc="upper left", fontsize=8, handlelength=0.8, handletextpad=0.3, borderaxespad=0.2)
