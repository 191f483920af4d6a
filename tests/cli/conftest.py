"""The command line run in this process, as a user would run it."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from moexray.cli.main import main
from moexray.prompt_table import PromptTable
from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `moexray` with the given arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def finished(*arguments: object) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["moexray", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        code = stopped.value.code
        return CompletedProcess(sys.argv, code if isinstance(code, int) else 0, printed.out, printed.err)

    return finished


@pytest.fixture
def made_up() -> Callable[..., Signatures]:
    """Return a function that makes signatures of a router that is not there."""
    return made_up_signatures


def made_up_signatures(prompts: int = 24, *, categories: int = 2, seed: int = 0, model: str = "made-up") -> Signatures:
    """Return signatures of a made-up router whose preferences differ by category; no prompt generated anything."""
    rng = np.random.default_rng(seed)
    labels = [f"kind {i % categories}" for i in range(prompts)]
    preferences = {label: rng.dirichlet(np.ones(8), size=3) for label in sorted(set(labels))}
    counts = np.zeros((prompts, 2, 3, 8), dtype=np.uint16)
    for i, label in enumerate(labels):
        counts[i, 0] = [rng.multinomial(40, preference) for preference in preferences[label]]
    return Signatures(
        counts=counts,
        tokens=np.tile(np.array([20, 0], dtype=np.int32), (prompts, 1)),
        prompts=PromptTable(ids=tuple(f"{seed}-{i}" for i in range(prompts)), categories=tuple(labels)),
        layers=np.array([1, 2, 4], dtype=np.int16),
        top_k=np.array([2, 2, 2], dtype=np.int16),
        meta={"model": model},
    )
