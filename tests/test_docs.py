"""Every output, program, table and link of the docs is what a user gets today."""

import doctest
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import moexray
from moexray.claims.tests import CLAIM_TESTS
from moexray.studies.analysis import Analysis
from moexray.studies.codec import key_of

from .shown import DOCS, README, ROOT, assert_shown, blocks, example_files, run, run_program, sessions

PAGES = sorted(DOCS.glob("*.md"))
WRITTEN = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *PAGES]


def name(page: Path) -> str:
    return page.name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with prompts, and with signatures and a trace as `moexray capture --record trace` writes them.

    Beside them lie the recordings of the toy that sees pictures.
    """
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    for recording in (ROOT / "tests" / "data" / "toy_images").iterdir():
        (tmp_path / recording.name).write_bytes(recording.read_bytes())
    return example_files(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.nightly if page.name == "budget.md" else ())  # half a minute
        for page in PAGES
        if sessions(page)
    ],
    ids=lambda page: page.name,
)
def test_every_command_prints_what_the_page_shows(page: Path, folder: Path) -> None:
    for command, shown in sessions(page):
        assert_shown(shown, run(command, folder))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_every_program_runs(page: Path, folder: Path) -> None:
    """Those of trace.md run in tests/recording, on a trace whose answers are known, a Trainer's in tests/callbacks."""
    for program in blocks(page, "python"):
        if "def jetmoe" in program or page.name == "trace.md" or "RoutingCallback(trainer" in program:
            continue  # an excerpt of a module, or run elsewhere
        run_program(program, folder)


@pytest.mark.parametrize(
    "page", [DOCS / "analysis.md", pytest.param(DOCS / "api.md", marks=pytest.mark.slow)], ids=name
)
def test_every_session_prints_what_the_page_shows(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = doctest.testfile(str(page), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS)
    assert found.attempted > 5
    assert found.failed == 0


def test_the_command_reference_is_that_of_the_command_line() -> None:
    """If not, make it anew: python scripts/command_reference.py > docs/commands.md."""
    program = [sys.executable, str(ROOT / "scripts" / "command_reference.py")]
    printed = subprocess.run(program, check=True, capture_output=True, encoding="utf-8").stdout
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == printed


def test_every_key_of_the_analysis_is_documented() -> None:
    page = (DOCS / "analysis.md").read_text(encoding="utf-8")
    experts = (DOCS / "experts.md").read_text(encoding="utf-8")
    for field in fields(Analysis):
        assert f"| `{key_of(field)}` |" in page
        for key in keys_inside(get_type_hints(Analysis)[field.name]):
            assert f"`{key}`" in page + experts, f"{key_of(field)}: {key}"


def keys_inside(hint: Any) -> Iterator[str]:
    """Yield the keys of a result in the JSON, and those of all results inside of it."""
    if is_dataclass(hint):
        for field in fields(hint):
            yield key_of(field)
            yield from keys_inside(get_type_hints(hint)[field.name])
    for part in get_args(hint):
        yield from keys_inside(part)


def test_every_row_of_the_analysis_is_explained() -> None:
    page = (DOCS / "reading-an-analysis.md").read_text(encoding="utf-8")
    headline = sessions(DOCS / "reading-an-analysis.md")[1][1].split("\n\n")[1]
    rows = [re.split("  +", line)[0] for line in headline.splitlines()]
    assert "within categories" in rows
    assert all(f"| {row} |" in page for row in rows)


def test_every_kind_of_claim_is_listed() -> None:
    """Each with the values that a claim must give, those that it may give, and what decides."""
    page = (DOCS / "claims.md").read_text(encoding="utf-8")
    for kind, test in CLAIM_TESTS.items():
        values = ", ".join(
            [f"`{value}`" for value in test.values] + [f"`{value}` (may be left out)" for value in test.more]
        )
        assert f"| `{kind}` | {values} | {test.rule} |" in page


@pytest.mark.slow
def test_the_file_of_claims_that_is_shown_can_be_checked(tmp_path: Path) -> None:
    folder = example_files(tmp_path, every=4)
    (study,) = blocks(DOCS / "claims.md", "toml")
    (folder / "my_claims.toml").write_text(study, encoding="utf-8")
    assert "effect size d" in run("moexray claims --claims my_claims.toml --permutations 19", folder)


def test_the_index_lists_every_page() -> None:
    """Once: the side bar of the site is made of these tables."""
    listed = re.findall(
        r"^\| \[[^]]+\]\(([\w-]+\.md)\) \|", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == [page.name for page in PAGES if page.name != "index.md"]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository and a heading of it; what is on the web is not asked for here."""
    linked = re.findall(r"""(?:\]\(|src=")(?!https?:|\.\./\.\./actions/)([^)"]+)""", page.read_text(encoding="utf-8"))
    for link in linked:
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_file_of_the_code_that_is_named_is_there(page: Path) -> None:
    files = re.findall(
        r"(?:moexray|scripts|benchmarks|tests|prompts)/[\w/.-]+\.(?:py|json|toml|txt)", page.read_text("utf-8")
    )
    for file in files:
        root = Path(moexray.__file__).parents[1] if file.startswith("moexray/") else ROOT
        assert "NAME" in file or (root / file).exists(), file


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_option_of_a_command_that_is_named_is_there(page: Path) -> None:
    """In code and in blocks; names that an option had before are not among them."""
    parts = re.split(r"^## moexray (\w+)$", (DOCS / "commands.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    options = {
        command: set(re.findall(r"`(--[\w-]+)`", text)) for command, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    for command, arguments in re.findall(r"(?<![\w/.])moexray ([a-z]+)\b([^`\n#]*)", page.read_text(encoding="utf-8")):
        if command in options:
            assert set(re.findall(r"--[\w-]+", arguments)) <= options[command], f"moexray {command}{arguments}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings: lower case, spaces as hyphens, no other signs."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_losses_of_the_embedded_model_are_those_of_its_record() -> None:
    record = json.loads((Path(moexray.__file__).parent / "scale_model" / "training.json").read_text())
    page = (DOCS / "embedded-model.md").read_text(encoding="utf-8")
    table = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in page.splitlines() if row.startswith("|")}
    rows = {"the model": "loss", "a bigram model": "bigram_loss", "a unigram model": "unigram_loss"}
    for category, column in zip(("code", "factual", "math", "story"), range(4), strict=True):
        held_out = record["held_out"][category]
        for row, key in rows.items():
            assert float(table[row][column]) == round(held_out[key], 3)
        assert float(table["perplexity of the model"][column]) == round(held_out["perplexity"], 1)
