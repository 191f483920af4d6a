"""Progress on standard error, where somebody is watching."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def capture_progress(prompts: int) -> Iterator[Callable[[int, int], None]]:
    """Yield what `capture` calls after each batch with the prompts and tokens done; draws a bar."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("capturing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("prompts"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=prompts, speed="")

        def advance(done: int, tokens: int) -> None:
            seconds = bar.tasks[0].elapsed or 0.0
            bar.update(task, completed=done, speed=f"{tokens / seconds:,.0f} tokens/s" if seconds else "")

        yield advance


@contextmanager
def step_progress() -> Iterator[Callable[[str], None]]:
    """Yield what `analyze` calls with the name of each step; draws a spinner with that name."""
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("")
        yield lambda name: bar.update(task, description=name)
