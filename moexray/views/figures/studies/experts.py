"""Experts that get more, or less, of some categories than of the others: a row for each."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from moexray.formats import categories_text, tokens_text
from moexray.studies.expert_report import Expert, ExpertReport, LayerOfExperts
from moexray.views.figures.settling import legend_below, settle
from moexray.views.figures.style import COLOURS, MARKERS, figure_of, figure_style, note_above, set_title, shown_name

_MOST_ROWS = 20
# Categories with a colour and a mark of their own; the others are grey.
_MOST_NAMED = 12
_REST = "0.7"


def experts(result: ExpertReport, ax: Axes | None = None) -> Axes:
    """Draw the share of each category that the experts get which differ most between categories.

    A filled mark is a category that an expert gets more of than of the others, a hollow one less, after adjustment for
    all experts; other categories are grey ticks. Where nothing was tested, the marks are of the largest share. The
    bar across a row is even load, where the report has all experts of the layer.

    Parameters
    ----------
    result
        Up to 20 of its experts are drawn, those with the largest differences, or the widest shares.
    ax
        Axes to draw on; by default those of a new figure.
    """
    chosen = sorted(
        ((layer, one) for layer in result.layers for one in layer.experts), key=lambda pair: -_extent(pair[1])
    )[:_MOST_ROWS]
    marked = [_marked(one) for _, one in chosen]
    known = dict.fromkeys(name for marks in marked for name in marks)
    looks = {name: (COLOURS[i % len(COLOURS)], MARKERS[i]) for i, name in enumerate(list(known)[:_MOST_NAMED])}
    with figure_style():
        rows = len(chosen)
        axes = ax or Figure(figsize=(5.6, 1.5 + 0.2 * max(rows, 3)), layout="constrained").subplots()
        categories = categories_text([shown_name(name) for name in result.categories])
        source = f"{shown_name(result.model or 'unknown model')}, {categories}"
        of = "" if result.phase is None else f", {shown_name(tokens_text(result.phase))}"
        total = sum(len(layer.experts) for layer in result.layers)
        most = "" if rows == total else f"the {rows} of {total:,} that differ most"
        what = ", ".join(filter(None, ("What experts get more of", most))) + of
        set_title(axes, f"{what}\n{source}", own_figure=ax is None)
        for row, ((layer, one), marks) in enumerate(zip(chosen, marked, strict=True)):
            _row(axes, row, one, marks, looks, even=_even(layer))
        for name, (colour, marker) in looks.items():
            axes.plot([], [], color=colour, marker=marker, markersize=4, linestyle="none", label=shown_name(name))
        axes.set_yticks(range(rows), [f"layer {layer.layer}, expert {one.expert}" for layer, one in chosen])
        axes.set_ylim(rows - 0.5, -0.5)
        axes.margins(x=0.06)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set(xlabel=f"share of a category's {result.of}")
        axes.tick_params(axis="y", length=0)
        tested = any(one.special is not None for _, one in chosen)
        note_above(axes, _note(tested=tested, even=any(_even(layer) is not None for layer, _ in chosen)))
        legend_below(axes, own_figure=ax is None)
        if ax is None:
            settle(figure_of(axes))
        return axes


def _row(
    axes: Axes, row: int, one: Expert, marks: Mapping[str, bool], looks: Mapping[str, tuple[str, str]], *,
    even: float | None,
) -> None:  # fmt: skip
    shares = list(one.categories.values())
    axes.plot([min(shares), max(shares)], [row, row], color="0.85", linewidth=0.8, zorder=1)
    if even is not None:
        axes.plot([even, even], [row - 0.4, row + 0.4], color="0.35", linewidth=0.9, zorder=1)
    axes.plot(shares, [row] * len(shares), color=_REST, marker="|", markersize=5, linestyle="none", zorder=2)
    for name, more in marks.items():
        colour, marker = looks.get(name, ("0.45", "."))
        axes.plot(
            one.categories[name], row, color=colour, marker=marker, markersize=4, linestyle="none",
            markerfacecolor=colour if more else "white", zorder=3,
        )  # fmt: skip


def _marked(one: Expert) -> dict[str, bool]:
    """Return the categories of an expert that have marks, and whether it gets more of them."""
    if one.special is not None:
        return {special.category: special.difference > 0 for special in one.special}
    return {max(one.categories, key=lambda name: one.categories[name]): True}


def _extent(one: Expert) -> float:
    """Return the largest difference of an expert's shares that was found, or with nothing tested how wide they are."""
    if one.special is not None:
        return max((abs(special.difference) for special in one.special), default=0.0)
    return max(one.categories.values()) - min(one.categories.values())


def _even(layer: LayerOfExperts) -> float | None:
    """Return the share that an expert would get of every category with even load; None without all experts."""
    numbers = [one.expert for one in layer.experts]
    if len(numbers) == 1 or numbers != list(range(len(numbers))):
        return None
    name = next(iter(layer.experts[0].categories))
    return sum(one.categories[name] for one in layer.experts) / len(numbers)


def _note(*, tested: bool, even: bool) -> str:
    marks = "filled: more than of others, hollow: less" if tested else "mark: the largest share, not tested"
    return f"{marks}; |: even load" if even else marks
