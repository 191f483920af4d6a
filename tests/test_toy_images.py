"""A toy that sees pictures can be trained by its script, recorded, and studied: from nothing to a figure."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moexray.recorded_images import images_of_text
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze

from .shown import DOCS, ROOT, run

DATA = ROOT / "tests" / "data" / "toy_images"
SCRIPT = ROOT / "scripts" / "train_toy_images.py"


def train(out: Path, **options: int) -> None:
    more = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(out), *more], check=True, capture_output=True)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_toy_is_trained_recorded_and_studied(tmp_path: Path) -> None:
    """A still smaller one than docs/images.md shows: it learns little, and its tokens are counted all the same."""
    train(tmp_path / "toy", steps=80, examples=8, layers=2, size=32, experts=8, examined=1)
    report = json.loads((tmp_path / "toy" / "training.json").read_text())
    assert report["training_loss"] < 3.0  # of answers; log 366 = 5.9 at random
    assert report["right"]["pictures"] == 24

    columns = "--text-column text --max-new-tokens 4"
    run(f"moexray capture --model toy --prompts toy/drawings.jsonl {columns} --record trace --out shapes.npz", tmp_path)
    run(f"moexray capture --model toy --prompts toy/night.jsonl {columns} --out night.npz", tmp_path)
    signatures = Signatures.load(tmp_path / "shapes.npz")
    assert [str(one) for one in signatures.segments] == ["prompt/text", "prompt/image", "generated/text"]
    assert (signatures.tokens[:, :2] == (13, 64)).all()
    for text in signatures.prompts.columns["images"]:
        (image,) = images_of_text(text)
        assert (image.rows, image.columns, image.tokens) == (8, 8, 64)
        assert image.sha256 == hashlib.sha256((tmp_path / "toy" / image.name).read_bytes()).hexdigest()

    found = json.loads(run("moexray kinds shapes.npz --other night.npz --permutations 19 --json", tmp_path))
    assert found["kinds"] == ["text", "image"]
    assert found["tokens"][1] == 48 * 64
    assert [one["kind"] for one in found["shift"]["kinds"]] == ["text", "image"]
    run("moexray plot shapes.npz --picture drawings-003 --images toy --out picture.png", tmp_path)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.nightly
@pytest.mark.slow
def test_the_same_seed_trains_the_same_weights_and_pictures(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(tmp_path / name, steps=2, examples=4, layers=1, size=16, experts=4, examined=1, seed=3)
    for file in ("model.safetensors", "drawings.jsonl", "night/007.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", ["shapes", "colours", "night", "untrained", "untrained-colours"])
def test_what_the_page_on_images_shows_was_recorded_with_pictures(name: str) -> None:
    signatures = Signatures.load(DATA / f"{name}.npz")
    assert (signatures.tokens[:, :2] == (13, 64)).all()
    assert len(signatures) == 48
    per_category = np.unique(signatures.prompts.categories, return_counts=True)[1]
    assert per_category.tolist() == ([12] * 4 if "colours" in name else [16] * 3)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "name", "permutations"),
    [
        ("toy, shapes", "shapes", 199),
        ("untrained, shapes", "untrained", 99),
        ("toy, colours", "colours", 199),
        ("untrained, colours", "untrained-colours", 99),
    ],
)
def test_the_table_of_contents_of_pictures_is_that_of_the_recordings(row: str, name: str, permutations: int) -> None:
    page = (DOCS / "images.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
    shown = [float(value) for value in re.findall(r"-?[\d.]+", line.replace("−", "-"))]
    signatures = Signatures.load(DATA / f"{name}.npz")
    found = analyze(signatures, tokens="image", permutations=permutations)
    measured = [
        found.similarity.cohens_d,
        found.location.p_value,
        100 * found.classifier.accuracy.mean,
        100 * found.classifier.chance,
    ]
    assert shown == pytest.approx(measured, rel=0.1, abs=0.05)
