"""The command line as a whole: help with examples, version, and what happens to errors."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import moexray
from moexray.cli.main import COMMANDS, function_of, main
from moexray.errors import MoexrayError

Run = Callable[..., CompletedProcess[str]]


def test_without_arguments_it_shows_its_help(run: Run) -> None:
    finished = run()
    assert finished.returncode == 0
    assert "Usage" in finished.stdout
    assert all(name in finished.stdout for name in COMMANDS)
    assert finished.stdout == run("--help").stdout


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    for name, summary in COMMANDS.items():
        command = function_of(name)
        assert " ".join(inspect.getdoc(command).split("\n\n")[0].split()) == summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(run: Run, name: str) -> None:
    finished = run(name, "--help")
    assert finished.returncode == 0
    assert f"moexray {name}" in finished.stdout
    assert "Example" in finished.stdout


def test_version_is_the_packages(run: Run) -> None:
    assert run("--version").stdout == f"moexray {moexray.__version__}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no user can cure is not dressed up as their mistake."""
    monkeypatch.setattr(sys, "argv", ["moexray", "capture"])

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("moexray.cli.prompts.bundled_prompts", broken)
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_under_the_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "moexray", "--version"]
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    said = "error: standard output could not be written: No space left on device\n"
    assert (finished.returncode, finished.stderr) == (1, said)


def test_an_interrupt_exits_as_shells_expect(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moexray.cli.prompts.bundled_prompts", interrupted)
    finished = run("capture")
    assert (finished.returncode, finished.stdout, finished.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("lower `max_new_tokens`", "lower --max-new-tokens"),
        ("leave out `raw=True`", "leave out --raw"),
        ('try `dtype="bfloat16"`, or another `device`', "try --dtype bfloat16, or another --device"),
        ("ask for `stop_at_eos=False`", "ask for --no-stop-at-eos"),
        ("`moexray capture` writes it, not `folds`", "`moexray capture` writes it, not `folds`"),
    ],
)
def test_parameters_that_an_error_names_become_options(
    run: Run, monkeypatch: pytest.MonkeyPatch, message: str, shown: str
) -> None:
    def refuse(*_: object) -> None:
        raise MoexrayError(message)

    monkeypatch.setattr("moexray.cli.prompts.bundled_prompts", refuse)
    assert run("capture").stderr == f"error: {shown}\n"
