"""Memory does not grow with the number of prompts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from moexray.recording import capture_to
from moexray.prompts import Prompt
number, out = int(sys.argv[1]), Path(sys.argv[2])
texts = ["The sum of seven and five is", "Once upon a time there was a small", "def add(a, b): return"]
prompts = [Prompt(f"{texts[i % 3]} {i}", "abc"[i % 3], str(i)) for i in range(number)]
capture_to(out, prompts, model="scale", device="cpu", dtype="float32", max_new_tokens=0, batch_tokens=1024,
           weights=True, recorders=("trace", "coselection"))
"""


@pytest.mark.slow
def test_ten_times_the_prompts_take_no_more_memory_with_every_recorder_on(tmp_path: Path) -> None:
    """Peak of each process, as Linux counts it; the trace of 2,000 prompts alone is several times the difference."""
    peaks = {number: peak(number, tmp_path / f"{number}.npz") for number in (200, 2000)}
    assert peaks[2000] < 1.1 * peaks[200]


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
