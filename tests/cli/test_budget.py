"""`moexray budget` prints what fewer experts cost, draws it, and refuses what it cannot measure in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from ..engines.transformers.image_zoo import image_model, image_processor, picture
from ..engines.transformers.image_zoo_checks import text_of

Run = Callable[..., CompletedProcess[str]]
FAST = ("--new-tokens", 3, "--batches", "none", "--layer-prompts", 2, "--device", "cpu")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Eight prompts of two categories."""
    path = tmp_path / "few.csv"
    rows = [f"{'code' if i % 2 else 'story'},a short text number {i}" for i in range(8)]
    path.write_text("\n".join(["category,text", *rows, ""]), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_table_and_a_figure(run: Run, few: Path) -> None:
    asked = ("budget", "scale", "--prompts", few, *FAST, "--keep", "50", "--policy", "k,random")
    finished = run(*asked, "--figure", "budget.svg")
    assert finished.returncode == 0, finished.stderr
    assert "scale, 4 prompts scored, 4 to learn from: full routing has 8 experts a token" in finished.stdout
    assert "50 %  k" in finished.stdout
    assert "distinct experts of a layer that one decoding step reads" in finished.stdout
    assert "wrote budget.svg" in finished.stderr
    assert Path("budget.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.slow
def test_the_json_has_every_number_and_ratios_of_times(run: Run, few: Path) -> None:
    asked = ("--batches", "1,2", "--turns", 1, "--keep", "50", "--policy", "k,threshold", "--out", "b.json", "--json")
    document = json.loads(run("budget", "scale", "--prompts", few, *FAST, *asked).stdout)
    assert json.loads(Path("b.json").read_text(encoding="utf-8")) == document
    assert document["full"].keys() == {"loss", "segments", "mean_k", "distinct", "seconds"}
    assert document["full"]["loss"].keys() == {"all", "code", "story"}
    policy, threshold = document["policies"]
    assert (threshold["rule"]["rule"], len(threshold["rule"]["importance"])) == ("Below", 16)
    assert sum(threshold["rule"]["importance"]) == pytest.approx(1)
    assert policy["policy"] == "k"
    assert policy["mean_k"] == 4.0
    assert policy["normalisation"] == "native"
    assert policy["loss"]["all"].keys() == {"mean", "ci", "loss"}
    assert policy["rule"] == {"rule": "FixedK", "normalisation": "native", "k": 4}
    assert document["full"]["seconds"].keys() == policy["seconds_ratio"].keys() == {"1", "2"}
    assert all(value > 0 for value in policy["seconds_ratio"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("scale", "--policy", "magic"),
            "--policy 'magic' is none of k, top-p, skip, entropy, layers, threshold, random",
        ),
        (("scale", "--policy", "k,k"), "a --policy or a share to --keep is named twice"),
        (("scale", "--keep-image", "100", "--keep-text", "100"), "100 % of image tokens and of text tokens is full"),
        (("scale", "--keep-image", "x"), "--keep-image is 'x': write whole numbers with commas"),
        (("scale", "--keep", "half"), "--keep is 'half': write whole numbers with commas"),
        (("scale", "--batches", "0"), "--batches holds 0: a batch has at least one prompt"),
        (("scale", "--prompts", "missing.csv"), "missing.csv"),
        (("no-such-model",), "no-such-model"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    finished = run("budget", *arguments)
    assert finished.returncode != 0
    assert message in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr


def test_shares_by_kind_need_prompts_with_images(run: Run, few: Path, tiny_olmoe_folder: str) -> None:
    finished = run("budget", tiny_olmoe_folder, "--prompts", few, *FAST, "--keep-image", "50")
    assert finished.returncode == 1
    assert "these prompts have tokens of kind text only" in " ".join(finished.stderr.split())


@pytest.mark.nightly
def test_a_model_that_sees_images_has_experts_by_kind(run: Run, tmp_path: Path) -> None:
    name, folder = "llava of olmoe", tmp_path / "model"
    image_model(name, torch.float32).save_pretrained(folder)
    image_processor(name).save_pretrained(folder)
    for place in range(4):
        picture(place).save(tmp_path / f"{place}.png")
    lines = [{"category": "ab"[i % 2], "text": text_of(name) + "abcd"[: 1 + i], "image": f"{i}.png"} for i in range(4)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    asked = ("--keep-image", "50,100", "--keep-text", "100,50", "--policy", "k,random", "--image-column", "image")
    finished = run("budget", folder, "--prompts", tmp_path / "prompts.jsonl", *FAST, *asked, "--json")
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    shares = [one["keep_kinds"] for one in document["policies"] if one["policy"] == "k" and "keep_kinds" in one]
    assert shares == [
        {"image": 50.0, "text": 100.0},
        {"image": 50.0, "text": 50.0},
        {"image": 100.0, "text": 50.0},
    ]
    assert document["full"]["kinds"]["image"]["tokens"] > 0


@pytest.mark.slow
def test_a_share_below_one_expert_is_refused(run: Run, few: Path) -> None:
    finished = run("budget", "scale", "--prompts", few, *FAST, "--keep", "10")
    assert finished.returncode == 1
    assert (
        "10 % of the 8 experts that layer 0 selects for a token is below one expert: --keep 12.5 or more"
        in " ".join(finished.stderr.split())
    )
