"""`moexray ablate` measures a model, prints what it found, and refuses in one sentence."""

import json
import re
from pathlib import Path

import pytest

from moexray.prompts import Prompt
from moexray.recording.capture import capture
from moexray.studies.ablation_result import Ablation

from .conftest import Run

WORDS = ("abcd", "efghij", "klm", "nopqrs", "tuv", "wxyzab", "cdefg", "hijkl")
TEXTS = [WORDS[i % 8] * (1 + i // 8) for i in range(16)]


@pytest.fixture
def prompts(run: Run, tmp_path: Path) -> Path:
    """Write prompts where `run` runs, eight of each category, one with a name that is not to be trusted."""
    lines = [{"id": f"p{i}", "category": ("a", "b\u202e")[i % 2], "text": text} for i, text in enumerate(TEXTS)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return tmp_path / "prompts.jsonl"


def test_rankings_are_shown_beside_chance_with_a_figure_and_a_file(
    run: Run, prompts: Path, tiny_olmoe_folder: str
) -> None:
    options = ("--rank", "coldest,hottest", "--reap", "--new-tokens", 3, "--dtype", "float32")
    finished = run(
        "ablate", tiny_olmoe_folder, "--prompts", prompts, *options, "--figure", "a.svg", "--out", "a.json"
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    printed = " ".join(finished.stdout.split())
    for words in ("nats a token", "of 8 prompts", "reap", "at random", "hottest minus coldest", "whole model"):
        assert words in printed
    assert "\u202e" not in finished.stdout
    assert "wrote a.svg" in finished.stderr
    found = Ablation.load("a.json")
    assert [one.policy for one in found.policies] == ["coldest", "hottest", "reap"]
    assert found.policies[0].experts.keys() == {"0", "1", "2"}
    assert {len(one) for one in found.policies[0].experts.values()} == {3}
    assert (found.prompts, found.learnt_prompts, found.new_tokens) == (8, 8, 3)
    again = run("ablate", tiny_olmoe_folder, "--prompts", prompts, *options, "--json")
    assert json.loads(again.stdout) == found.document


def test_experts_that_are_named_are_left_out_or_forced(run: Run, prompts: Path, tiny_olmoe_folder: str) -> None:
    finished = run(
        "ablate", tiny_olmoe_folder, "--prompts", prompts, "--without", "0:1,2:3,2:4", "--force", "1:5,1:6",
        "--meaning", "skipped", "--active", "1,2", "--new-tokens", 0, "--json",
    )  # fmt: skip
    document = json.loads(finished.stdout)
    chosen, forced = document["policies"]
    assert chosen["experts"] == {"0": [1], "2": [3, 4]}
    assert forced["experts"] == {"1": [5, 6]}
    assert chosen["mean_k"] < document["full"]["mean_k"] == 3
    assert forced["mean_k"] == pytest.approx(8 / 3)
    assert [(one["layer"], one["without"]) for one in document["active"]] == [(i, j) for i in range(3) for j in (1, 2)]
    assert document["prompts"] == 16
    assert "agreement" not in chosen


def test_a_ranking_of_other_prompts_is_taken_and_of_another_model_refused(
    run: Run, prompts: Path, tmp_path: Path, tiny_olmoe_folder: str
) -> None:
    others = [Prompt(text[::-1] + "k", "c", f"q{i}") for i, text in enumerate(TEXTS[:4])]
    capture(others, model=tiny_olmoe_folder, max_new_tokens=0, out=tmp_path / "others.npz")
    common = ("ablate", tiny_olmoe_folder, "--prompts", prompts, "--new-tokens", 0, "--ranking")
    found = json.loads(run(*common, "others.npz", "--json").stdout)
    assert [one["policy"] for one in found["policies"]] == ["coldest of others.npz", "least used by c of others.npz"]
    capture([Prompt("abc", "c", "one")], model="scale", max_new_tokens=0, out=tmp_path / "scale.npz")
    refused = run(*common, "scale.npz")
    assert refused.returncode == 1
    assert "scale.npz is of another model: it has 16 MoE layers of 64 experts" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--without", "3-12"), "--without is '3-12': write experts as LAYER:EXPERT with commas"),
        (("--draws", "9"), "--draws"),
        (("--without", "7:0"), "layer 7 routes no token: the MoE layers are 0, 1, 2"),
        (("--rank", "coldest,wet"), "there is no ranking 'wet'"),
        (("--rank", "coldest", "--share", "0.01"), "--share is 0.01, which is less than one of 12 experts"),
        (("--active", "3"), "layer 0 sends a token to 3 experts: 1 to 2 can be left out, not 3"),
        (("--ranking", "none.npz"), "none.npz does not exist"),
        (("--kind", "image"), "--kind is 'image', but the tokens of these prompts are text"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: Run, prompts: Path, tiny_olmoe_folder: str, arguments: tuple[object, ...], message: str
) -> None:
    finished = run("ablate", tiny_olmoe_folder, "--prompts", prompts, "--new-tokens", 0, *arguments)
    assert finished.returncode == (2 if arguments[-1] in ("3-12", "9") else 1)
    assert message in " ".join(re.sub("[│╭╰─╮╯]", " ", finished.stderr).split())
