"""Every kind of result is known by its file, and has a page."""

import json
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import moexray
from moexray.errors import AnalysisError
from moexray.studies.codec import key_of
from moexray.studies.experts import describe_experts
from moexray.studies.result_files import class_of, foreign, required_keys
from moexray.studies.shown_prompt import show_prompt
from moexray.trace import Trace
from moexray.views.studies import KINDS, STUDIES, page_of, read_result
from moexray.views.tables.experts import experts_page

from .. import made


def test_every_kind_of_result_is_listed_with_a_page() -> None:
    """But the tokens of one prompt, which `moexray show` prints: a report has a page of prompts of its own."""
    modules = Path(moexray.__file__).parent.rglob("*.py")
    written = {
        name for path in modules for name in re.findall(r"^class (\w+)\(Result\)", path.read_text(), re.MULTILINE)
    }
    assert {class_of(place).__name__ for place in KINDS.values()} == written - {"ShownPrompt"}
    for command, one in STUDIES.items():
        module, _, name = one.page.partition(":")
        assert callable(getattr(import_module(f"moexray.views.tables.{module}"), name))
        assert class_of(one.result).MADE_BY.startswith(f"moexray {command}")


def test_no_file_can_be_of_two_kinds() -> None:
    """Whatever a file of one kind holds, it lacks a key that each other kind always has."""
    for command, place in KINDS.items():
        every = {key_of(one) for one in fields(class_of(place))}  # type: ignore[arg-type]
        those = [other for other, of in KINDS.items() if required_keys(class_of(of)) <= every]
        assert those == [command]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of a report on experts."""
    path = tmp_path_factory.mktemp("experts") / "any.json"
    describe_experts(made.signatures(12), permutations=9).save(path)
    return path


def test_a_file_is_read_as_what_it_is(saved: Path) -> None:
    command, result = read_result(saved)
    assert command == "experts"
    assert page_of(command, result) == experts_page(result)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1]", "is not a result that moexray knows: `moexray analyze`, "),
        ('{"schema": 1, "prompts": 3}', "is not a result that moexray knows: "),
        ('{"schema": 1, "of": "selections", "layers": []}', "is not a report on experts|is damaged: "),
        ('{"schema": 9, "of": "selections"}', "has schema 9; this moexray reads schema 1: update moexray"),
        ('{"a": 1, "a": 2}', "could not be read as a result: the key 'a' is there twice"),
        ("no JSON", "could not be read as a result: "),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a git-lfs pointer"),
    ],
)
def test_a_file_that_is_no_result_is_refused_in_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AnalysisError, match=says) as caught:
        read_result(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


def test_a_damaged_and_a_missing_file_are_refused(saved: Path, tmp_path: Path) -> None:
    document = json.loads(saved.read_bytes())
    (tmp_path / "x.json").write_text(json.dumps({**document, "layers": "none"}))
    with pytest.raises(AnalysisError, match=r"x\.json is damaged: 'none' is not a list"):
        read_result(tmp_path / "x.json")
    with pytest.raises(AnalysisError, match=r"gone\.json could not be read: No such file"):
        read_result(tmp_path / "gone.json")


def test_one_prompt_that_is_shown_has_no_page_of_its_own(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "trace.parquet", prompts=4)
    shown = show_prompt(Trace.open(tmp_path / "trace.parquet", signatures), "p0")
    shown.save(tmp_path / "shown.json")
    with pytest.raises(AnalysisError, match=r"shown\.json is a prompt that is shown, which `moexray show` and"):
        read_result(tmp_path / "shown.json")


def test_a_result_is_of_signatures_only_if_it_says_so(saved: Path) -> None:
    _, result = read_result(saved)
    own = made.signatures(12).fingerprint
    assert foreign(result, fingerprint=own, model=None) is None
    assert (
        foreign(result, fingerprint="x", model="made-up")
        == "is of other signatures: make it anew from these with `moexray experts --json`"
    )
