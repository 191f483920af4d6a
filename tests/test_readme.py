"""The README is short, and every command, program, number and link in it works."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from moexray.examples import example

from .shown import README, ROOT, blocks, commands, example_files, run, run_program

TEXT = README.read_text(encoding="utf-8")
# What makes the commands of the questions fast.
PERMUTATIONS = ("--permutations", "19")
FEWER = {
    "ablate": ("--prompts", "few.jsonl", "--draws", "10", "--new-tokens", "0"),
    "analyze": PERMUTATIONS,
    "budget": ("--prompts", "few.jsonl", "--policy", "k", "--keep", "50", "--new-tokens", "2", "--batches", "none"),
    "check": ("--number", "2"),
    "claims": PERMUTATIONS,
    "compare": PERMUTATIONS,
    "experts": PERMUTATIONS,
    "power": ("--studies", "20"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with signatures and a trace as `moexray capture --record trace` writes them, of every 4th prompt.

    It has prompts, too.
    """
    made = example_files(tmp_path_factory.mktemp("readme"), every=4)
    (made / "prompts").symlink_to(ROOT / "prompts")
    few = [{"text": f"{name} number {i}", "category": name} for name in ("one", "two") for i in range(6)]
    (made / "few.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in few))
    for name in ("before.npz", "after.npz"):
        (made / name).write_bytes((made / "signatures.npz").read_bytes())
    return made


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(TEXT.splitlines()) <= 120
    assert len(TEXT.split()) <= 700


@pytest.mark.slow
def test_the_three_commands_for_a_model_run(tmp_path: Path) -> None:
    """Here with the embedded model in place of one of 7 billion parameters, and the first prompts of each file."""
    (tmp_path / "prompts").mkdir()
    for file in (ROOT / "prompts").iterdir():
        some = file.read_text(encoding="utf-8").splitlines(keepends=True)[:4]
        (tmp_path / "prompts" / file.name).write_text("".join(some), encoding="utf-8")
    capture, analyze, plot = commands(README)
    run(re.sub(r"--model \S+", "--model scale", capture), tmp_path)
    run(analyze, tmp_path, "--permutations", "19")
    run(plot, tmp_path)
    assert {"signatures.npz", "analysis.json", "layerwise.png"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("command", re.findall(r"^\|[^|]*\| `(moexray [^`]*)` \|", TEXT, re.MULTILINE))
def test_every_question_is_answered_by_its_command(folder: Path, command: str) -> None:
    assert run(command, folder, *FEWER.get(command.split()[1], ()))


@pytest.mark.slow
def test_the_program_for_a_notebook_runs(tmp_path: Path) -> None:
    (program,) = blocks(README, "python")
    run_program(program, tmp_path)
    assert (tmp_path / "layerwise.png").is_file()


@pytest.mark.slow
def test_the_caption_of_the_picture_is_true_of_the_embedded_model() -> None:
    lowest, highest = map(int, re.findall(r"(\d+)–(\d+) % of prompts", TEXT)[0])
    from moexray.studies.analysis import analyze

    analysis = analyze(example().signatures, permutations=19)
    accuracies = [100 * layer.accuracy for layer in analysis.layers]
    assert (round(min(accuracies)), round(max(accuracies))) == (lowest, highest)
    assert analysis.classifier.chance == 0.25
    within = {name: summary.mean for name, summary in analysis.similarity.by_category.items()}
    assert max(within, key=lambda name: within[name]) == "story"


@pytest.mark.slow
@pytest.mark.skipif(not version("transformers").startswith("5.24."), reason="the README counts those of 5.24")
def test_as_many_architectures_are_recorded_as_it_says(tmp_path: Path) -> None:
    recorded, listed = re.findall(r"(\d+) of the (\d+) MoE architectures of transformers 5.24", TEXT)[0]
    counted = re.findall(r"\d+", run("moexray models", tmp_path).rpartition("transformers ")[2])[3:]
    there, generic, special, refused = map(int, counted)
    assert (generic + special, there) == (int(recorded), int(listed))
    assert there == generic + special + refused


def test_the_test_command_is_named() -> None:
    assert "`pip install '.[test]'`, then `pytest`" in TEXT
