"""The command line, with an engine that needs no model in the place of transformers; always at the same time.

python made_moexray.py ARGUMENTS

Where KILL_AFTER is set, it kills itself after so many prompts. It appends the ids of the prompts that it runs to LOG.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from moexray.cli.main import main
from moexray.engines import engine
from moexray.recording import batches
from moexray.routing import RoutedSequence
from tests.recording.made_engine import MadeEngine

NOW = "2026-03-11T00:00:00+00:00"
_LEFT = [int(os.environ.get("KILL_AFTER", "-1"))]


class Killed(MadeEngine):
    """Runs prompts one by one, until it is killed."""

    def run(self, prompts: Any, generation: Any, **options: Any) -> Iterator[tuple[int, RoutedSequence]]:
        for place, sequence in super().run(prompts, generation, **options):
            if _LEFT[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            _LEFT[0] -= 1
            with Path(os.environ["LOG"]).open("a", encoding="utf-8") as log:
                log.write(f"{prompts[place].id}\n")
            yield place, sequence


def open_made(model: str, **_options: Any) -> Killed:
    """Open the engine, whatever the model and the options."""
    del model
    return Killed("alone")


if __name__ == "__main__":
    engine.ENGINES = {"transformers": f"{__name__}:open_made"}
    batches.now = lambda: NOW
    main()
