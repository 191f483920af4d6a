"""`moexray plot` draws the numbers of the saved analysis, or of a new one where there is none that fits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.trace import Trace
from moexray.views import figures
from moexray.views.figures import ANALYSIS, FIGURES, OF_SIGNATURES, figures_of, style

from .. import made

Run = Callable[..., CompletedProcess[str]]

SIGNS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
# Of signatures without a trace and without generated tokens.
OF_PROMPTS = [
    name for name in figures_of(*OF_SIGNATURES) if FIGURES[name].needs != "trace" and name not in {"segments"}
]
_TRACE = "`moexray capture --record"
NO_PAIRS = (
    "no figure coactivation: it needs --trace, or signatures.coselection.npz beside the signatures: "
    f"{_TRACE} coselection` writes it\n"
)
NO_IDENTITY = f"no figure token_identity: it needs --trace: {_TRACE} trace` writes signatures.trace.parquet\n"
NO_PHASES = "no figure segments: no token generated was recorded, so there is one phase only\n"


@pytest.fixture
def analyzed(save_analysis: Callable[..., Signatures]) -> Signatures:
    """Signatures and their analysis with specifications, of options that are not the defaults."""
    return save_analysis(tokens="prompt", seed=3, folds=4, permutations=19, specifications=True)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that receives the axes of each figure that is written."""
    found: list[Any] = []
    save = style.save_figure

    def note(axes: Any, path: Path) -> None:
        found.append(axes)
        save(axes, path)

    monkeypatch.setattr(style, "save_figure", note)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("format", SIGNS)
def test_all_draws_every_figure_into_a_folder(run: Run, analyzed: Signatures, tmp_path: Path, format: str) -> None:
    (tmp_path / "figures").mkdir()
    finished = run("plot", "--all", "--out", "figures", "--format", format)
    assert (finished.returncode, finished.stderr) == (0, f"read analysis.json\n{NO_PAIRS}{NO_IDENTITY}{NO_PHASES}")
    written = {path.name: path.read_bytes()[:5] for path in (tmp_path / "figures").iterdir()}
    assert set(written) == {f"{name}.{format}" for name in OF_PROMPTS}
    assert all(head.startswith(SIGNS[format]) for head in written.values())
    assert finished.stdout.splitlines() == [f"wrote figures/{name}.{format}" for name in OF_PROMPTS]


@pytest.mark.parametrize("name", OF_PROMPTS)
def test_each_figure_is_asked_for_by_its_name(run: Run, analyzed: Signatures, name: str) -> None:
    assert run("plot", f"--{name}").stdout == f"wrote {name}.png\n"
    assert Path(f"{name}.png").read_bytes().startswith(SIGNS["png"])


def test_one_figure_may_be_named_as_a_file(run: Run, analyzed: Signatures) -> None:
    assert run("plot", "--load", "--out", "balance.pdf").stdout == "wrote balance.pdf\n"
    assert Path("balance.pdf").read_bytes().startswith(SIGNS["pdf"])


def test_a_figure_has_the_width_that_is_asked_for(run: Run, analyzed: Signatures, drawn: list[Any]) -> None:
    run("plot", "--load", "--width", "icml", "--out", "load.pdf")
    assert style.figure_of(drawn[0][0]).get_figwidth() == 3.25
    refused = run("plot", "--load", "--width", "wide")
    assert refused.returncode == 1
    assert "'wide' is no width: give inches, or one of icml" in refused.stderr
    assert run("plot", "--picture", "p0", "--width", "icml").returncode == 2


def test_a_figure_has_the_numbers_of_the_saved_analysis(run: Run, analyzed: Signatures, drawn: list[Any]) -> None:
    run("plot", "--layerwise", "--specifications")
    document = json.loads(Path("analysis.json").read_text(encoding="utf-8"))
    (_, lower), (specifications, _) = drawn
    assert document["settings"]["folds"] == 4
    assert lower.lines[0].get_ydata().tolist() == [layer["accuracy"] for layer in document["layers"]]
    effects = sorted(y for cloud in specifications.collections for _, y in cloud.get_offsets())
    assert effects == sorted(one["cohens_d"] for one in document["specifications"])


def test_the_similarity_matrix_is_of_the_tokens_that_were_analyzed(
    run: Run, made_up: Callable[..., Signatures], drawn: list[Any]
) -> None:
    signatures = made_up()
    signatures.save("signatures.npz")
    run("analyze", "--tokens", "prompt", "--permutations", 9)
    run("plot", "--similarity")
    assert "prompt tokens" in style.figure_of(drawn[0]).get_suptitle()


def test_without_an_analysis_the_signatures_are_analyzed_with_the_options_given(
    run: Run, made_up: Callable[..., Signatures], drawn: list[Any]
) -> None:
    made_up().save("signatures.npz")
    finished = run("plot", "--layerwise", "--seed", 3, "--folds", 4, "--permutations", 19)
    assert finished.stderr == "there is no analysis.json: analyzed anew\n"
    run("analyze", "--seed", 3, "--folds", 4, "--permutations", 19)
    expected = figures.layerwise(Analysis.load("analysis.json"))
    for mine, theirs in zip(drawn[0], expected, strict=True):
        np.testing.assert_array_equal(mine.lines[0].get_xydata(), theirs.lines[0].get_xydata())


def test_an_analysis_without_specifications_is_completed_with_its_own_settings(
    run: Run, made_up: Callable[..., Signatures], drawn: list[Any]
) -> None:
    made_up().save("signatures.npz")
    run("analyze", "--seed", 3, "--folds", 4, "--permutations", 19)
    finished = run("plot", "--specifications")
    assert finished.stderr == "read analysis.json; computed what it lacks: specifications\n"
    run("analyze", "--seed", 3, "--folds", 4, "--permutations", 19, "--specifications")
    expected, _ = figures.specifications(Analysis.load("analysis.json"))
    for mine, theirs in zip(drawn[0][0].collections, expected.collections, strict=True):
        np.testing.assert_array_equal(mine.get_offsets(), theirs.get_offsets())


@pytest.mark.slow
def test_figures_of_an_analysis_need_no_signatures(run: Run, analyzed: Signatures) -> None:
    Path("signatures.npz").unlink()
    assert run("plot", "analysis.json", "--pca").stdout == "wrote pca.png\n"
    everything = run("plot", "analysis.json", "--all").stdout.splitlines()
    assert everything == [f"wrote {name}.png" for name in OF_PROMPTS if FIGURES[name].of == ANALYSIS]
    refused = run("plot", "analysis.json", "--similarity")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no figure similarity: it needs the signatures" in refused.stderr


def test_all_leaves_out_what_cannot_be_drawn_with_the_reason(run: Run, made_up: Callable[..., Signatures]) -> None:
    made_up(6, categories=1).save("signatures.npz")
    run("analyze", "--permutations", 9, "--folds", 2)
    finished = run("plot", "--all")
    assert finished.returncode == 0
    assert "no figure layerwise: there is one category only" in finished.stderr
    assert finished.stdout.splitlines() == [
        f"wrote {name}.png" for name in ("similarity", "pca", "load", "distributions", "categories")
    ]
    refused = run("plot", "--pca", "--layerwise", "--out", ".")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("error: no figure layerwise: there is one category only\n")


@pytest.mark.slow
def test_token_identity_is_drawn_where_there_is_a_trace(run: Run, write_trace: Callable[..., Signatures]) -> None:
    write_trace(Path("trace.parquet"), prompts=40).save("signatures.npz")
    run("analyze", "--permutations", 9)
    without = run("plot", "--token-identity")
    assert without.returncode == 1
    assert "it needs --trace" in without.stderr
    assert "wrote token_identity.png" not in run("plot", "--all").stdout
    finished = run("plot", "--token-identity", "--trace", "trace.parquet")
    assert finished.stdout == "wrote token_identity.png\n"
    assert finished.stderr == "read analysis.json; computed what it lacks: token identity\n"
    run("analyze", "--permutations", 9, "--trace", "trace.parquet")
    assert run("plot", "--all").stdout.splitlines()[-1] == "wrote token_identity.png"


def test_a_trace_beside_the_signatures_is_found(run: Run, write_trace: Callable[..., Signatures]) -> None:
    write_trace(Path("signatures.trace.parquet"), prompts=40).save("signatures.npz")
    assert run("plot", "--token-identity", "--permutations", 9).stdout == "wrote token_identity.png\n"
    drawn = run("plot", "--all", "--permutations", 9).stdout
    assert {"wrote token_identity.png", "wrote coactivation.png"} <= set(drawn.splitlines())
    Path("signatures.trace.parquet").rename("analysis.trace.parquet")
    Path("signatures.trace.parquet").write_bytes(b"PAR1")
    without = run("plot", "--all", "--permutations", 9)
    assert (without.returncode, "coactivation" in without.stdout) == (0, False)
    assert "drawn without a trace: signatures.trace.parquet" in without.stderr
    assert run("plot", "--token-identity", "--permutations", 9).returncode == 1
    Path("signatures.trace.parquet").unlink()
    run("analyze", "--permutations", 9)
    refused = run("plot", "analysis.json", "--token-identity")
    assert refused.stderr.endswith(NO_IDENTITY)


@pytest.mark.slow
def test_a_plot_of_an_analysis_imports_neither_scikit_learn_nor_scipy(run: Run, analyzed: Signatures) -> None:
    held = [name for name in OF_PROMPTS if FIGURES[name].of == ANALYSIS]
    program = (
        "import sys\n"
        f"sys.argv = ['moexray', 'plot', *{[f'--{name}' for name in held]}]\n"
        "from moexray.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as stopped: assert stopped.code in (0, None), stopped.code\n"
        "print(*{'sklearn', 'scipy', 'torch'} & {name.split('.')[0] for name in sys.modules})\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == [*(f"wrote {name}.png" for name in held), ""]


def test_layers_are_named_for_figures_of_layers_and_idle_without_one(
    run: Run, made_up: Callable[..., Signatures], drawn: list[Any]
) -> None:
    made_up().save("signatures.npz")
    assert run("plot", "--categories", "--layer", 4, "--layer", 1, "--out", "shares.svg").returncode == 0
    assert [axes.get_ylabel() for axes in drawn[0]] == ["layer 4", "layer 1"]
    for idle in (["--load"], ["analysis.json", "--load"]):
        refused = run("plot", *idle, "--layer", 1)
        assert refused.returncode == 2
        assert "--layer is for --picture, --categories and --coactivation" in refused.stderr
    assert "layer 3 has no experts" in run("plot", "--categories", "--layer", 3).stderr


def test_coactivation_takes_a_trace_or_co_selections_and_one_layer(
    run: Run, made_up: Callable[..., Signatures], tmp_path: Path, drawn: list[Any]
) -> None:
    made_up(4).save("other.npz")
    refused = run("plot", "other.npz", "--coactivation")
    assert "it needs --trace, or signatures.coselection.npz beside the signatures" in refused.stderr
    signatures = made.trace(tmp_path / "signatures.trace.parquet", prompts=8)
    signatures.save("signatures.npz")
    of_trace = run("plot", "--coactivation", "--layer", 4)
    assert of_trace.stdout == "wrote coactivation.png\n"
    traced = Trace.open(tmp_path / "signatures.trace.parquet", signatures)
    made.write_pairs(tmp_path / "signatures.coselection.npz", signatures, traced)
    (tmp_path / "signatures.trace.parquet").unlink()
    assert run("plot", "--coactivation", "--layer", 4).returncode == 0
    first, second = (np.asarray(left.images[0].get_array()) for left, _ in drawn)
    np.testing.assert_array_equal(first, second)
    assert "it draws one layer" in run("plot", "--coactivation", "--layer", 4, "--layer", 1).stderr


def test_letters_of_no_font_are_said_of_pictures_and_not_of_svg(run: Run) -> None:
    made.signatures(12, categories=("a", "\U000302a1")).save("signatures.npz")
    finished = run("plot", "--similarity")
    assert finished.returncode == 0
    assert "no font here has \U000302a1: boxes stand for them. Install one, or write an SVG" in finished.stderr
    assert "no font" not in run("plot", "--similarity", "--out", "similarity.svg").stderr
