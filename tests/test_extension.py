"""One more of each kind, from an engine to a command, is one file and one list entry."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import moexray

FILES = {
    "engines/constant.py": '''
from collections.abc import Iterator

import numpy as np

from moexray.engines.engine import Engine
from moexray.routing import RoutedSequence, RouterLayout, plain_segments


class ConstantEngine(Engine):
    """Sends every letter to the same two experts."""

    layout = RouterLayout(layers=(0, 1), experts=(4, 4), top_k=(2, 2))
    batching = "own"
    capabilities = frozenset()

    def __init__(self, model, expert=0):
        self.description = {"model": model, "engine": "constant"}
        self.chosen = [expert, 3]

    def lengths(self, prompts, generation):
        return np.array([len(prompt.text) for prompt in prompts], dtype=np.int32)

    def run(self, prompts, generation, *, want=(), on_tokens=None):
        for place in reversed(range(len(prompts))):
            text = prompts[place].text
            experts = np.tile(np.array(self.chosen, dtype=np.int16), (len(text), 2, 1))
            ids = np.array([ord(letter) for letter in text], dtype=np.int32)
            yield place, RoutedSequence(ids, plain_segments(len(text), 0), experts, output="")

    def text_of(self, token_id):
        return chr(token_id)
''',
    "prompts/shouted.py": """
from moexray.prompts.prompt import Prompt


def read_shouted(source, path, columns):
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        yield Prompt(line.upper(), category=source.category, id=source.id(number))
""",
    "recording/recorders/lengths.py": """
from moexray.recording.recorders.recorder import Recorder


def _write(path, recorded):
    path.write_text(" ".join(str(len(sequence.token_ids)) for sequence in recorded.sequences))


LENGTHS = Recorder("lengths.txt", _write)
""",
    "studies/sections/busiest.py": '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Busiest:
    """The expert with the most selections, over all layers."""

    expert: int


def busiest_expert(cohort, notes):
    return Busiest(int(cohort.load.sum(axis=0).argmax()))
''',
    "views/figures/one_bar.py": """
from matplotlib.figure import Figure


def one_bar(analysis, ax=None):
    ax = ax or Figure().subplots()
    ax.bar([0], [analysis.busiest.expert])
    return ax
""",
    "importing/tallies.py": """
import numpy as np

from moexray.importing.reading import Reading, counted_prompt, layout_of


def read_tallies(source, stated):
    counts = np.array([[int(one) for one in line.split()] for line in source.read_text().splitlines()])
    layout = layout_of(tuple(range(len(counts))), counts.shape[1], stated.need("top_k", source, "k"), source)
    segment = stated.phase(source)
    prompt = counted_prompt(counts, layout, segment=segment, source=source, id=source.stem, category="all")
    return Reading(layout, lambda: iter([prompt]), files=(source,))
""",
    "cli/greet.py": '''
import typer


def greet(name: str) -> None:
    """Greet somebody.

    Example: moexray greet Ada
    """
    typer.echo(f"Hello {name}")
''',
}
# Of each file above, where its kind is listed: the line that the new ones follow, and the new ones. Lists whose
# entries are objects, not names, also take an import.
ENTRIES = (
    ("engines/engine.py", "ENGINES: Mapping[str, str] = {",
     '    "constant": "moexray.engines.constant:ConstantEngine",'),
    ("prompts/read.py", "READERS: dict[str, tuple[Unit, str]] = {",
     '    ".shout": ("line", "moexray.prompts.shouted:read_shouted"),'),
    ("recording/recorders/__init__.py", "from moexray.recording.recorders.coselection import COSELECTION",
     "from moexray.recording.recorders.lengths import LENGTHS"),
    ("recording/recorders/__init__.py", "RECORDERS: Mapping[str, Recorder] = {", '    "lengths": LENGTHS,'),
    ("studies/analysis.py", "from moexray.studies.sections.balance import Balance, load_balancing",
     "from moexray.studies.sections.busiest import Busiest, busiest_expert"),
    ("studies/analysis.py", "    balance: Balance | None = section(load_balancing)",
     "    busiest: Busiest | None = section(busiest_expert)"),
    ("views/figures/__init__.py", "FIGURES: Mapping[str, Entry] = {",
     '    "busiest": Entry("one_bar:one_bar", "The busiest expert."),'),
    ("importing/__init__.py", "FORMATS: dict[str, tuple[str, str]] = {",
     '    "tallies": ("moexray.importing.tallies:read_tallies", "counts in lines"),'),
    ("cli/main.py", "COMMANDS = {", '    "greet": "Greet somebody.",'),
)  # fmt: skip
PROGRAM = """
import sys
from pathlib import Path

import moexray
from moexray.cli.main import main

def run(*arguments):
    sys.argv = ["moexray", *arguments]
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code, arguments

prompts = moexray.read_prompts("calm.shout")
assert [prompt.text for prompt in prompts] == ["ABC", "DEFGH", "X", "YZ"]
assert moexray.capture(prompts, model="any", engine="constant").counts[1, 0, 0].tolist() == [5, 0, 0, 5]

run("capture", "--prompts", "calm.shout", "--engine", "constant", "--model", "any", "--record", "lengths")
assert Path("signatures.lengths.txt").read_text() == "3 5 1 2"
run("analyze", "--permutations", "9")
analysis = moexray.Analysis.load("analysis.json")
assert analysis.busiest.expert == 0
assert analysis.to_frame("busiest")["expert"].tolist() == [0]
run("plot", "--busiest")
assert Path("busiest.png").is_file()
Path("t.txt").write_text("3 1 2\\n2 2 2\\n")
run("import", "t.txt", "--from", "tallies", "--top-k", "2", "--tokens-are", "prompt", "--out", "tallies.npz")
assert moexray.Signatures.open("tallies.npz").loads().tolist() == [[[3, 1, 2], [2, 2, 2]]]
run("greet", "Ada")
run("--help")
"""


def insert(path: Path, after: str, line: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    (place,) = (number for number, one in enumerate(lines) if one.startswith(after))
    path.write_text("\n".join([*lines[: place + 1], line, *lines[place + 1 :]]) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_one_of_each_kind_is_one_file_and_one_entry(tmp_path: Path) -> None:
    package = tmp_path / "copy" / "moexray"
    shutil.copytree(Path(moexray.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in FILES.items():
        assert not (package / name).exists()
        (package / name).write_text(content, encoding="utf-8")
    for name, after, line in ENTRIES:
        insert(package / name, after, line)
    (tmp_path / "calm.shout").write_text("abc\ndefgh\nx\nyz\n", encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "Hello Ada" in finished.stdout
    assert "Greet somebody." in finished.stdout


def test_the_guide_for_contributors_names_files_that_exist() -> None:
    root = Path(__file__).parent.parent
    named = set(re.findall(r"`((?:moexray|tests|docs)/[\w/.]+?/?)`", (root / "CONTRIBUTING.md").read_text("utf-8")))
    assert len(named) > 20
    # The package may be installed elsewhere.
    places = {
        name: Path(moexray.__file__).parent.parent / name if name.startswith("moexray/") else root / name
        for name in named
    }
    assert [name for name, place in places.items() if "NAME" not in name and not place.exists()] == []
