"""`moexray show` prints a prompt's tokens, with or without colours, and plays the generation on a terminal only."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from rich.console import Console

from moexray.cli import render, shown
from moexray.views.prompt_tokens import Run as Tinted

from .. import made
from ..shown import example_files

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """Return the terminal of 256 colours that commands print to instead."""
    screen = Console(
        force_terminal=True, color_system="256", record=True, width=80, height=24, highlight=False, markup=False,
        legacy_windows=False, _environ={},
    )  # fmt: skip
    monkeypatch.setattr(render, "console", lambda: screen)
    monkeypatch.setattr(shown, "console", lambda: screen)
    return screen


def test_without_colours_the_expert_stands_beside_each_token(run: Run) -> None:
    example_files(Path(), every=20)
    finished = run("show", "code-01")
    assert finished.returncode == 0, finished.stderr
    assert "prompt, 59 tokens\nG⁽⁶²⁾iv⁽⁶¹⁾en⁽³¹⁾" in finished.stdout
    assert "generated, 31 tokens\n⏎\n⏎\n" in finished.stdout
    assert "layer 8 of MoE layers 0 to 15" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert finished.stderr == "next: moexray show code-01 signatures.npz --layer 8 --expert 13\n"
    assert run("show", "code-01", "--expert", 13).stderr == ""


def test_on_a_terminal_leading_experts_have_colours_and_numbers_only_if_asked(run: Run, terminal: Console) -> None:
    example_files(Path(), every=20)
    run("show", "code-01")
    coloured = terminal.export_text(styles=True)
    assert "48;5;25" in coloured
    assert "⁽¹³⁾" not in coloured
    run("show", "code-01", "--numbers")
    assert "⁽¹³⁾" in terminal.export_text()


@pytest.mark.parametrize("system", ["256", "truecolor"])
def test_no_two_tints_are_the_same_and_each_is_read_on_its_background(system: str) -> None:
    screen = Console(force_terminal=True, color_system=system, _environ={})  # type: ignore[arg-type]
    for tints in (render._LEADS, render._WEIGHTS):
        codes = {screen.get_style(style).render("x", color_system=screen._color_system) for style in tints.values()}
        assert len(codes) == len(tints)
        for style in tints.values():
            letters, ground = (luminance(one) for one in style.split(" on "))
            assert (max(letters, ground) + 0.05) / (min(letters, ground) + 0.05) >= 4.5, style


def luminance(colour: str) -> float:
    """Return the relative luminance that WCAG defines."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_few_colours_or_none_are_answered_with_numbers() -> None:
    def console(system: str | None, **environment: str) -> Console:
        return Console(force_terminal=True, color_system=system, _environ=environment)  # type: ignore[arg-type]

    assert render.shows_colours(console("256"))
    assert not render.shows_colours(console("standard"))
    assert not render.shows_colours(console("256", NO_COLOR="1"))
    assert not render.shows_colours(console(None))


def test_where_the_encoding_has_no_superscripts_the_marks_are_ascii() -> None:
    runs = [Tinted("a⏎\n", "lead1", "(12+–)"), Tinted("[image 2 × 2]", "other", "(1×4)")]
    assert render.tinted(runs, numbers=True, plain=True).plain == "a\\n(12+-)\n[image 2 x 2](1x4)"
    assert render.tinted(runs, numbers=True, plain=False).plain == "a⏎⁽¹²⁺⁻⁾\n[image 2 × 2]⁽¹ˣ⁴⁾"
    assert render.tinted(runs, numbers=False, plain=False).plain == "a⏎\n[image 2 × 2]"


def test_play_shows_each_generated_token_ends_by_itself_and_leaves_the_same_text(
    run: Run, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    example_files(Path(), every=20)
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    run("show", "code-01")
    still = terminal.export_text()
    run("show", "code-01", "--play")
    assert len(waited) == 31
    assert sum(waited) <= 30
    played = terminal.export_text()
    assert "token 60 of 90; reached so far: 62 of 64 experts of layer 8" in played
    assert played.endswith(still[still.index("scale, prompt") :].partition("generated, 31 tokens\n")[2])


def test_off_a_terminal_play_prints_the_end(run: Run) -> None:
    example_files(Path(), every=20)
    assert run("show", "code-01", "--play").stdout == run("show", "code-01").stdout


def test_play_of_a_prompt_that_generated_nothing_says_so(run: Run) -> None:
    example_files(Path(), every=20)
    finished = run("show", "code-01", "--tokens", "prompt", "--play")
    assert finished.returncode == 0
    assert "there is nothing to play: no generated token of prompt code-01 is shown" in finished.stderr
    assert "generated," not in finished.stdout


def test_json_has_every_token_and_layer(run: Run) -> None:
    example_files(Path(), every=20)
    document = json.loads(run("show", "code-01", "--layer", 3, "--expert", 5, "--limit", 2, "--json").stdout)
    assert len(document["sequence"]) == 90
    assert [one["layer"] for one in document["layers"]] == list(range(16))
    assert (document["layer"], document["expert"]["expert"]) == (3, 5)


def test_mistakes_are_one_sentence_with_the_cure(run: Run) -> None:
    example_files(Path(), every=20)
    assert "signatures.npz has 4 prompts, such as code-01, factual-01, math-01, story-01" in run("show").stderr
    assert "there is no prompt 'code-1': there are such as 'code-01'" in run("show", "code-1").stderr
    assert (
        "--layer is 16, which has no experts: the MoE layers are 0-15" in run("show", "code-01", "--layer", 16).stderr
    )
    assert "--expert is 64: layer 8 has experts 0 to 63" in run("show", "code-01", "--expert", 64).stderr
    assert "--play draws in a terminal" in run("show", "code-01", "--play", "--json").stderr
    Path("signatures.trace.parquet").unlink()
    assert "`moexray capture --record trace` writes both, or name one with --trace" in run("show", "code-01").stderr


def test_layers_may_have_other_numbers_of_experts_and_one_a_token(run: Run) -> None:
    made.trace(Path("s.trace.parquet"), prompts=4, experts=8, k=(1, 2, 1)).save("s.npz")
    finished = run("show", "p2", "s.npz", "--layer", 4)
    assert "8 experts, 1 a token" in " ".join(finished.stdout.split())
    assert "even load: 12.5 % to 25.0 %" in finished.stdout
