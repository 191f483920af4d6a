"""A program that asks servers and prints by how many bytes its memory grew with each wrong one; Linux only.

python asking.py MODEL RIGHT_URL WRONG_URL...
"""

import sys
from pathlib import Path

from moexray.engines.server.address import address_of
from moexray.engines.server.engine import ServerEngine
from moexray.engines.server.limits import Limits
from moexray.engines.serving.model import read_served_model
from moexray.errors import MoexrayError
from moexray.generation import Generation
from moexray.prompts import Prompt
from tests.engines.server.fake_server import MODEL

PROMPTS = [Prompt("abcdefgh"[i:], "a", str(i)) for i in range(8)]


def memory(name: str) -> int:
    """Return the memory of this process in bytes: VmRSS is what it has, VmHWM the most since `forget`."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def forget() -> int:
    """Let VmHWM count from now on, and return the memory that there is now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


def _main(model: str, *urls: str) -> None:
    served = read_served_model(model)
    patient, hasty = Limits(concurrency=8), Limits(concurrency=8, retry_seconds=0.2, request_seconds=1)
    for place, url in enumerate(urls):
        limits = hasty if place else patient  # the right one may be slow, where other tests run beside it
        before = forget()
        with ServerEngine(served, address_of(url), limits, served_model=MODEL) as engine:
            try:
                found = len(list(engine.run(PROMPTS, Generation(4))))
            except MoexrayError as error:
                found = 0
                print(str(error)[:60], file=sys.stderr)
        assert found == (len(PROMPTS) if place == 0 else 0)
        if place:
            print(memory("VmHWM") - before)


if __name__ == "__main__":
    _main(*sys.argv[1:])
