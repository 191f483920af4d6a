"""The figure of a study, drawn where a command's --figure says."""

from pathlib import Path

from moexray.cli.render import say
from moexray.studies.results import Result


def draw_to(figure: Path | None, name: str, result: Result) -> None:
    """Draw a result to a file, where one was asked for, and say so.

    Parameters
    ----------
    figure
        The file, or None.
    name
        The figure: one of `moexray.views.figures.FIGURES`.
    result
        What is drawn.
    """
    if figure is None:
        return
    from moexray.views.figures import figure as function_of
    from moexray.views.figures.style import save_figure

    save_figure(function_of(name)(result), figure)
    say(f"wrote {figure}", err=True)
