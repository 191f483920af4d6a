"""`moexray power` prints what a study needs, draws its curve, and refuses options that do not go together."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from .. import made

Run = Callable[..., CompletedProcess[str]]
FAST = ("--studies", 20, "--most", 5)


def test_a_pilot_gives_a_table_and_a_figure(run: Run) -> None:
    made.signatures(24).save("pilot.npz")
    finished = run("power", "pilot.npz", *FAST, "--figure", "power.svg")
    assert finished.returncode == 0, finished.stderr
    assert "made-up: power by number of prompts" in finished.stdout
    assert "needed" in finished.stdout
    assert "prompts a category" in finished.stdout
    assert "wrote power.svg" in finished.stderr
    assert Path("power.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_an_effect_gives_json(run: Run) -> None:
    finished = run("power", "--effect", 0.5, "--categories", 3, *FAST, "--json")
    document = json.loads(finished.stdout)
    assert document["effect"] == 0.5
    assert document["categories"] == 3
    assert [one["number"] for one in document["curve"]] == [3, 4, 5]
    assert set(document["needed"]) == {"number", "least", "most"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the signatures of a pilot, or an --effect, and not both"),
        (("pilot.npz", "--effect", 1), "name the signatures of a pilot, or an --effect, and not both"),
        (("--effect", 1, "--vary", "tokens"), "--effect finds prompts: --vary, --groups and --prompts need a pilot"),
        (("pilot.npz", "--vary", "groups"), "--vary needs groups, and the prompts of the pilot have none"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run: Run, arguments: tuple[object, ...], message: str) -> None:
    made.signatures(24).save("pilot.npz")
    finished = run("power", *arguments)
    assert finished.returncode != 0
    assert message in " ".join(finished.stderr.split())
