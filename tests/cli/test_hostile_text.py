"""Text from files never reaches a terminal or a figure as control: every output of every command makes it visible."""

import ast
import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pyarrow import parquet

from moexray.claims.check import check_claims
from moexray.claims.study_file import shipped_study
from moexray.cli import render
from moexray.cli.main import COMMANDS
from moexray.cli.progress import CaptureStatus
from moexray.recording.progress import Progress
from moexray.segments import Segment
from moexray.signatures import Signatures
from moexray.studies.analysis import analyze
from moexray.studies.batching import study_batches
from moexray.studies.caching import study_caches
from moexray.studies.category_shares import category_shares
from moexray.studies.comparison import compare
from moexray.studies.coverage import study_coverage
from moexray.studies.experts import describe_experts
from moexray.studies.kinds import study_kinds
from moexray.studies.layer_coactivation import layer_coactivation
from moexray.studies.placement import place
from moexray.studies.pooling import pool
from moexray.studies.power import power_of_pilot
from moexray.studies.similarity_matrix import similarity_matrix
from moexray.trace import Trace
from moexray.views.figures import FIGURES, figure
from moexray.views.figures.style import figure_of

from .. import made

Run = Callable[..., CompletedProcess[str]]

# A title, a cleared screen, colours; a line that goes back; DEL; C1; bidirectional marks; separators; no width.
EVIL = (
    "\x1b]0;pwned\x07\x1b[2J\x1b[31m\r\x00\t\x7f\x9b1m\x85\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    "\u200e\u200f\u061c\u2028\u2029\u200b\u200c\u200d\ufeff\U000e0041"
)


def is_control(text: str) -> set[str]:
    """Return the characters of an output that a terminal would act on, or that nobody would see."""
    return {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") and letter != "\n"}


def evil(name: str) -> str:
    return f"{name} $\\foo$ [bold] {EVIL}\n{name}"


def signatures(folder: Path, *, name: str = "s", seed: int = 0) -> Signatures:
    """Write signatures and a trace that agree, every text of which is hostile; and return them."""
    plain = made.trace(folder / "plain.parquet", prompts=16, seed=seed)
    ids = [evil(one) for one in plain.prompts.ids]
    found = plain.replace(
        ids=tuple(ids),
        categories=tuple(evil(one) for one in plain.prompts.categories),
        groups=tuple(evil(f"group {i // 4} {one}") for i, one in enumerate(plain.prompts.categories)),
        texts=tuple(evil(f"text {i}") for i in range(len(ids))),
        outputs=tuple(evil(f"output {i}") for i in range(len(ids))),
        columns={evil("column"): tuple(ids)},
        segments=(
            Segment("prompt", evil("kind").replace("/", "")),
            Segment("generated", evil("other").replace("/", "")),
        ),
        meta={"model": evil("model"), evil("key"): evil("value"), "list": [evil("value")], "prompts": "none"},
    )
    found.save(folder / f"{name}.npz")
    columns = parquet.read_table(folder / "plain.parquet").to_pydict()
    columns["prompt"] = [evil(one) for one in columns["prompt"]]
    columns["token"] = [evil(one) for one in columns["token"]]
    columns["kind"] = [found.segments[phase == "generated"].kind for phase in columns["phase"]]
    parquet.write_table(pa.table(columns), folder / f"{name}.trace.parquet")
    return found


def counts(path: Path) -> None:
    lines = ["model,corpus,layer,expert,count"]
    for model in ("one", "two"):
        for corpus in ("a", "b", "c"):
            lines += [
                f'"{evil(model)}","{evil(corpus)}",0,{expert},{(expert + len(corpus)) % 3 + 1}' for expert in range(6)
            ]
    path.write_text("\n".join(lines).replace("\x00", ""), encoding="utf-8")


def in_toml(text: str) -> str:
    """Return a string of TOML: it has the escapes of JSON, but no pairs of surrogates, and needs one of DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def study(path: Path) -> None:
    text = in_toml(evil("claim"))
    path.write_text(
        f"[study]\ntitle = {text}\nsource = {text}\n[study.settings]\nmodel = {text}\n[[claims]]\nid = {text}\n"
        f'name = {text}\ntext = {text}\npublished = {text}\nkind = "above_balance"\n',
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of hostile files, and of an analysis of them."""
    folder = tmp_path_factory.mktemp("hostile")
    found = signatures(folder)
    signatures(folder, name="other", seed=1)
    counts(folder / "c.csv")
    study(folder / "study.toml")
    analyze(found, permutations=9, folds=2).save(folder / "analysis.json")
    study_batches(Trace.open(folder / "s.trace.parquet", found), sizes=(1, 4)).save(folder / "batch.json")
    (folder / "map.toml").write_text(
        f'experts = {in_toml(evil("field"))}\naxes = ["tokens", "layers", "k"]\ntokens_are = "prompt"\n'
        "layers = [0]\nnum_experts = 4\ntop_k = 1\n",
        encoding="utf-8",
    )
    (folder / "bad.csv").write_bytes(b'"te\x1b[31mxt","b\xc2\x9b"\nx,y\n')
    prompts = [{"text": f"{EVIL} {i}", "category": evil("ab"[i % 2]), "id": evil(str(i))} for i in range(8)]
    (folder / "evil.jsonl").write_text("".join(json.dumps(one) + "\n" for one in prompts), encoding="utf-8")
    (folder / "bad.jsonl").write_text(json.dumps({"text": "x", evil("key"): 1}), encoding="utf-8")
    return folder


MODEL = evil("one").replace("\x00", "")
TRACE = ("--trace", "s.trace.parquet")
SHORT = ("--permutations", 9)
RUNS: dict[str, tuple[object, ...]] = {
    "analyze": ("analyze", "s.npz", *TRACE, *SHORT, "--folds", 2, "--out", "new.json"),
    "analyze JSON": ("analyze", "s.npz", *SHORT, "--folds", 2, "--out", "new.json", "--json"),
    "analyze another's tokens": ("analyze", "s.npz", "--tokens", evil("none")),
    "plot": ("plot", "s.npz", "--all", *TRACE, "--out", "."),
    "report": ("report", "s.npz", *TRACE, "--out", "r.html"),
    "claims": ("claims", "s.npz", "--analysis", "analysis.json"),
    "claims of a study": ("claims", "s.npz", "--claims", "study.toml", "--analysis", "analysis.json"),
    "claims in Markdown": ("claims", "s.npz", "--claims", "study.toml", "--markdown", "--analysis", "analysis.json"),
    "claims JSON": ("claims", "s.npz", "--json", "--analysis", "analysis.json"),
    "experts": ("experts", "s.npz", *TRACE, *SHORT),
    "an expert": ("experts", "s.npz", *TRACE, *SHORT, "--layer", 1, "--expert", 2),
    "an expert JSON": ("experts", "s.npz", *TRACE, *SHORT, "--layer", 1, "--expert", 2, "--json"),
    "experts of counts": ("experts", "c.csv", "--model", MODEL),
    "experts of no model": ("experts", "c.csv"),
    "show": ("show", evil("p1"), "s.npz"),
    "show JSON": ("show", evil("p1"), "s.npz", "--json"),
    "show an expert": ("show", evil("p1"), "s.npz", "--expert", 2, "--play"),
    "show no such prompt": ("show", evil("none"), "s.npz"),
    "batch": ("batch", "s.npz", "--sizes", "1,4"),
    "batch JSON": ("batch", "s.npz", "--sizes", "1,4", "--json"),
    "cache": ("cache", "s.npz"),
    "cache JSON": ("cache", "s.npz", "--json"),
    "place": ("place", "s.npz", "--devices", 2),
    "place JSON": ("place", "s.npz", "--devices", 2, "--json"),
    "coverage": ("coverage", "s.npz"),
    "coverage JSON": ("coverage", "s.npz", "--json"),
    "kinds": ("kinds", "s.npz", *SHORT, "--figure", "k.svg"),
    "kinds JSON": ("kinds", "s.npz", *SHORT, "--json"),
    "compare": ("compare", "s.npz", "other.npz", *SHORT),
    "compare JSON": ("compare", "s.npz", "other.npz", *SHORT, "--json"),
    "compare counts": ("compare", "c.csv", "c.csv", "--model", MODEL, "--model", MODEL.replace("one", "two")),
    "check": ("check", "s.npz", "--no-model"),
    "check JSON": ("check", "s.npz", "--no-model", "--json"),
    "power": ("power", "s.npz", "--studies", 2, "--most", 6, "--figure", "p.svg"),
    "pool": ("pool", "s.npz", "other.npz", *SHORT),
    "plot a result": ("plot", "batch.json", "--out", "."),
    "a number that is none": ("analyze", "s.npz", "--seed", MODEL),
    "a colour that there is not": ("info", "s.npz", "--color", MODEL),
    "an engine that there is not": ("check", "--engine", MODEL, "--model", MODEL),
    "a format that there is not": ("import", "s.npz", "--from", MODEL),
    "a venue that there is not": ("plot", "s.npz", "--pca", "--width", MODEL),
    "place for a server": (
        "place",
        "s.npz",
        "--devices",
        2,
        "--for",
        "sglang",
        "--decoder-layers",
        9,
        "--out",
        "p.json",
    ),
    "capture": ("capture", "--prompts", "evil.jsonl", "--model", "scale", "--max-new-tokens", 0, "--out", "new.npz"),
    "import": ("import", "bad.jsonl", "--from", "mapped", "--map", "study.toml"),
    "import of a bad field": ("import", "bad.jsonl", "--from", "mapped", "--map", "map.toml"),
    "info": ("info", "s.npz"),
    "info JSON": ("info", "s.npz", "--json"),
    "info of an analysis": ("info", "analysis.json"),
    "info of counts": ("info", "c.csv"),
    "merge": ("merge", "s.npz", "--out", f"merged{EVIL.replace(chr(0), '')}.npz"),
    "merge what collides": ("merge", "s.npz", "s.npz", "--out", "merged.npz"),
    "models": ("models", "no\x1b[31m-such"),
    "ablate without a model": ("ablate", "no\x1b[31m-such"),
    "ablate": ("ablate", "scale", "--prompts", "evil.jsonl", "--rank", "coldest,category", "--new-tokens", 4),
    "budget without a model": ("budget", "no\x1b[31m-such"),
    "budget": ("budget", "scale", "--prompts", "evil.jsonl", "--policy", "k", "--keep", 50, "--batches", "none"),
    "capture a bad header": ("capture", "--prompts", "bad.csv"),
    "capture a bad key": ("capture", "--prompts", "bad.jsonl"),
    "capture without a model": ("capture", "--model", "no\x1b[31m-such"),
    "demo": ("demo", "--out", f"no\x1b[31m/{EVIL.replace(chr(0), '')}"),
    "an option that there is not": ("info", f"--{evil('x').replace(chr(0), '')}"),
    "a command that there is not": ("in\x1b[31mfo",),
}


# What ends with an error, which says what it was given; all else prints its results.
REFUSED = {
    "analyze another's tokens",
    "experts of no model",
    "show no such prompt",
    "a number that is none",
    "a colour that there is not",
    "an engine that there is not",
    "a format that there is not",
    "a venue that there is not",
    "import",
    "import of a bad field",
    "merge what collides",
    "models",
    "ablate without a model",
    "budget without a model",
    "capture a bad header",
    "capture a bad key",
    "capture without a model",
    "demo",
    "an option that there is not",
    "a command that there is not",
}
SLOW = {"ablate", "budget", "capture", "models", "plot", "power", "report"}


@pytest.mark.parametrize("case", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOW)) for one in RUNS])
def test_no_command_prints_a_control_or_bidirectional_character(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(folder)
    finished = run(*RUNS[case])
    assert (finished.returncode != 0) == (case in REFUSED), finished.stderr
    assert is_control(finished.stdout) == set()
    assert is_control(finished.stderr) == set()
    assert "Traceback" not in finished.stderr
    if "JSON" in case:
        assert "pwned" in finished.stdout
        json.loads(finished.stdout)


def test_every_command_is_tried() -> None:
    assert {str(command[0]) for command in RUNS.values()} >= set(COMMANDS)


def test_there_is_one_way_to_print() -> None:
    """`print` and `echo` stand in `render`, `Console` in `screen`; `main` prints the version."""
    for path in Path(render.__file__).parent.glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        names = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in calls}
        allowed = {"main": {"echo"}, "screen": {"Console"}, "render": {"echo", "print"}}.get(path.stem, set())
        assert names & {"print", "echo", "secho", "Console"} <= allowed, path.name


def test_json_holds_the_texts_as_they_are(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = json.loads(run("info", "s.npz", "--json").stdout)
    assert set(found["categories"]) == set(Signatures.open("s.npz").prompts.categories)
    assert found[evil("key")] == evil("value")
    assert found["prompts"] == len(Signatures.open("s.npz")), "what meta says is not what is counted"


@pytest.mark.slow
def test_on_a_terminal_nothing_but_rich_moves_the_cursor(folder: Path) -> None:
    """A terminal in between: what is acted on there are the ends of lines and rich's own colours."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "moexray", "info", "s.npz"]
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, env={**os.environ, "NO_COLOR": "1"}):
        os.close(theirs)
        content = b"".join(iter(lambda: _read(ours), b""))
    assert b"pwned" in content
    assert is_control(content.decode().replace("\r\n", "\n")) == set()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what a terminal says when nobody writes to it any more
        return b""


def test_progress_makes_the_name_of_a_model_visible(capsys: pytest.CaptureFixture[str]) -> None:
    from moexray.cli.progress import capture_progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moexray.cli.progress._EVERY", 0.01)
        with capture_progress() as status:
            status.update(Progress("loading", evil("model")))
            while not (printed := capsys.readouterr().err):
                pass
    assert isinstance(status, CaptureStatus)
    assert is_control(printed) == set()


def drawn(folder: Path) -> Iterator[tuple[str, Figure]]:
    found = Signatures.open(folder / "s.npz")
    trace = Trace.open(folder / "s.trace.parquet", found)
    analysis = analyze(found, permutations=9, folds=2, specifications=True, trace=trace)
    again = found.replace(meta={**found.meta, "seed": 1})
    study = replace(shipped_study(), title=evil("study"))
    results: dict[str, Any] = {
        "analysis": analysis,
        "similarity_matrix": similarity_matrix(found),
        "category_shares": category_shares(found),
        "layer_coactivation": layer_coactivation(found, trace),
        "batch": study_batches(trace, sizes=(1, 4)),
        "cache": study_caches(trace),
        "claims": check_claims(found, analysis, study),
        "compare": compare(found, again, permutations=9),
        "coverage": study_coverage(found),
        "experts": describe_experts(found, permutations=9),
        "kinds": study_kinds(found, devices=2, permutations=9),
        "place": place(found, devices=2, trace=trace),
        "pool": pool([found, again], permutations=9),
        "power": power_of_pilot(found, studies=2, most=6, seed=0),
    }
    assert {entry.of for entry in FIGURES.values()} - set(results) <= {"ablate", "budget"}, "these two run a model"
    for name, entry in FIGURES.items():
        if entry.of in results:
            axes = figure(name)(results[entry.of])
            yield name, figure_of(axes)


@pytest.mark.slow
def test_figures_show_data_as_text_and_neither_as_control_nor_as_mathematics(folder: Path) -> None:
    """Drawn by whoever has the figure, with settings of their own, where a name between dollars would be a formula."""
    seen = 0
    for name, found in drawn(folder):
        found.canvas.draw()
        for text in found.findobj(Text):
            assert isinstance(text, Text)
            assert is_control(text.get_text()) == set(), name
            if "foo" in text.get_text():
                seen += 1
                assert not text.get_parse_math(), name
    assert seen > 5
