"""Signatures and analyses for tests of the command line."""

from collections.abc import Callable
from functools import cache
from subprocess import CompletedProcess
from typing import Any

import pytest

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis, analyze

from .. import made

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="session")
def made_up() -> Callable[..., Signatures]:
    """Return a function that makes signatures of a router that is not there."""
    return made_up_signatures


def made_up_signatures(prompts: int = 24, *, categories: int = 2, seed: int = 0, model: str = "made-up") -> Signatures:
    """Return signatures of a made-up router whose preferences differ by category; no prompt generated anything."""
    return made.signatures(
        prompts,
        categories=[f"kind {i}" for i in range(categories)],
        tokens=(20, 0),
        ids=[f"{seed}-{i}" for i in range(prompts)],
        seed=seed,
        meta={"model": model},
    )


@pytest.fixture
def save_analysis(run: Run) -> Callable[..., Signatures]:
    """Return a function that saves made-up signatures and their analysis, with its options, where `run` runs."""

    def save(**options: Any) -> Signatures:
        made_up_signatures().save("signatures.npz")
        _analysis(**options).save("analysis.json")
        return Signatures.open("signatures.npz")

    return save


@cache
def _analysis(**options: Any) -> Analysis:
    return analyze(made_up_signatures(), **options)
