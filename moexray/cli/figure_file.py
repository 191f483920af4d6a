"""The figure of a study, drawn where a command's --figure says."""

from pathlib import Path

from moexray.cli.options import refuse_idle
from moexray.cli.render import say
from moexray.files import check_writable
from moexray.studies.results import Result


def check_figure(figure: Path | None, width: str | None) -> None:
    """Refuse a figure that could not be written, or a width that is none or of no figure, before the work begins."""
    if figure is None:
        refuse_idle("is that of a figure: give --figure, too", width=width)
        return
    check_writable(figure)
    if width is not None:
        from moexray.views.figures.widths import inches

        inches(width)


def draw_to(figure: Path | None, name: str, result: Result, *, width: str | None = None) -> None:
    """Draw a result to a file, where one was asked for, and say so.

    Parameters
    ----------
    figure
        The file, or None.
    name
        The figure: one of `moexray.views.figures.FIGURES`.
    result
        What is drawn.
    width
        A venue or inches; by default the figure's own.
    """
    if figure is None:
        return
    from moexray.views.figures import figure as function_of
    from moexray.views.figures.style import save_figure

    axes = function_of(name)(result)
    if width is not None:
        from moexray.views.figures.widths import fit_width, inches

        fit_width(axes, inches(width))
    save_figure(axes, figure)
    say(f"wrote {figure}", err=True)
