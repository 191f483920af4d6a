"""A prompt's tokens on a terminal, and its generation played."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from moexray.cli.encoded import holds_all
from moexray.cli.render import print_page, print_text, say, shows_colours, tinted
from moexray.cli.screen import console
from moexray.formats import visible
from moexray.studies.shown_report import ShownPrompt
from moexray.views.prompt_tokens import Run, parts_of
from moexray.views.sparkline import BLOCKS, PLAIN_BLOCKS
from moexray.views.tables.shown import legend_page, title_of

if TYPE_CHECKING:
    from rich.text import Text

# Seconds between two tokens, and those that a whole generation takes at most.
_EVERY, _LONGEST = 0.12, 30.0


def print_prompt(found: ShownPrompt, *, most: int, numbers: bool, play: bool) -> None:
    """Print the title, the given and the generated part, the legend and the layers.

    Parameters
    ----------
    found
        A prompt.
    most
        As `parts_of`.
    numbers
        Whether numbers stand beside tokens where there are colours.
    play
        Whether the generated part appears token by token first; elsewhere than on a terminal it does not.
    """
    screen = console()
    plain, numbers = not holds_all(), numbers or not shows_colours(screen)
    parts = list(parts_of(found, most=most))
    if play and not any(run.written for _, runs in parts for run in runs):
        say(f"there is nothing to play: no generated token of prompt {found.prompt} is shown", err=True)
    print_text(visible(title_of(found)))
    for heading, runs in parts:
        print_text(f"\n{heading}")
        if play and screen.is_terminal and runs[0].written:
            _play(found, runs, numbers=numbers, plain=plain)
        print_text(tinted(runs, numbers=numbers, plain=plain))
    print_text()
    print_page(legend_page(found, blocks=PLAIN_BLOCKS if plain else BLOCKS))


def _play(found: ShownPrompt, runs: Sequence[Run], *, numbers: bool, plain: bool) -> None:
    """Let the runs of a part appear one by one, as many as the screen has room for; then clear them.

    Who interrupts it sees the end at once.
    """
    from rich.console import Group
    from rich.live import Live

    screen = console()
    room = max(1, screen.height - 4) * screen.width // 2
    with suppress(KeyboardInterrupt), Live(console=screen, auto_refresh=False, transient=True) as live:
        for end in range(1, len(runs) + 1):
            if runs[end - 1].first < 0:
                continue
            shown = tinted(_last(runs[:end], room), numbers=numbers, plain=plain)
            live.update(Group(shown, "", _so_far(found, runs[end - 1])), refresh=True)
            time.sleep(min(_EVERY, _LONGEST / len(runs)))


def _last(runs: Sequence[Run], room: int) -> Sequence[Run]:
    """Return the last runs that fit so many characters; a line break takes a line."""
    start, taken = len(runs), 0
    while start and taken < room:
        start -= 1
        taken += len(runs[start].text) + len(runs[start].beside) + 80 * runs[start].text.count("\n")
    return runs[start:]


def _so_far(found: ShownPrompt, run: Run) -> "Text":
    from rich.text import Text

    token = f"token {run.first + 1} of {len(found.sequence)}"
    reached = f"{found.sequence[run.first].reached} of {found.experts} experts of layer {found.layer}"
    return Text(f"{token}; reached so far: {reached}", style="dim")
