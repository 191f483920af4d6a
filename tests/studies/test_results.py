"""Results are saved, read, put into tables and shown, all by the same code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moexray.claims.report import ClaimsReport
from moexray.errors import AnalysisError
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.comparison import Comparison, compare
from moexray.studies.expert_report import ExpertReport
from moexray.studies.experts import describe_experts
from moexray.studies.results import Result

from .. import made

RECORDED = Path(__file__).parents[1] / "data" / "analysis-schema-1.json"


def contains(found: Any, expected: Any) -> bool:
    """Whether `found` has every key and value of `expected`, and perhaps further keys."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and contains(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        same_length = isinstance(found, list) and len(found) == len(expected)
        return same_length and all(contains(*pair) for pair in zip(found, expected, strict=True))
    return bool(found == expected)


def test_a_file_of_the_first_version_is_read_and_written_with_the_same_keys_and_values(tmp_path: Path) -> None:
    Analysis.load(RECORDED).save(tmp_path / "again.json")
    assert contains(json.loads((tmp_path / "again.json").read_text()), json.loads(RECORDED.read_text()))


def test_a_file_that_does_not_say_what_it_studied_belongs_to_no_signatures() -> None:
    assert not Analysis.load(RECORDED).belongs_to(made.signatures())


def test_a_result_belongs_to_the_signatures_that_it_is_of_and_to_no_others(tmp_path: Path) -> None:
    one, other = made.signatures(), made.signatures(seed=1)
    analysis = analyze(one, permutations=9)
    analysis.save(tmp_path / "analysis.json")
    read = Analysis.load(tmp_path / "analysis.json")
    assert read == analysis
    assert read.belongs_to(one)
    assert not read.belongs_to(other)
    assert describe_experts(one, permutations=9).belongs_to(one)
    assert compare(one, other, permutations=9).belongs_to(one, other)
    assert not compare(one, other, permutations=9).belongs_to(other, one)


@pytest.mark.parametrize("kind", [Analysis, Comparison, ExpertReport, ClaimsReport])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not JSON"),
        ('{"schema": 1, "similarity": NaN}', "not JSON"),
        ('{"schema": 1, "similarity": 1e999}', "not finite"),
        ("[" * 100_000, "not JSON"),
        ("[]", "`moexray .*` makes one"),
        ("{}", "`moexray .*` makes one"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, kind: type[Result], content: str, problem: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(AnalysisError, match=problem):
        kind.load(tmp_path / "result.json")


def test_a_result_of_another_kind_is_refused(tmp_path: Path) -> None:
    describe_experts(made.signatures(), permutations=9).save(tmp_path / "experts.json")
    with pytest.raises(AnalysisError, match="is not an analysis: `moexray analyze` makes one"):
        Analysis.load(tmp_path / "experts.json")


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("similarity", "within", "mean"), "0.5", "'0.5' is not a number at similarity.within.mean"),
        (("signatures", "layers"), 3, "3 is not a list at signatures.layers"),
        (("permutation",), [], r"\[\] is not an object at permutation"),
    ],
)
def test_a_damaged_analysis_is_one_sentence(tmp_path: Path, path: tuple[str, ...], value: object, problem: str) -> None:
    document = json.loads(RECORDED.read_text())
    *parents, last = path
    part = document
    for key in parents:
        part = part[key]
    part[last] = value
    (tmp_path / "analysis.json").write_text(json.dumps(document))
    with pytest.raises(AnalysisError, match=f"is damaged: {problem}; `moexray analyze` makes another"):
        Analysis.load(tmp_path / "analysis.json")


def test_a_part_is_a_data_frame_and_the_sections_are_one() -> None:
    pytest.importorskip("pandas")
    analysis = Analysis.load(RECORDED)
    layers = analysis.to_frame("layers")
    assert list(layers.columns[:6]) == ["layer", "within", "across", "cohens_d", "cohens_d_ci.low", "cohens_d_ci.high"]
    assert len(layers) == 16
    assert list(analysis.to_frame("similarity.by_pair")[["first", "second"]].iloc[0]) == ["code", "factual"]
    assert list(analysis.to_frame("similarity.by_category")["name"]) == ["code", "factual", "math", "story"]
    assert analysis.to_frame("load")["dead_experts"].sum() == 0
    assert len(analysis.to_frame("controls.token_identity.same_token.by_layer")) == 16
    sections = analysis.to_frame().set_index("section")
    assert sections.loc["layers", "computed"]
    assert not sections.loc["specifications", "computed"]


def test_a_part_that_is_not_there_is_refused_with_the_names_or_the_reason() -> None:
    pytest.importorskip("pandas")
    analysis = analyze(made.signatures(categories=("a",)), permutations=9)
    with pytest.raises(AnalysisError, match="there is no 'layer': there are signatures, settings, units, similarity"):
        analysis.to_frame("layer")
    with pytest.raises(AnalysisError, match="permutation was not computed: there is one category only"):
        analysis.to_frame("permutation")


def test_the_main_table_of_experts_has_a_row_for_each_and_of_a_comparison_one_for_each_layer() -> None:
    pytest.importorskip("pandas")
    one, other = made.signatures(), made.signatures(seed=1)
    assert len(describe_experts(one, permutations=9).to_frame()) == one.shape[2] * one.shape[3]
    assert len(compare(one, other, permutations=9).to_frame()) == one.shape[2]


def test_a_result_is_a_few_lines_on_screen_and_escaped_in_a_notebook() -> None:
    signatures = made.signatures(meta={"model": "<b>model</b>\x1b[2J"})
    analysis = analyze(signatures, permutations=9)
    shown = [repr(found) for found in (analysis, describe_experts(signatures), compare(signatures, signatures))]
    assert all(2 <= len(text.splitlines()) <= 6 for text in shown)
    assert all("<b>" in text and "\x1b" not in text for text in shown)
    assert "<b>" not in analysis._repr_html_()
    assert "&lt;b&gt;" in analysis._repr_html_()


def test_reading_an_analysis_imports_no_scipy_and_no_scikit_learn() -> None:
    program = (
        "import sys; from moexray.studies.analysis import Analysis; Analysis.load(sys.argv[1]); "
        "print([name for name in ('scipy', 'sklearn', 'torch', 'matplotlib') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program, RECORDED], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("part", "edit"),
    [
        ("similarity.by_category", lambda document: document["similarity"]["by_category"].pop("a")),
        ("similarity.by_pair", lambda document: document["similarity"]["by_pair"].clear()),
        ("similarity.histogram", lambda document: document["similarity"]["histogram"]["within"]["pairs"].pop()),
        ("signatures", lambda document: document["signatures"]["top_k"].pop()),
        ("layers", lambda document: document["layers"].pop()),
        ("load", lambda document: document["load"].pop()),
        ("load", lambda document: document["signatures"].update(experts=3)),
        ("depth", lambda document: document["depth"].update(peak_layer=99)),
        ("pca", lambda document: document["pca"]["prompt_ids"].pop()),
    ],
)
def test_an_edited_analysis_whose_parts_do_not_agree_is_refused(
    tmp_path: Path, part: str, edit: Callable[[Any], Any]
) -> None:
    document = analyze(made.signatures(), permutations=9, folds=2).document
    edit(document)
    (tmp_path / "edited.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(
        AnalysisError, match=rf"edited.json is damaged: {part} does not agree with the other parts; .* makes another$"
    ):
        Analysis.load(tmp_path / "edited.json")


def test_a_result_of_many_categories_is_still_shown_in_a_few_lines() -> None:
    signatures = made.signatures(60, categories=[f"kind {i}" for i in range(30)])
    results = (analyze(signatures, permutations=9, folds=2), describe_experts(signatures, permutations=9))
    for result in results:
        assert "30 categories" in repr(result)
        assert max(map(len, repr(result).splitlines())) < 120
