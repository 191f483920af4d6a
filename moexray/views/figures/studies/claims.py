"""Claims of a study: how far each value here is from the published one, in units of the margin, and the verdict."""

from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from moexray.claims.claim import Verdict
from moexray.claims.report import CheckedClaim, ClaimsReport
from moexray.formats import count
from moexray.views.figures.settling import settle
from moexray.views.figures.style import COLOURS, figure_of, figure_style, note_above, set_title, shown_name

# Colour and mark of each verdict; a hollow mark is one that decides nothing.
_LOOKS: Mapping[Verdict, tuple[str, str, bool]] = {
    Verdict.consistent: (COLOURS[2], "o", True),
    Verdict.direction_only: (COLOURS[5], "^", True),
    Verdict.inconclusive: ("0.35", "o", False),
    Verdict.different: (COLOURS[1], "X", True),
    Verdict.not_applicable: ("0.6", "d", False),
}
# Differences of more margins are drawn at the end of the axis.
_FARTHEST = 6.0
_LAST = 0.97 * _FARTHEST


def claims(result: ClaimsReport, ax: Axes | None = None) -> Axes:
    """Draw each value here minus the published one over the claim's margin, with its intervals, beside the verdict.

    Thick bars are the intervals of equivalence: a value whose bar lies inside of ±1 is consistent. Thin ones are 95 %
    intervals: any other value whose bar excludes 0 is different, or has the published direction only. A claim of
    several values has a mark for each. One that compares with no published value, or has no margin, has its verdict
    alone.

    Parameters
    ----------
    result
        Its claims are drawn, the first above.
    ax
        Axes to draw on; by default those of a new figure.
    """
    rows = len(result.claims)
    with figure_style():
        axes = ax or Figure(figsize=(6.4, 1.4 + 0.28 * max(rows, 4)), layout="constrained").subplots()
        about = result.signatures
        here = f"here {shown_name(about.model or 'unknown model')}, {count(about.prompts, 'prompt')}"
        if any(one.as_if is not None for one in result.claims):
            here += "; in parentheses: of a claim that does not apply"
        set_title(axes, f"{shown_name(result.study.title)}: {count(rows, 'claim')}\n{here}", own_figure=ax is None)
        axes.axvspan(-1, 1, color="0.93", linewidth=0)
        axes.axvline(0, color="0.35", linewidth=0.8, linestyle="--")
        farthest = 1.5
        for row, one in enumerate(result.claims):
            farthest = max(farthest, _row(axes, row, one))
        farthest = min(farthest * 1.08, _FARTHEST)
        axes.set_xlim(-farthest, farthest)
        names = [f"{shown_name(one.id)}  {shown_name(' '.join(one.name.split()))}" for one in result.claims]
        axes.set_yticks(range(rows), names)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.tick_params(axis="y", length=0, labelsize=8)
        _verdicts(axes, result)
        axes.set(xlabel="difference from the published value, in margins")
        note_above(axes, "dashed: as published; grey: inside of the margin")
        if ax is None:
            settle(figure_of(axes))
        return axes


def _row(axes: Axes, row: int, claim: CheckedClaim) -> float:
    """Draw the differences of a claim, and return how far they reach."""
    colour, marker, filled = _LOOKS[_decided(claim)]
    found = list(_differences(claim))
    reach = 0.0
    for place, difference in enumerate(found):
        level = row + (place - (len(found) - 1) / 2) * 0.6 / len(found)
        value, ends, inner = difference
        axes.plot(ends, [level, level], color=colour, linewidth=0.9)
        axes.plot(inner, [level, level], color=colour, linewidth=2.4, solid_capstyle="butt", alpha=0.6)
        beyond = "<" if value < -_LAST else ">" if value > _LAST else None
        axes.plot(
            min(max(value, -_LAST), _LAST), level, color=colour,
            marker=beyond or marker, markersize=5 if len(found) == 1 else 3, linestyle="none",
            markerfacecolor=colour if filled else "white",
        )  # fmt: skip
        reach = max(reach, *map(abs, (value, *ends)))
    return reach


def _verdicts(axes: Axes, result: ClaimsReport) -> None:
    """Write each verdict, after its mark, at the right end of its row."""
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(result.claims)), [_verdict(one) for one in result.claims])
    beside.tick_params(axis="y", length=0, pad=14, labelsize=8)
    beside.spines[:].set_visible(False)
    for row, one in enumerate(result.claims):
        colour, marker, filled = _LOOKS[_decided(one)]
        axes.plot(
            1, row, transform=offset_copy(axes.get_yaxis_transform(), figure_of(axes), x=9, units="points"),
            color=colour, marker=marker, markersize=4,
            markerfacecolor=colour if filled else "white", linestyle="none", clip_on=False,
        )  # fmt: skip


def _verdict(claim: CheckedClaim) -> str:
    return claim.verdict if claim.as_if is None else f"({claim.as_if})"


def _decided(claim: CheckedClaim) -> Verdict:
    """Return the verdict of the test, also of a claim that does not apply."""
    return Verdict(claim.verdict if claim.as_if is None else claim.as_if)


def _differences(claim: CheckedClaim) -> Iterator[tuple[float, tuple[float, float], tuple[float, float]]]:
    """Yield the differences of a claim and their two intervals, in units of its margin."""
    if claim.margin is None or claim.here is None:
        return
    here = claim.here
    parts: list[Any] = [here, *(one for one in here.values() if isinstance(one, Mapping))]
    for part in parts:
        difference = part.get("difference")
        if isinstance(difference, Mapping) and {"value", "ci", "equivalence_ci"} <= difference.keys():
            value, ends, inner = difference["value"], difference["ci"], difference["equivalence_ci"]
            scale = claim.margin
            yield value / scale, (ends[0] / scale, ends[1] / scale), (inner[0] / scale, inner[1] / scale)
