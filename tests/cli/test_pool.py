"""`moexray pool`: several captures of the same prompts on one page, or as JSON; others are refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .. import made

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def recorded(run: Run, tmp_path: Path) -> None:
    """Three captures of the same prompts, and one of others."""
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        ids, meta = [f"p{i}" for i in range(30)], {"model": f"model {name}"}
        made.signatures(30, ids=ids, seed=seed, meta=meta, effect=0.5).save(tmp_path / f"{name}.npz")
    made.signatures(30, seed=3, ids=[f"q{i}" for i in range(30)]).save(tmp_path / "other.npz")


def test_every_capture_and_what_they_say_together_is_on_the_page(run: Run) -> None:
    finished = run("pool", "a.npz", "b.npz", "c.npz", "--permutations", 49)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert all(f"model {name}" in finished.stdout for name in "abc")
    assert "One more capture of these prompts is expected to show d in [" in " ".join(finished.stdout.split())
    assert max(map(len, finished.stdout.splitlines())) <= 80


def test_json_holds_the_effect_and_its_parts(run: Run) -> None:
    found = json.loads(run("pool", "a.npz", "b.npz", "c.npz", "--permutations", 49, "--json").stdout)
    assert [one["model"] for one in found["captures"]] == ["model a", "model b", "model c"]
    assert set(found["effect"]) == {"mean", "ci", "prompt_error", "capture_error", "between_sd", "new_capture_ci"}
    assert found["effect"]["ci"][0] < found["effect"]["mean"] < found["effect"]["ci"][1]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (("a.npz",), "error: 1 capture cannot be pooled"),
        (("a.npz", "b.npz", "a.npz"), "error: captures 1 and 3 are the same signatures"),
        (("a.npz", "other.npz"), "error: captures 1 and 2 hold different prompts: 'p0' is in one of them only"),
    ],
)
def test_captures_that_cannot_be_pooled_are_one_line(run: Run, files: tuple[str, ...], problem: str) -> None:
    finished = run("pool", *files)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith(problem)
    assert len(finished.stderr.splitlines()) == 1
