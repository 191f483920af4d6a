"""`moexray claims`: a table for people, JSON for scripts, Markdown for papers, and claims of one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]

MINE = """
[study]
title = "My study"
source = "my notebook"
[study.settings]
model = "made-up"
[[claims]]
id = "effect"
name = "[red] effect"
text = "Categories differ"
kind = "shuffled_labels"
published = "p < 0.01"
[[claims]]
id = "size"
name = "size"
text = "The effect is enormous"
kind = "effect_size"
published = "99"
values = { d = 99 }
error = { se = 1, source = "its table 1" }
"""


@pytest.fixture(autouse=True)
def recorded(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    """Signatures and claims, in the folder that commands run in."""
    made_up().save(tmp_path / "signatures.npz")
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")


def test_every_published_claim_is_on_screen_and_of_another_model_none_applies(run: Run) -> None:
    finished = run("claims", "--permutations", 99)
    assert (finished.returncode, finished.stderr) == (0, "there is no analysis.json: analyzed anew\n")
    lines = finished.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split()[0] for line in lines if line.strip()]
    assert all(shown.count(f"C{n}") >= 2 for n in range(2, 17))
    assert "another model: made-up" in finished.stdout
    assert "Of 16 claims: 16 not applicable." in finished.stdout
    assert "…" not in finished.stdout


def test_json_holds_figure_verdict_and_what_the_test_says_of_another_model(run: Run) -> None:
    document = json.loads(run("claims", "--json", "--permutations", 99).stdout)
    assert document["study"]["source"] == "arXiv:2603.11114v1"
    assert document["verdicts"] == {
        "consistent": 0,
        "direction only": 0,
        "inconclusive": 0,
        "different": 0,
        "not applicable": 16,
    }
    effect = next(claim for claim in document["claims"] if claim["id"] == "C5")
    assert effect["verdict"] == "not applicable"
    assert effect["reason"].startswith("another model: made-up; other categories: there is no code")
    assert effect["as_if"] in {"direction only", "inconclusive"}
    assert effect["here"]["ci"][0] < effect["here"]["d"] < effect["here"]["ci"][1]
    assert effect["values"] == {"d": 1.44}


def test_json_is_the_same_for_the_same_seed_and_another_for_another_phase(run: Run) -> None:
    first, again = (run("claims", "--json", "--permutations", 29, "--seed", 3).stdout for _ in range(2))
    assert first == again
    assert json.loads(first)["settings"]["seed"] == 3
    other = json.loads(run("claims", "--json", "--permutations", 29, "--phase", "prompt").stdout)
    assert other["signatures"]["phase"] == "prompt"


def test_claims_of_ones_own_are_judged(run: Run) -> None:
    finished = run("claims", "--claims", "mine.toml", "--json", "--permutations", 99)
    found = {claim["id"]: (claim["verdict"], claim["as_if"]) for claim in json.loads(finished.stdout)["claims"]}
    assert found == {"effect": ("consistent", None), "size": ("direction only", None)}
    shown = run("claims", "--claims", "mine.toml", "--permutations", 99).stdout
    assert "[red] effect" in shown
    assert shown.splitlines()[-1] == "Of 2 claims: 1 consistent and 1 direction only."


def test_markdown_is_one_table_and_its_sentence(run: Run) -> None:
    lines = run("claims", "--claims", "mine.toml", "--markdown", "--permutations", 99).stdout.splitlines()
    assert lines[0] == "# Claims of my notebook, checked"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert lines[-1] == "Of 2 claims: 1 consistent and 1 direction only."


def test_two_outputs_at_once_are_wrong_usage(run: Run) -> None:
    finished = run("claims", "--json", "--markdown")
    assert finished.returncode == 2
    assert "choose one" in finished.stderr


def test_a_table_of_claims_that_is_wrong_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE.replace("shuffled_labels", "luck"), encoding="utf-8")
    finished = run("claims", "--claims", "mine.toml")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("error: mine.toml, claim 1 (effect): no kind 'luck': there are above_balance, ")
    assert len(finished.stderr.splitlines()) == 1


def test_a_trace_adds_what_tokens_explain_to_the_reasons(
    run: Run, write_trace: Callable[..., Signatures], tmp_path: Path
) -> None:
    write_trace(tmp_path / "trace.parquet", prompts=40).save(tmp_path / "signatures.npz")
    options = ("claims", "--claims", "mine.toml", "--permutations", 29, "--trace", "trace.parquet")
    assert "token identity is" in " ".join(run(*options).stdout.split())
    by_id = {claim["id"]: claim["tokens"] for claim in json.loads(run(*options, "--json").stdout)["claims"]}
    assert by_id["effect"].startswith("what tokens leave: p")
    missing = run("claims", "--trace", "other.parquet")
    assert (missing.returncode, missing.stdout) == (1, "")
