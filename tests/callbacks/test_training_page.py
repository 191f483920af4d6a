"""The training that the docs show runs, and prints what they show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..shown import DOCS, ROOT, blocks

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.mark.nightly
def test_the_training_of_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    """But for the last digits: a training multiplies differences between processors."""
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    program, (shown,) = blocks(DOCS / "training.md", "python")[0], blocks(DOCS / "training.md", "text")
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True, capture_output=True, encoding="utf-8"
    )
    found, expected = finished.stdout.splitlines()[-4:], shown.splitlines()
    for one, other in zip(found, expected, strict=True):
        assert _NUMBER.sub("", one) == _NUMBER.sub("", other)
        numbers = [[float(number) for number in _NUMBER.findall(line)] for line in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.06)
