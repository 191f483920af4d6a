"""What a command writes to: only ordinary files are replaced, and nothing of another command."""

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]

# Each command that writes, and the file that it is told to write.
WRITING: dict[str, tuple[str, ...]] = {
    "out.npz": ("capture", "--model", "scale", "--out", "out.npz"),
    "out.trace.parquet": ("capture", "--model", "scale", "--out", "out.npz", "--trace"),
    "out.json": ("analyze", "signatures.npz", "--out", "out.json"),
    "both.npz": ("merge", "signatures.npz", "--out", "both.npz"),
    "pca.svg": ("plot", "--pca", "--out", "pca.svg"),
    "layerwise.png": ("plot", "--layerwise"),
    "power.png": ("power", "--effect", "0.5", "--figure", "power.png"),
    "demo/analysis.json": ("demo", "--out", "demo"),
}


@pytest.mark.parametrize("file", WRITING)
def test_every_command_refuses_a_pipe_and_leaves_it_one(
    run: Run, made_up: Callable[..., Signatures], file: str
) -> None:
    Path("demo").mkdir()
    os.mkfifo(file)
    made_up().save("signatures.npz")
    finished = run(*WRITING[file])
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.splitlines()[-1] == f"error: {file} is a pipe: name a file to write"
    assert Path(file).is_fifo()
    assert not Path("out.npz.journal").exists()


def test_a_figure_goes_where_a_link_leads_whatever_that_is_called(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up().save("signatures.npz")
    Path("newest.svg").symlink_to("figure-of-today")
    assert run("plot", "--similarity", "--out", "newest.svg").stdout == "wrote newest.svg\n"
    assert Path("newest.svg").is_symlink()
    assert "<svg" in Path("figure-of-today").read_text()


def test_a_trace_that_holds_the_prompts_is_not_written_over(run: Run) -> None:
    Path("p.trace.parquet").touch()
    finished = run("capture", "--prompts", "p.trace.parquet", "--model", "scale", "--out", "p.npz", "--trace")
    assert finished.returncode == 1
    assert finished.stderr == "error: p.trace.parquet is a file of prompts: name another file with --out\n"
