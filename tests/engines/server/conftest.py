"""A model to serve, and the command line that asks its servers."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from moexray.cli.main import main
from moexray.engines.serving.model import ServedModel, read_served_model
from tests import tiny_models

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a tiny OLMoE whose texts end at token 7."""
    folder = tmp_path_factory.mktemp("served")
    model = tiny_models.random_model(tiny_models.olmoe(), torch.float32)
    model.generation_config.eos_token_id = 7
    model.save_pretrained(folder)
    tiny_models.tokenizer_of_letters().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def served(folder: Path) -> ServedModel:
    """Return the model as engines read it that serve it."""
    return read_served_model(str(folder))


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
