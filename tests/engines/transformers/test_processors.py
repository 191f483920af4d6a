"""The processor of a checkpoint is read with Pillow alone, and one that is not whole is refused in a sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig
from transformers.utils import is_torchvision_available

from moexray.engines.engine import open_engine
from moexray.engines.transformers.processors import read_processor
from moexray.errors import ModelError

from .image_zoo import image_model, image_processor

NAME = "qwen3_vl_moe"
_NONE = "it comes without a processor of images: put its preprocessor_config.json"
FILE = "preprocessor_config.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a model whose processor reads images and videos."""
    found = tmp_path_factory.mktemp("checkpoint")
    image_model(NAME, torch.float32).save_pretrained(found)
    processor = image_processor(NAME)
    processor.tokenizer.save_pretrained(found)
    processor.image_processor.save_pretrained(found)
    (found / "processor_config.json").write_text(json.dumps({"processor_class": type(processor).__name__}))
    return found


def test_a_processor_of_images_and_videos_is_read_without_torchvision(folder: Path) -> None:
    with open_engine("transformers", str(folder), images=True) as engine:
        assert "images" in engine.capabilities
        named = {name: engine.description[name] for name in ("processor", "image_processor")}
        suffix = "" if is_torchvision_available() else "Pil"
        assert named == {"processor": "Qwen3VLProcessor", "image_processor": f"Qwen2VLImageProcessor{suffix}"}
        assert engine.description["image_settings"]["patch_size"] == 16
        assert len(engine.description["fingerprint"]["processor"]) == 32
    with open_engine("transformers", str(folder)) as engine:
        assert "processor" not in engine.description
        assert "images" not in engine.capabilities


def test_the_model_decides_the_processor_where_no_file_names_it(folder: Path, tmp_path: Path) -> None:
    (shutil.copytree(folder, tmp_path, dirs_exist_ok=True) / "processor_config.json").unlink()
    processor = read_processor(str(tmp_path), AutoConfig.from_pretrained(tmp_path))
    assert type(processor).__name__ == "Qwen3VLProcessor"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, _NONE),
        (
            '{"image_processor_type": "Missing"}',
            "comes without a processor of images: put its preprocessor_config.json",
        ),
        ('{"image_processor_type": ', "its processor of images could not be read: .* not a valid JSON file"),
        ("[]", "its processor failed: AttributeError"),
    ],
)
def test_a_processor_that_is_not_whole_is_one_sentence(
    folder: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    if content is None:
        (tmp_path / FILE).unlink()
    else:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(ModelError, match=f"^model .*: .*{message}"):
        open_engine("transformers", str(tmp_path), images=True)


def test_settings_of_another_model_are_found_by_trying(folder: Path, tmp_path: Path) -> None:
    file = shutil.copytree(folder, tmp_path, dirs_exist_ok=True) / FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "patch_size": 8}))
    with pytest.raises(ModelError, match="cannot read pictures"):
        open_engine("transformers", str(tmp_path), images=True)


@pytest.mark.skipif(is_torchvision_available(), reason="says what to install where it is not")
def test_a_processor_that_needs_torchvision_says_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / FILE).write_text('{"image_processor_type": "Kimi_K25ImageProcessor"}')
    with pytest.raises(ModelError, match=r"its processor of images needs .*: pip install torchvision"):
        open_engine("transformers", str(tmp_path), images=True)


def test_a_model_of_text_is_refused_before_its_weights_are_read() -> None:
    with pytest.raises(ModelError, match=r"^model scale: OlmoeForCausalLM reads text only: take the images out"):
        open_engine("transformers", "scale", images=True)
