"""Commands that run prompts read their images, and leave them out only if told so."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

Run = Callable[..., CompletedProcess[str]]
SERVER = ("--engine", "server", "--url", "http://localhost:1")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Two prompts, the second with a picture."""
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    rows = [{"text": "abc", "id": "plain"}, {"text": "abc", "id": "seen", "image": "a.png"}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "p.jsonl"


@pytest.mark.parametrize(
    "command",
    [
        ("capture", "--model", "scale", *SERVER),
        ("budget", "scale", "--engine", "server"),
    ],
)
def test_an_engine_that_takes_no_images_is_refused_before_a_model_is_loaded(
    run: Run, prompts: Path, command: tuple[str, ...]
) -> None:
    finished = run(*command, "--prompts", prompts)
    assert finished.returncode == 1
    assert "engine server takes no images, and prompt 'seen' has one" in finished.stderr
    assert finished.stderr.endswith("leave images out with an empty --image-column\n")


@pytest.mark.parametrize("engine", ["server", "transformers"])
def test_tokens_are_not_compared_without_their_images(run: Run, prompts: Path, engine: str) -> None:
    finished = run("check", "--engine", engine, "--model", "no/model", "--prompts", prompts)
    assert finished.returncode == 1
    assert "prompt 'seen' has an image, and tokens are routed again without their images: leave" in finished.stderr
    assert (
        "an empty --image-column, or check them as they are recorded, with `moexray capture --verify`"
        in finished.stderr
    )


def test_images_are_left_out_with_an_empty_column(run: Run, prompts: Path, tiny_olmoe_folder: str) -> None:
    finished = run("capture", "--prompts", prompts, "--image-column", "", "--model", tiny_olmoe_folder,
                   "--max-new-tokens", 1)  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "next: moexray experts signatures.npz\n")
    assert "recorded 2 prompts" in finished.stdout
