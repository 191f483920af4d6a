"""Figure `segments`: similarity and effect size of prompt and of generated tokens, of the same prompts."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moexray.formats import count, p_text
from moexray.stats.pairs.summaries import Interval
from moexray.studies.analysis import Analysis
from moexray.studies.sections.phases import Phases
from moexray.views.figures.style import (
    COLOURS,
    EFFECT_SIZE,
    NO_BREAK,
    Panels,
    figure_style,
    missing,
    note_above,
    say_not_computed,
    set_title,
    shown_model,
)

_PHASES = ("prompt", "generated")
_BOTH = "prompt and\ngenerated"


def segments(analysis: Analysis, ax: Panels | None = None) -> Panels:
    """Draw mean similarity in each phase and between the two above, and Cohen's d of each phase below.

    Between the phases, the similarity of a prompt's own tokens in both stands beside its similarity with the generated
    tokens of other prompts.

    Parameters
    ----------
    analysis
        Its phases are drawn, with 95 % intervals; what is None is left out.
    ax
        Two axes, above and below; by default those of a new figure.

    Raises
    ------
    FigureError
        If the analysis compares no phases.
    """
    found = analysis.phases
    if found is None:
        raise missing(analysis, figure="segments", part="phases")
    with figure_style():
        upper, lower = ax or Figure(figsize=(5.2, 3.6), layout="constrained").subplots(2, 1)
        title = "Category structure, prompt and generated tokens"
        about = f"{shown_model(analysis.signatures.model)}, {count(found.prompts, 'prompt')} with both"
        sample, prompts = analysis.signatures.sample, analysis.signatures.prompts
        if sample is not None and sample < prompts:
            about += f", of {sample:,} of {prompts:,} drawn at random"
        set_title(upper, f"{title}\n{about}", own_figure=ax is None)
        _similarities(upper, found)
        _effects(lower, found)
        for axes in (upper, lower):
            axes.set_ylim(2.6, -0.6)
            axes.margins(x=0.08)
            if len(axes.get_xticks()) > 1:
                axes.locator_params(axis="x", nbins=6)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", color="0.9", linewidth=0.6)
            axes.set_axisbelow(True)
        return upper, lower


def _similarities(axes: Axes, found: Phases) -> None:
    inside = [found.prompt.within, found.generated.within, found.same_category]
    outside = [found.prompt.across, found.generated.across, found.other_categories]
    for row, (high, low) in enumerate(zip(inside, outside, strict=True)):
        if high is not None and low is not None:
            axes.plot([low, high], [row, row], color="0.6", linewidth=1, zorder=1)
    for name, values, colour, marker in (
        ("same category", inside, COLOURS[0], "o"),
        ("another category", outside, COLOURS[1], "s"),
    ):
        known = [(value, row) for row, value in enumerate(values) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), linestyle="", marker=marker, color=colour, markersize=5, label=name)
    _point(axes, found.own.mean, found.own.ci, 2, colour=COLOURS[2], marker="D", label="same prompt", fillstyle="none")
    axes.set_yticks(range(3), [*_PHASES, _BOTH])
    p = "" if found.p_value is None else p_text(found.p_value).replace(" ", NO_BREAK)
    axes.set(xlabel="mean cosine similarity" + (f" (same prompt: {p})" if p else ""))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, handletextpad=0.1, columnspacing=0.8,
                borderaxespad=0)  # fmt: skip


def _effects(axes: Axes, found: Phases) -> None:
    axes.axvline(0, color="0.6", linewidth=0.6)
    effects = [(one.cohens_d, one.cohens_d_ci) for one in (found.prompt, found.generated)]
    for row, (d, ci) in enumerate([*effects, (found.difference.cohens_d, found.difference.ci)]):
        if d is not None:
            _point(axes, d, ci, row, colour=COLOURS[0] if row < 2 else "black", marker="o" if row < 2 else "D")
    axes.set_yticks(range(3), [*_PHASES, "difference"])
    axes.set(xlabel=EFFECT_SIZE)
    if any(d is not None for d, _ in effects):
        note_above(axes, "lines: 95 % intervals")
    else:
        axes.set_xticks([0])
        say_not_computed(axes, (0.55, 0.5), align="left")


def _point(axes: Axes, value: float, ci: Interval | None, row: int, *, colour: str, marker: str, **more: Any) -> None:
    if ci is not None:
        axes.plot(ci, [row, row], color=colour, linewidth=1.4)
    axes.plot([value], [row], linestyle="", color=colour, marker=marker, markersize=5.5, **more)
