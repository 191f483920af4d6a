"""Progress tells the truth: what is done, how fast, and how long it will take, from the first tokens on."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from moexray.cli import progress
from moexray.cli.progress import CaptureStatus, step_progress
from moexray.engines.transformers.sampling import TellTokens
from moexray.recording.progress import Progress
from moexray.signatures import Signatures

Run = Callable[..., CompletedProcess[str]]


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def running(tokens: int, *, prompts: int = 0, total: int = 4000) -> Progress:
    return Progress("running", "m", prompts, 80, tokens, total)


def test_the_model_that_is_loaded_is_named() -> None:
    status = CaptureStatus()
    assert status.line == "starting"
    status.update(Progress("loading", "allenai/OLMoE", total_prompts=80))
    assert status.line == "loading allenai/OLMoE"
    status.update(Progress("writing", "m"))
    assert status.line == "writing files"


def test_a_first_batch_of_an_hour_moves_token_by_token() -> None:
    """400 tokens in the first hundred seconds are 4 a second: the other 3,600 take 900 s."""
    clock = Clock()
    status = CaptureStatus(clock)
    status.update(running(0))
    assert status.line == "capturing: 0 of at most 4,000 tokens"
    clock.now += 100
    status.update(running(400))
    assert status.line == "capturing: 400 of at most 4,000 tokens, 4.0 tokens/s, 15:00 left"
    clock.now += 900
    status.update(running(500))
    assert status.detail.endswith("0.5 tokens/s, 1:56:40 left")


def test_prompts_are_counted_once_some_are_done() -> None:
    clock = Clock()
    status = CaptureStatus(clock)
    status.update(running(0))
    clock.now += 10
    status.update(running(2000, prompts=40, total=3000))
    assert status.line == "capturing: 2,000 of at most 3,000 tokens, 40 of 80 prompts done, 200 tokens/s, 0:05 left"


def test_beside_a_bar_of_ten_characters_everything_fits_into_80_columns() -> None:
    clock = Clock()
    status = CaptureStatus(clock)
    status.update(Progress("running", "m", total_prompts=54_321, total_tokens=10_000_000))
    clock.now += 50
    status.update(Progress("running", "m", 3_456, 54_321, 600_000, 10_000_000))
    assert status.detail == "3,456 of 54,321 prompts done, 12,000 tokens/s, 13:03 left"
    assert len(f"{status.stage} {'━' * 10} {status.detail}") <= 80


def test_a_resumed_capture_has_the_speed_of_this_run_alone() -> None:
    clock = Clock()
    status = CaptureStatus(clock)
    status.update(running(3000, prompts=60))
    assert "tokens/s" not in status.detail
    clock.now += 10
    status.update(running(3100, prompts=60))
    assert status.detail.endswith("10 tokens/s, 1:30 left")


STAGES = ("starting", "loading scale", "capturing", "writing files")
OPTIONS = ("capture", "--model", "scale", "--device", "cpu", "--max-new-tokens", 3)


def prompts_file() -> Path:
    Path("p.txt").write_text("The sum of seven and five is\nOnce upon a time\n", encoding="utf-8")
    return Path("p.txt")


def test_off_a_terminal_plain_lines_appear_now_and_then(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every half minute; here, every hundredth of a second. What goes to standard output is not mixed with them."""
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    finished = run(*OPTIONS, "--prompts", prompts_file())
    lines = finished.stderr.splitlines()
    assert "loading scale" in lines
    assert lines[-1].startswith("next: ")
    assert all(line.partition(":")[0] in STAGES for line in lines[:-1])
    assert finished.stdout.startswith("recorded 2 prompts")


def test_off_a_terminal_a_short_capture_shows_no_progress(run: Run) -> None:
    assert run(*OPTIONS, "--prompts", prompts_file()).stderr == "next: moexray experts signatures.npz\n"


def test_steps_are_plain_lines_off_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    with step_progress() as announce:
        announce("layer \x1b[2J3")
        while not (printed := capsys.readouterr().err):
            pass
    assert printed.splitlines()[-1] == "layer \\x1b[2J3: 0:00 so far"


def test_on_a_terminal_the_stages_are_drawn_and_cleared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    drawn = run(*OPTIONS, "--prompts", prompts_file()).stderr
    assert "loading scale" in drawn
    assert "\x1b[" in drawn


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that presses Ctrl-C after so many forward passes."""
    plain = TellTokens.__call__
    left = [0]

    def stop(self: TellTokens, *arguments: Any) -> Any:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return plain(self, *arguments)

    def after(passes: int) -> None:
        left[0] = passes
        monkeypatch.setattr(TellTokens, "__call__", stop)

    return after


@pytest.mark.slow
def test_an_interrupt_in_a_batch_says_how_to_go_on_and_the_same_command_does(
    run: Run, stopping: Callable[[int], None]
) -> None:
    """The first prompt takes three passes, the second is interrupted in its second."""
    command = (*OPTIONS, "--prompts", prompts_file(), "--batch-tokens", 1)
    stopping(4)
    finished = run(*command)
    assert (finished.returncode, finished.stdout) == (130, "")
    assert finished.stderr == (
        "stopped; finished prompts are kept in signatures.npz.journal: the same command goes on from there\n"
    )
    assert not Path("signatures.npz").exists()
    stopping(3)  # as many passes as one prompt takes: another would press Ctrl-C again
    assert run(*command).returncode == 0
    assert len(Signatures.load("signatures.npz")) == 2
    assert not Path("signatures.npz.journal").exists()


def test_an_interrupt_before_anything_is_recorded_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moexray.recording.capture.open_engine", interrupted)
    finished = run("capture", "--model", "scale")
    assert (finished.returncode, finished.stderr) == (130, "stopped; nothing was recorded yet\n")
    assert list(Path().iterdir()) == []
