"""A model to serve."""

from pathlib import Path

import pytest
import torch

from moexray.engines.serving.model import ServedModel, read_served_model
from tests import tiny_models


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
