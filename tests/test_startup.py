"""The command line starts at once: what is heavy is imported when it is used."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "scipy", "sklearn", "matplotlib", "tokenizers"}


@pytest.mark.parametrize(
    "program", [["-c", "import moexray"], ["-m", "moexray", "--help"], ["-m", "moexray", "info", "x"]]
)
def test_nothing_heavy_is_imported_before_it_is_used(program: list[str]) -> None:
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", *program], capture_output=True, text=True, check=False
    )
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in finished.stderr.splitlines() if "|" in line}
    assert "moexray" in imported
    assert not HEAVY & imported
