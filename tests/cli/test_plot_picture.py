"""`moexray plot --picture` draws a picture under the tints of its experts, or says why it does not."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from moexray.recorded_images import RecordedImage

from ..pictured import one_row, pictured

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder with a capture, its trace, and the picture of its first prompt."""
    (tmp_path / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "0.png")
    digest = hashlib.sha256((tmp_path / "pictures" / "0.png").read_bytes()).hexdigest()

    def pictures(prompt: int, tokens: int) -> list[RecordedImage]:
        return [replace(one, sha256=digest) for one in one_row(prompt, tokens)]

    pictured(tmp_path / "signatures.trace.parquet", pictures).signatures.save(tmp_path / "signatures.npz")
    return tmp_path


def test_it_draws_the_picture_that_was_recorded(run: Run, files: Path) -> None:
    finished = run("plot", "--picture", "p0")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "wrote picture.png\n", "")
    with Image.open(files / "picture.png") as drawn:
        assert len(np.unique(np.asarray(drawn.convert("RGB")).reshape(-1, 3), axis=0)) > 500  # of the random pixels


def test_it_draws_the_grid_alone_where_the_picture_is_gone_or_another(run: Run, files: Path) -> None:
    (files / "pictures" / "0.png").rename(files / "0.png")
    finished = run("plot", "--picture", "p0", "--layer", "3", "--out", "a.svg")
    assert finished.returncode == 0
    assert finished.stderr == (
        "the grid alone is drawn: there is no picture pictures/0.png here; --images names its folder\n"
    )
    assert "layer 3" not in finished.stdout
    (files / "other" / "pictures").mkdir(parents=True)
    Image.new("RGB", (80, 16)).save(files / "other" / "pictures" / "0.png")
    finished = run("plot", "--picture", "p0", "--images", "other")
    assert finished.returncode == 0
    assert "the grid alone is drawn" in finished.stderr
    assert "has changed" in finished.stderr


@pytest.mark.parametrize("name", ["a" * 5_000, "a\x00b.png", "\x1b[31m.png", "pictures"])
def test_a_name_that_leads_to_no_picture_is_none(run: Run, files: Path, name: str) -> None:
    def pictures(prompt: int, tokens: int) -> list[RecordedImage]:
        return [replace(one, name=name) for one in one_row(prompt, tokens)]

    pictured(files / "signatures.trace.parquet", pictures).signatures.save(files / "signatures.npz")
    finished = run("plot", "--picture", "p0")
    assert (finished.returncode, finished.stdout) == (0, "wrote picture.png\n")
    assert finished.stderr.startswith("the grid alone is drawn: ")
    assert finished.stderr[:-1].isprintable()


def test_a_large_picture_is_drawn_as_small_as_a_figure_shows_it(run: Run, files: Path) -> None:
    Image.new("RGB", (3_000, 2_000)).save(files / "pictures" / "0.png")
    digest = hashlib.sha256((files / "pictures" / "0.png").read_bytes()).hexdigest()

    def pictures(prompt: int, tokens: int) -> list[RecordedImage]:
        return [replace(one, sha256=digest) for one in one_row(prompt, tokens)]

    pictured(files / "signatures.trace.parquet", pictures).signatures.save(files / "signatures.npz")
    finished = run("plot", "--picture", "p0", "--layer", "0")
    assert (finished.returncode, finished.stderr) == (0, "")


def test_what_cannot_be_drawn_is_said_in_one_line(run: Run, files: Path) -> None:
    finished = run("plot", "--picture", "p3")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "prompt 'p3' has no image" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert run("plot", "--load", "--layer", "3").returncode == 2
    assert "--image" in run("plot", "--image", "1", "--load").stderr
    (files / "signatures.trace.parquet").unlink()
    assert "moexray capture --record trace" in run("plot", "--picture", "p0").stderr
