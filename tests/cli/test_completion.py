"""What the Tab key offers, by the protocol that the scripts of four shells speak."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from moexray.cli.main import COMMANDS
from moexray.signatures import Signatures

from .. import made

Run = Callable[..., CompletedProcess[str]]
Offered = Callable[..., list[str]]


@pytest.fixture
def offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """Return a function that gives what bash is offered for the last of some words."""

    def offer(*words: str) -> list[str]:
        monkeypatch.setenv("_MOEXRAY_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["moexray", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        finished = run()
        assert (finished.returncode, finished.stderr) == (0, "")
        return finished.stdout.split()

    return offer


def test_commands_are_offered_by_their_beginning(offered: Offered) -> None:
    assert offered("p") == [name for name in COMMANDS if name.startswith("p")] == ["plot", "power", "place", "pool"]
    assert offered("--quiet", "--color", "never", "an") == ["analyze"]
    assert offered("no-such") == []


def test_options_of_a_command_are_offered_and_its_hidden_ones_are_not(offered: Offered) -> None:
    assert offered("analyze", "--per") == ["--permutations"]
    assert offered("analyze", "signatures.npz", "--fo") == ["--folds"]
    assert offered("import", "--f") == ["--from"]
    assert offered("plot", "--sim") == ["--similarity"]
    assert "--record" in offered("capture", "--")
    assert "--coselection" not in offered("capture", "--")
    assert "--pca" not in offered("no-such", "--")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("analyze", "--by", ""), ["counts", "mass"]),
        (("analyze", "--tokens", "p"), ["prompt"]),
        (("claims", "--tokens", "g"), ["generated"]),
        (("capture", "--engine", ""), ["transformers", "server", "vllm"]),
        (("capture", "--dtype", "b"), ["bfloat16"]),
        (("import", "x", "--from", "me"), ["megatron"]),
        (("info", "--color", "a"), ["auto", "always"]),
        (("analyze", "si"), []),
    ],
)
def test_values_are_offered_where_they_are_few_and_files_are_left_to_the_shell(
    offered: Offered, words: tuple[str, ...], values: list[str]
) -> None:
    assert offered(*words) == values


def test_ids_of_prompts_are_offered_unless_a_shell_would_read_them_as_more(offered: Offered) -> None:
    assert offered("show", "c") == [], "there is no file"
    ids = ["code-1", "code-2", "c;rm", "c $(x)", "c\x1b[2J", "story"]
    made.signatures(6, ids=ids).save("signatures.npz")
    assert offered("show", "c") == ["code-1", "code-2"]
    assert Signatures.open("signatures.npz").prompts.ids == tuple(ids)


def test_two_shells_are_told_what_each_word_means(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "moexray an")
    monkeypatch.setenv("_MOEXRAY_COMPLETE", "complete_zsh")
    assert f'"analyze":"{COMMANDS["analyze"]}"' in run().stdout
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_MOEXRAY_COMPLETE", "complete_fish")
    assert run().stdout.strip() == f"analyze\t{COMMANDS['analyze']}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_has_a_script_that_asks_this_program(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_MOEXRAY_COMPLETE", f"source_{shell}")
    script = run().stdout
    assert "_MOEXRAY_COMPLETE" in script
    assert f"complete_{shell}" in script
