"""Routing to write into files of other programs, and the command that imports them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ..cli.conftest import Run

__all__ = ["Evil", "Routed", "Run", "assert_refused", "counted", "routed"]


@dataclass(frozen=True)
class Routed:
    """Prompts of a router that does not exist.

    Attributes
    ----------
    experts
        Of each prompt, ``(tokens, layers, k)``.
    token_ids, prompt_lengths
        Of each prompt.
    """

    experts: list[NDArray[np.int64]]
    token_ids: list[list[int]]
    prompt_lengths: list[int]
    categories: tuple[str, ...]


def made_routed(prompts: int = 12, *, layers: int = 3, experts: int = 16, k: int = 4, seed: int = 0) -> Routed:
    """Return prompts of two categories; a category prefers some experts, and each row has k distinct ones."""
    rng = np.random.default_rng(seed)
    liked = rng.normal(size=(2, layers, experts))
    rows, ids, lengths = [], [], []
    for prompt in range(prompts):
        tokens = int(rng.integers(8, 20))
        scores = liked[prompt % 2] + rng.gumbel(size=(tokens, layers, experts))
        rows.append(np.argsort(-scores, axis=2)[:, :, :k])
        ids.append(rng.integers(0, 1000, tokens).tolist())
        lengths.append(tokens - int(rng.integers(1, 6)))
    return Routed(rows, ids, lengths, tuple(("maths", "story")[i % 2] for i in range(prompts)))


@pytest.fixture(scope="session")
def routed() -> Routed:
    """Return twelve prompts with 3 layers of 16 experts, k = 4."""
    return made_routed()


def counted(experts: Sequence[NDArray[np.int64]], width: int) -> NDArray[np.int64]:  # (prompts, layers, experts)
    """Count selections one by one."""
    found = np.zeros((len(experts), experts[0].shape[1], width), dtype=np.int64)
    for prompt, rows in enumerate(experts):
        for row in rows:
            for layer, chosen in enumerate(row):
                for one in chosen:
                    found[prompt, layer, one] += 1
    return found


def assert_refused(run: Run, message: str, *command: object) -> None:
    finished = run("import", *command)
    assert (finished.returncode, finished.stdout) == (1, ""), finished.stderr
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1
    assert message in finished.stderr
    assert not Path("signatures.npz").exists()
    assert not Path("signatures.trace.parquet").exists()


class Evil:
    """What a pickle makes when it is read carelessly: a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)
