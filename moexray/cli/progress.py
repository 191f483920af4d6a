"""Progress on standard error: a bar on a terminal, elsewhere a plain line every half minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from moexray.cli.render import say
from moexray.cli.screen import console, is_quiet
from moexray.formats import visible
from moexray.recording import progress

# Seconds between two lines.
_EVERY = 30.0


class CaptureStatus:
    """What a capture does, how fast, and how long it will still take, in words.

    Attributes
    ----------
    last
        The last report; None before the first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = (0.0, 0)
        self.last: progress.Progress | None = None

    def update(self, report: progress.Progress) -> None:
        """Take a report of `moexray.recording.capture.capture`."""
        if report.stage == "running" and (self.last is None or self.last.stage != "running"):
            self._start = self._clock(), report.tokens
        self.last = report

    @property
    def stage(self) -> str:
        """What is being done."""
        if self.last is None:
            return "starting"
        stages = {"verifying": "checking the recording", "running": "capturing", "writing": "writing files"}
        return stages.get(self.last.stage, f"loading {self.last.model}")

    @property
    def detail(self) -> str:
        """Prompts that are done, tokens a second and time left; empty while no prompt runs."""
        report = self.last
        if report is None or report.stage != "running":
            return ""
        parts = []
        if report.prompts:
            parts.append(f"{report.prompts:,} of {report.total_prompts:,} prompts done")
        seconds, tokens = self._clock() - self._start[0], report.tokens - self._start[1]
        if seconds > 0 and tokens > 0:
            speed = tokens / seconds
            left = (report.total_tokens - report.tokens) / speed
            parts += [f"{speed:,.{int(speed < 10)}f} tokens/s", f"{_duration(left)} left"]
        return ", ".join(parts)

    @property
    def line(self) -> str:
        """Stage and detail, with the tokens that a bar would show."""
        report, tokens = self.last, ""
        if report is not None and report.stage == "running":
            tokens = f"{report.tokens:,} of at most {report.total_tokens:,} tokens"
        return ": ".join(filter(None, [self.stage, ", ".join(filter(None, [tokens, self.detail]))]))


@contextmanager
def capture_progress() -> Iterator[CaptureStatus]:
    """Yield a status, and show it while the block updates it, unless the command line is quiet."""
    status, screen = CaptureStatus(), console(err=True)
    if is_quiet():
        yield status
        return
    if not screen.is_terminal:
        with _repeated(lambda: say(status.line, err=True), _EVERY):
            yield status
        return
    bar_column = BarColumn(bar_width=None)  # the room that words leave
    columns = (TextColumn("{task.description}", markup=False), bar_column, TextColumn("{task.fields[detail]}"))
    with Progress(*columns, console=screen, transient=True, expand=True) as bar:
        task = bar.add_task("", total=None, detail="")

        def show() -> None:
            report = status.last
            total = report.total_tokens if report is not None and report.stage == "running" else None
            completed = 0 if report is None or total is None else report.tokens
            bar.update(task, description=visible(status.stage), total=total, completed=completed, detail=status.detail)

        with _repeated(show, 0.1):
            yield status


@contextmanager
def step_progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the name of the current step: with a spinner, or by lines with the time taken."""
    screen, started = console(err=True), time.monotonic()
    if is_quiet():
        yield lambda _: None
        return
    if not screen.is_terminal:
        step = ["starting"]

        def announce(name: str) -> None:
            step[0] = name

        with _repeated(lambda: say(f"{step[0]}: {_duration(time.monotonic() - started)} so far", err=True), _EVERY):
            yield announce
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("")
        yield lambda name: bar.update(task, description=visible(name))


@contextmanager
def _repeated(show: Callable[[], None], every: float) -> Iterator[None]:
    """Call a function at an interval in seconds from a thread: a single forward pass may take minutes."""
    over = Event()

    def repeat() -> None:
        while not over.wait(every):
            show()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
