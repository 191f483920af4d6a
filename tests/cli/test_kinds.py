"""`moexray kinds` compares two kinds of tokens, of any capture with two phases or kinds."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from moexray.segments import WITH_IMAGES, Segment

from .. import made
from ..shown import example_files

Run = Callable[..., CompletedProcess[str]]


def test_it_prints_tables_and_draws_a_figure(run: Run) -> None:
    example_files(Path())
    finished = run("kinds", "--permutations", 99, "--figure", "kinds.svg")
    assert finished.returncode == 0, finished.stderr
    assert "scale, prompt against generated, 80 prompts" in finished.stdout
    assert "floor: MSI with kinds exchanged" in finished.stdout
    assert "load of each kind; even: uniform routing" in finished.stdout
    assert "wrote kinds.svg" in finished.stderr
    assert Path("kinds.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_another_set_adds_a_table_and_json_a_key(run: Run) -> None:
    segments = (Segment("prompt"), Segment("prompt", "image"), Segment("prompt", "audio"))
    made.signatures(8, segments=segments).save("a.npz")
    made.signatures(9, segments=segments, seed=1).save("b.npz")
    arguments = ("kinds", "a.npz", "--other", "b.npz", "--kinds", "text, image", "--permutations", 19)
    assert "the other set, 9 prompts, minus this one" in run(*arguments).stdout
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["kinds"] == ["text", "image"]
    assert [kind["kind"] for kind in document["shift"]["kinds"]] == ["text", "image"]


def test_one_kind_and_many_are_one_sentence(run: Run) -> None:
    made.signatures(6, segments=(Segment("prompt"),)).save("one.npz")
    finished = run("kinds", "one.npz")
    assert finished.returncode == 1
    assert "hold one kind of tokens only, prompt/text" in finished.stderr
    kinds = ("text", "image", "audio")
    made.signatures(6, segments=tuple(Segment("prompt", kind) for kind in kinds)).save("three.npz")
    finished = run("kinds", "three.npz")
    assert finished.returncode == 1
    assert "name two with --kinds, among all, prompt, text, image, audio" in finished.stderr


def test_no_table_is_wider_than_a_terminal(run: Run) -> None:
    """What is wider would lose its last characters, as the end of an interval."""
    made.signatures(9, segments=WITH_IMAGES).save("a.npz")
    made.signatures(9, segments=WITH_IMAGES, seed=1).save("b.npz")
    arguments = ("kinds", "a.npz", "--other", "b.npz", "--devices", 2, "--permutations", 19)
    printed = run(*arguments, "--kinds", "generated/text,prompt/text").stdout
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    lines = printed[printed.index("the other set") :].splitlines()
    intervals = [line.split("[")[1:] for line in lines if "[" in line]
    assert intervals
    assert all(end.strip().endswith("]") for line in intervals for end in line)
