"""Fixtures that several folders share. Nothing heavy is imported before a test asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from moexray.merging import merge
from moexray.prompts import Prompt
from moexray.signatures import Signatures

from . import made

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from moexray.engines.transformers.engine import TransformersEngine
    from moexray.engines.transformers.loading import LoadedModel
    from moexray.routing import RoutedSequence

settings.register_profile("moexray", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("moexray")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave nightly tests, and those of a real vLLM, out unless `-m` names them."""
    for marker in ("nightly", "vllm"):
        if marker not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., CompletedProcess[str]]:
    """Run `moexray` with the given arguments, in an empty folder."""
    from moexray.cli.main import main

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


@pytest.fixture(scope="session", params=["olmoe", "mixtral", "qwen3_moe", "deepseek_v3", "gpt_oss"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Each letter is a token, and its id is its place in the alphabet."""
    from . import tiny_models

    return tiny_models.tokenizer_of_letters()


@pytest.fixture(scope="session")
def in_float64(family: str) -> LoadedModel:
    from . import tiny_models

    return tiny_models.loaded(family, "float64")


@pytest.fixture(scope="session")
def in_float32(family: str) -> LoadedModel:
    from . import tiny_models

    return tiny_models.loaded(family, "float32")


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Seventeen prompts of 1 to 33 tokens, long beside short."""
    from . import tiny_models

    return tiny_models.prompts_of_letters()


@pytest.fixture(scope="session")
def tiny_olmoe_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a checkpoint on disk, saved in bfloat16."""
    from . import tiny_models

    folder = tmp_path_factory.mktemp("tiny-olmoe")
    tiny_models.save_olmoe(folder)
    return str(folder)


# From an engine, prompts, tokens to generate and prompts a batch.
Routed = Callable[["TransformersEngine", Sequence[Prompt], int, int], "list[RoutedSequence]"]
Recorded = Callable[["TransformersEngine", Sequence[Prompt], int, int], Signatures]


@pytest.fixture(scope="session")
def routed() -> Routed:
    """Return a function that runs prompts in the order given, in batches of one size, short beside long."""
    return _routed


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    """Return a function that does so and counts what was routed in signatures."""
    from moexray.recording.counting import signatures_in_blocks, totals_of

    def record(engine: TransformersEngine, prompts: Sequence[Prompt], new_tokens: int, batch_size: int) -> Signatures:
        sequences = _routed(engine, prompts, new_tokens, batch_size)
        rows = [totals_of(sequence, engine.layout) for sequence in sequences]
        return merge(list(signatures_in_blocks(rows, prompts, engine.layout, engine.description)))

    return record


def _routed(
    engine: TransformersEngine, prompts: Sequence[Prompt], new_tokens: int, batch_size: int
) -> list[RoutedSequence]:
    from moexray.generation import Generation

    from . import tiny_models

    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    return [one for batch in batches for one in tiny_models.routed(engine, batch, Generation(new_tokens))]


@pytest.fixture(scope="session")
def write_trace() -> Callable[[Path], Signatures]:
    """Return a function that writes a trace of made-up tokens, and returns the signatures that go with it."""
    return made.trace
