"""The figure of a study, drawn where a command's --figure says."""

from importlib import import_module
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
        The figure: a function of this name, in a module of this name in `moexray.views.figures`.
    result
        What is drawn.
    """
    if figure is None:
        return
    from moexray.views.figures.style import save_figure

    draw = getattr(import_module(f"moexray.views.figures.{name}"), name)
    save_figure(draw(result), figure)
    say(f"wrote {figure}", err=True)
