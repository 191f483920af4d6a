"""What is printed where: --quiet and --color, before a command and after it, and the variables beneath them."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from moexray.cli import screen
from moexray.cli.render import say, say_error
from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]
SHORT = ("analyze", "--permutations", 9, "--folds", 2)


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from a terminal of 256 colours and no wishes, and take them back."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("typer.rich_utils.COLOR_SYSTEM", "auto")
    monkeypatch.setattr("typer.rich_utils.FORCE_TERMINAL", None)
    monkeypatch.setattr(screen._Asked, "quiet", False)
    monkeypatch.setattr(screen._Asked, "color", screen.Color.auto)


@pytest.mark.parametrize("place", ["before", "after", "short"])
def test_quiet_leaves_results_and_takes_remarks(run: Run, made_up: Callable[..., Signatures], place: str) -> None:
    made_up().save("signatures.npz")
    loud = run(*SHORT)
    assert "next: moexray report signatures.npz" in loud.stderr
    command = {"before": ("--quiet", *SHORT), "after": (*SHORT, "--quiet"), "short": (*SHORT, "-q")}[place]
    still = run(*command)
    assert (still.returncode, still.stderr, still.stdout) == (0, "", loud.stdout)


def test_quiet_leaves_errors(run: Run) -> None:
    said = "error: no.npz does not exist: `moexray capture` makes it, or name another file\n"
    assert run("--quiet", "info", "no.npz").stderr == said
    assert run("info", "no.npz", "--quiet", "--no").stderr.startswith("error: No such option")


def test_an_output_that_is_closed_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)  # what Python makes of ``>&-``
    assert not screen.is_terminal()
    assert not screen.is_terminal(err=True)
    screen.console().print("nothing")
    say_error("nobody hears")


@pytest.mark.parametrize(("said", "terminal"), [("0", False), ("1", True), ("", True)])
def test_tty_compatible_decides_before_the_stream(monkeypatch: pytest.MonkeyPatch, said: str, terminal: bool) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", said)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert screen.is_terminal() == terminal


def test_each_output_is_asked_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert (screen.is_terminal(), screen.is_terminal(err=True)) == (False, True)


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("1", 20), ("19", 20), ("21", 21)])
def test_a_width_that_is_not_known_is_80_and_none_is_below_20(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert screen.console().width == width


@pytest.mark.parametrize(("said", "system"), [("", "256"), ("truecolor", "truecolor")])
def test_forced_colours_are_as_many_as_the_terminal_has(
    monkeypatch: pytest.MonkeyPatch, said: str, system: str
) -> None:
    monkeypatch.setenv("COLORTERM", said)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    screen._take_color(screen.Color.always)
    assert screen.console().color_system == system


def test_text_that_looks_like_markup_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    found = screen.console()
    found.print("[red]name[/red] :smile: 12 'x'")
    assert found.file.getvalue() == "[red]name[/red] :smile: 12 'x'\n"  # type: ignore[attr-defined]


def test_quiet_is_forgotten_by_the_next_command_line(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up().save("signatures.npz")
    assert run("--quiet", "--color", "always", *SHORT).stderr == ""
    after = run(*SHORT)
    assert after.stderr != ""
    assert "\x1b" not in after.stdout


def test_quiet_draws_no_progress_even_on_a_terminal(
    run: Run, made_up: Callable[..., Signatures], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    made_up().save("signatures.npz")
    assert "\x1b[" in run(*SHORT).stderr
    assert run(*SHORT, "--quiet").stderr == ""


def test_the_reason_of_an_early_end_is_no_remark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen._Asked, "quiet", True)
    say("a remark", err=True)
    say("a result")
    say_error("stopped")
    assert capsys.readouterr() == ("a result\n", "stopped\n")


def test_an_error_ends_its_lines_between_words_on_a_terminal_and_is_one_line_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    whole = run("info", "no.npz").stderr
    assert whole.count("\n") == 1
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    lines = run("info", "no.npz").stderr.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == whole.strip()


# In each row: the option, NO_COLOR and FORCE_COLOR, whether it is a terminal; and whether there is colour.
ORDER = [
    (None, ("", ""), True, True),
    (None, ("", ""), False, False),
    (None, ("1", ""), True, False),
    (None, ("", "1"), False, True),
    (None, ("1", "1"), True, False),
    ("auto", ("1", ""), True, False),
    ("auto", ("", ""), False, False),
    ("always", ("1", ""), False, True),
    ("always", ("", ""), False, True),
    ("never", ("", "1"), True, False),
]


@pytest.mark.parametrize(("option", "variables", "terminal", "coloured"), ORDER)
def test_the_option_comes_before_no_color_before_force_color_before_the_terminal(
    monkeypatch: pytest.MonkeyPatch, option: str | None, variables: tuple[str, str], terminal: bool, coloured: bool
) -> None:
    for name, value in zip(("NO_COLOR", "FORCE_COLOR"), variables, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    screen._take_color(None if option is None else screen.Color(option))
    found = screen.console()
    found.print("text", style="red")
    assert ("\x1b[31m" in found.file.getvalue()) == coloured  # type: ignore[attr-defined]
    assert found.is_terminal == terminal, "forced colours make no terminal of a file: nothing moves in it"


def test_the_later_of_two_wishes_counts(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up().save("signatures.npz")
    assert "\x1b[" in run("--color", "never", *SHORT, "--color", "always").stdout
    assert "\x1b[" not in run("--color", "always", *SHORT, "--color", "never").stdout
    assert "\x1b[" not in run("--color", "always", *SHORT, "--color", "auto").stdout


def test_help_follows_the_option_before_it(run: Run) -> None:
    assert "\x1b[" in run("--color", "always", "--help").stdout
    assert "\x1b[" not in run("--color", "never", "--help").stdout


@pytest.mark.parametrize("command", [("--help",), ("info", "--help")])
def test_help_follows_the_variables_in_their_order(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run(*command).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run(*command).stdout


def test_colours_that_are_forced_stay_out_of_json(run: Run, made_up: Callable[..., Signatures], tmp_path: Path) -> None:
    made_up().save(tmp_path / "signatures.npz")
    json.loads(run("info", "signatures.npz", "--json", "--color", "always").stdout)


def test_a_color_that_there_is_not_is_wrong_usage(run: Run) -> None:
    finished = run("info", "x", "--color", "purple")
    assert finished.returncode == 2
    assert "'auto', 'always', 'never'" in finished.stderr
