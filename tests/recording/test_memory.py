"""Memory does not grow with the number of prompts."""

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with

from .made_engine import MadeEngine

pytestmark = pytest.mark.slow

RECORD = ("trace", "weights", "coselection")

PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from moexray.recording.capture import capture
from moexray.prompts import Prompt
number, out = int(sys.argv[1]), Path(sys.argv[2])
texts = ["The sum of seven and five is", "Once upon a time there was a small", "def add(a, b): return"]
prompts = [Prompt(f"{texts[i % 3]} {i}", "abc"[i % 3], str(i)) for i in range(number)]
capture(prompts, out=out, model="scale", device="cpu", dtype="float32", max_new_tokens=0, batch_tokens=1024,
        record=("trace", "weights", "coselection"))
"""


@pytest.mark.nightly
def test_ten_times_the_prompts_take_no_more_memory_with_every_recorder_on(tmp_path: Path) -> None:
    """Peak of each process, as Linux counts it; the trace of 2,000 prompts alone is several times the difference."""
    peaks = {number: peak(number, tmp_path / f"{number}.npz") for number in (200, 2000)}
    assert peaks[2000] < 1.1 * peaks[200]


@pytest.mark.nightly
def test_twice_the_prompts_take_no_more_of_pythons_memory(tmp_path: Path) -> None:
    """The engine has no model, so that recording is measured; 1,600 prompts fill all blocks that are held at once."""
    peaks = {}
    for number in (1, 1600, 3200):  # the first imports what is imported once
        prompts = [Prompt("abcdefgh" * 50, "ab"[i % 2], str(i)) for i in range(number)]
        tracemalloc.start()
        out = tmp_path / f"{number}.npz"
        capture_with(MadeEngine("tokens"), prompts, Generation(4), out=out, record=RECORD, batch_tokens=4096)
        _, peaks[number] = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peaks[3200] < 1.1 * peaks[1600]


def peak(prompts: int, out: Path) -> int:
    """Capture in a process of its own, and return the most kibibytes that it held."""
    program = PROGRAM + "print(Path('/proc/self/status').read_text())"
    finished = subprocess.run(
        [sys.executable, "-c", program, str(prompts), str(out)], capture_output=True, text=True, check=True
    )
    assert out.with_suffix(".trace.parquet").exists()
    found = re.search(r"VmHWM:\s+(\d+) kB", finished.stdout)
    assert found is not None
    return int(found[1])
