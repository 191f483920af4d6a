"""The pages that the site adds say what the code has, and every block of every page is run, parsed or listed here."""

import json
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer

import moexray as mx
from moexray.cli.main import COMMANDS, function_of
from moexray.studies.results import Result
from moexray.views.figures import FIGURES
from moexray.views.studies import STUDIES

from .shown import DOCS, README, assert_shown, blocks, example_files, run

PAGES = sorted(DOCS.glob("*.md"))
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# What becomes of a block, by its language.
RUN = {
    "console": "every command prints what the page shows: test_docs.py",
    "python": "every program runs: test_docs.py, and tests/recording and tests/callbacks for trace.md and training.md",
    "pycon": "every session prints what the page shows: test_docs.py",
    "{code-cell} python": "runs when the site is built",
    "{eval-rst}": "read when the site is built",
    "{include} ../CONTRIBUTING.md": "read when the site is built",
    "{results}": "read when the site is built",
}
PARSED = {"sh": "below", "json": "below", "toml": "below"}
# Blocks that show text, by page and first line, and why no test of this folder prints them. Those of questions.md are
# lines of other pages: see below.
NOT_RUN = {
    ("batch.md", "decoding, opportunistic activation"): "a trace with router scores is not among the recorded data",
    ("engines.md", "error: the server at"): "a server that does not answer for ten minutes",
    ("engines.md", "error: vllm returned no usable routing"): "vLLM with a fault",
    ("import.md", "$ moexray import chats.jsonl"): "run by tests/importing/test_mapped.py, on the files of that page",
    ("import.md", "from pathlib import Path"): "reads a recording of Megatron-core that is not here",
    ("report.md", "from moexray.views.report.report import"): "an excerpt: tests/views/report makes reports so",
    ("terminal.md", "$ moexray analyze 'my signatures.npz'"): "lines of standard error: tests/cli has their tests",
    ("trace.md", "trace = pandas.read_parquet("): "the recorded trace has no gate weights",
    ("trace.md", "signatures = moexray.Signatures.open("): "the recorded trace has no router scores",
    ("training.md", "step 4: 311 tokens"): "run by tests/callbacks, which trains for it",
}
# Commands of questions.md whose pages show them with other options, so other numbers.
ANSWERED_THERE_ALONE = ("moexray power signatures.npz", "moexray kinds", "moexray place --devices 8")
# First words of command lines that no test runs, and why.
NOT_PARSED = {
    "pip": "installs",
    "python": "scripts, benchmarks and servers; test_docs.py checks that the files are there",
    "vllm": "a server on a GPU",
    "pytest": "the tests themselves",
    "jq": "a program of its own",
    "sbatch": "a cluster",
    "kubectl": "a cluster",
}


def name(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_run_parsed_or_listed(page: Path) -> None:
    for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "text" and page.name != "questions.md":
            assert any(page.name == where and text.startswith(first) for where, first in NOT_RUN), text[:80]
        else:
            assert language in {*RUN, *PARSED, "text"}, f"a block of {language or 'no language'}: {text[:80]}"


def test_what_is_listed_as_not_run_is_there() -> None:
    for page, first in NOT_RUN:
        assert any(text.startswith(first) for text in blocks(DOCS / page, "text")), (page, first)


@pytest.mark.parametrize("page", [README, *PAGES], ids=name)
def test_every_command_line_is_accepted_by_its_command(page: Path) -> None:
    """Names, values and numbers of arguments: what typer checks before a command runs."""
    lines = [line for block in blocks(page, "sh") for line in re.sub(r"\\\n\s*", " ", block).splitlines() if line]
    for line in lines:
        commands = [words for words in _commands(line) if words]
        assert commands, line
        for program, *arguments in commands:
            if program != "moexray":
                assert program in NOT_PARSED, line
            elif arguments[:1] and arguments[0] in COMMANDS:
                _parse(arguments[0], arguments[1:])
            else:
                assert " ".join(arguments).startswith("--"), line


def _commands(line: str) -> list[list[str]]:
    """Return the words of each program that a line of a shell starts, without redirections and variables set for it."""
    words = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    skip = False
    for word in words:
        if skip:
            skip = False
        elif set(word) <= set("&|;"):
            found.append([])
        elif set(word) == {">"}:
            skip = True
        elif word == "do":
            found[-1] = []
        elif word in {"done", "wait"} or (not found[-1] and "=" in word):
            continue
        else:
            found[-1].append(word)
    return [words for words in found if words and words[0] != "for"]


def _parse(command: str, arguments: list[str]) -> None:
    alone = typer.Typer(add_completion=False)
    alone.command(command)(function_of(command))
    typer.main.get_command(alone).make_context(command, arguments)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_shown_can_be_parsed(page: Path) -> None:
    for text in blocks(page, "toml"):
        tomllib.loads(text)
    for text in blocks(page, "json"):
        for line in text.splitlines():
            json.loads(line)


def test_the_gallery_shows_every_figure() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (.*)$", page, flags=re.MULTILINE)[1:]
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    assert sorted(shown) == sorted(FIGURES)
    for figure, section in shown.items():
        assert f"mx.figures.{figure}(" in section
        option, file = f"--{figure.replace('_', '-')}", f"{FIGURES[figure].of}.json"
        assert re.search(rf"^moexray plot .*({option}\b|{file})", section, re.MULTILINE), figure


def test_every_kind_of_result_is_listed_among_the_file_formats() -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    for command, study in STUDIES.items():
        module, _, class_name = study.result.partition(":")
        result: type[Result] = getattr(import_module(module), class_name)
        assert f"| `moexray {command}` | {result.SCHEMA} | `{result.MARK}` |" in page


def test_every_question_of_the_readme_is_answered_at_length() -> None:
    page = (DOCS / "questions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*\?) \| (`moexray [^`]*`) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 10
    for question, command in rows:
        assert f"## {question}\n\n{command}\n" in page


def test_answers_to_questions_are_lines_of_tested_outputs() -> None:
    tested = {line for page in PAGES for block in blocks(page, "console") for line in block.splitlines()}
    for command, answer in answers():
        assert command in ANSWERED_THERE_ALONE or set(answer.splitlines()) <= tested, answer


@pytest.mark.slow
@pytest.mark.parametrize("command", ANSWERED_THERE_ALONE)
def test_an_answer_that_no_other_page_shows_is_what_its_command_prints(command: str, tmp_path: Path) -> None:
    printed = run(command, example_files(tmp_path))
    assert_shown("".join(f"…\n{line}\n" for line in dict(answers())[command].splitlines()) + "…\n", printed)


def answers() -> list[tuple[str, str]]:
    """Return the commands of questions.md that have an answer there, and the answers."""
    page = (DOCS / "questions.md").read_text(encoding="utf-8")
    return re.findall(r"^`(moexray [^`]+)`\n\n```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_every_public_name_is_in_the_python_reference() -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. auto(?:function|class):: (\w+|moexray\.[\w.]+)$", page, re.MULTILINE))
    for public in set(mx.__all__) - {"__version__", "figures", "Analysis"}:  # the last two have pages of their own
        assert {public, f"{getattr(mx, public).__module__}.{public}"} & listed, public


def test_sources_of_formulas_are_those_that_the_code_names() -> None:
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    files = Path(mx.__file__).parent.rglob("*.py")
    code = " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in files)
    # A first author, and behind it a volume and a year.
    sources = re.findall(r"[A-Z]\. ([A-Z][\w-]+)[^;()*]*? (\d+), (\d{4})\b", page)
    assert len(sources) > 30
    for author, volume, year in sources:
        named = rf"\b{author}\b[^;]{{0,200}}?\b{volume}\b\D{{0,3}}{year}"
        assert re.search(named, code), (author, volume, year)
