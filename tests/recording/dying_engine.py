"""An engine of letters that logs what it runs and kills its process where it is told; workers find it by its name.

Its model is a folder: `log` gets a line for each prompt, with the process that ran it, and the first process that comes
to the prompt that `dies-at` names is killed there.
"""

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

from .made_engine import MadeEngine


class DyingEngine(MadeEngine):
    """See above."""

    def __init__(self, folder: Path) -> None:
        super().__init__("alone")  # the journal keeps every prompt at once
        self._folder = folder
        with (folder / "opened").open("a") as log:
            log.write(f"{os.getpid()}\n")

    def run(
        self,
        prompts: Sequence[Prompt],
        generation: Generation,
        *,
        want: Collection[str] = (),
        on_tokens: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[int, RoutedSequence]]:
        for place, sequence in super().run(prompts, generation, want=want, on_tokens=on_tokens):
            time.sleep(0.02)
            name, order, marker = prompts[place].id, self._folder / "dies-at", self._folder / "died"
            if order.exists() and order.read_text() == name and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            with (self._folder / "log").open("a") as log:
                log.write(f"{name} {os.getpid()}\n")
            yield place, sequence


def open_engine(model: str) -> DyingEngine:
    """Return the engine whose model is a folder."""
    return DyingEngine(Path(model))


def install(folder: Path) -> None:
    """Write a package with the engine, by the name `dying`, to a folder that is to be on the path of workers."""
    here = Path(__file__).parent
    for name in ("dying_engine.py", "made_engine.py"):
        program = (here / name).read_text().replace("from .made_engine", "from made_engine")
        (folder / name).write_text(program)
    about = folder / "dying_engine-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dying-engine\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[moexray.engines]\ndying = dying_engine:open_engine\n")
