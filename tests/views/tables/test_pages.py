"""The page of a result shows its numbers, whatever it holds."""

import re
from dataclasses import dataclass, replace

import pytest

from moexray.studies.analysis import Analysis, analyze
from moexray.studies.comparison import compare
from moexray.studies.experts import describe_experts
from moexray.studies.sections.phases import EffectDifference, MeanSimilarity, PhaseEffect, Phases
from moexray.views.tables.analysis import TABLES, analysis_page, layer_table, similarity_table, specification_table
from moexray.views.tables.comparison import comparison_page
from moexray.views.tables.experts import experts_page
from moexray.views.tables.generic import generic_tables
from moexray.views.tables.headline import headline
from moexray.views.tables.info import info_page
from moexray.views.tables.table import Page, Table

from ... import made


def texts(page: Page) -> str:
    """Return all text of a page."""
    lines = [one for one in page.blocks if isinstance(one, str)]
    names = [column.name for table in tables(page) for column in table.columns]
    cells = [cell for table in tables(page) for row in table.rows for cell in row]
    return " ".join([page.title, *lines, *names, *cells])


def tables(page: Page) -> list[Table]:
    """Return the tables of a page."""
    return [one for one in page.blocks if isinstance(one, Table)]


def rows_of(table: Table | str) -> dict[str, str]:
    """Return a table of two columns as a dictionary."""
    assert isinstance(table, Table)
    return {row[0]: row[1] for row in table.rows}


def test_a_page_of_an_analysis_says_what_was_studied_and_holds_every_table(analysis: Analysis) -> None:
    page = analysis_page(analysis)
    assert page.title == "some/model: 3 MoE layers of 8 experts, k = 2"
    assert page.blocks[0] == "36 prompts (a 12, b 12, c 12), prompt and generated tokens, by gate mass"
    assert tables(page) == [headline(analysis), *(table(analysis) for table in TABLES.values())]


def test_the_headline_has_a_row_for_each_finding(traced: Analysis) -> None:
    rows = rows_of(headline(traced))
    found = traced.similarity
    assert rows["effect size"].startswith(f"Cohen's d = {found.cohens_d:.2f} [{found.cohens_d_ci[0]:.2f}, ")
    assert f"v. {traced.permutation.null_mean:.4f}" in rows["permuted labels"]
    assert f"{100 * traced.classifier.accuracy.mean:.1f} %" in rows["classifier"]
    share = traced.controls.token_identity.share
    assert {f"{100 * end:.1f} % [" in rows["token identity"] for end in (share.low, share.high)} == {True}
    assert {"same token", "token expectation", "token residual", "their difference"} <= set(rows)


def test_the_headline_leaves_out_or_names_what_was_not_computed(analysis: Analysis) -> None:
    empty = replace(
        analysis,
        permutation=None,
        balance=None,
        classifier=None,
        phases=None,
        pca=None,
        depth=None,
        specifications=None,
    )
    rows = rows_of(headline(empty))
    assert rows["permuted labels"] == rows["classifier"] == "not computed"
    assert not {"balanced routing", "two components", "depth", "prompt tokens"} & set(rows)


def test_the_headline_compares_the_phases(analysis: Analysis) -> None:
    known = PhaseEffect(0.8, 0.7, 0.61, (0.3, 0.92), 0.55, (0.4, 0.7))
    missing = PhaseEffect(0.8, None, None, None, None, None)
    difference = EffectDifference(0.3, (-0.01, 0.61))
    phases = Phases(36, known, missing, difference, MeanSimilarity(0.7141, None), 0.66, 0.6, 0.0005, 1999)
    rows = rows_of(headline(replace(analysis, phases=phases)))
    assert rows["prompt tokens"] == "d = 0.61 [0.30, 0.92], accuracy 55.0 %"
    assert rows["generated tokens"] == "d = –, accuracy –"
    assert rows["their difference"] == "d +0.30 [-0.01, +0.61], generated minus prompt"
    assert rows["between them"] == "0.714 same prompt, 0.660 same category: p < 0.001"


def test_rows_of_the_headline_fit_a_screen_of_80_columns(analysis: Analysis, traced: Analysis) -> None:
    for found in (analysis, traced):
        for name, text in rows_of(headline(found)).items():
            assert len(name) <= 17, name
            assert len(text) <= 61, text


def test_similarity_has_each_category_on_the_diagonal_and_the_same_pair_on_both_sides(analysis: Analysis) -> None:
    rows = {name: cells for name, *cells in similarity_table(analysis).rows}
    assert [rows[name][i] for i, name in enumerate("abc")] == [
        f"{analysis.similarity.by_category[name].mean:.3f}" for name in "abc"
    ]
    assert rows["a"][2] == rows["c"][0] == f"{analysis.similarity.by_pair['a', 'c'].mean:.3f}"


def test_the_table_of_layers_has_their_adjusted_p_values(analysis: Analysis) -> None:
    rows = layer_table(analysis).rows
    assert [row[0] for row in rows] == [str(one.layer) for one in analysis.layers]
    assert [row[5] for row in rows] == [f"{one.p_value_corrected:.3f}" for one in analysis.layers]
    assert [row[8] for row in rows] == [f"{one.max_over_mean:.2f}" for one in analysis.loads]


def test_the_table_of_specifications_counts_each_choice(analysis: Analysis) -> None:
    table = specification_table(analysis)
    assert table.columns[0].name == f"{len(analysis.specifications)} specifications"
    left_out = [one for one in analysis.specifications if one.left_out == "a"]
    (row,) = (row for row in table.rows if row[0] == "left out: a")
    assert row[1] == str(len(left_out))
    assert row[4] == f"{max(one.cohens_d for one in left_out):.2f}"


@dataclass(frozen=True)
class Inner:
    """A layer of a section that views do not know."""

    layer: int
    share: float | None


@dataclass(frozen=True)
class Unknown:
    """A section that views do not know."""

    total: float
    ci: tuple[float, float] | None
    by_layer: tuple[Inner, ...]
    by_name: dict[str, float]


def test_a_part_without_a_table_of_its_own_is_shown_whole() -> None:
    part = Unknown(0.25, (0.125, 0.5), (Inner(1, 0.5), Inner(2, None)), {"story\x07": 1.5})
    values, layers, names = generic_tables("new_section", part)
    assert values.title == "new section"
    assert rows_of(values) == {"total": "0.25", "ci, low": "0.125", "ci, high": "0.5"}
    assert (layers.title, layers.rows) == ("new section, by layer", (("1", "0.5"), ("2", "–")))
    assert names.rows == (("story\\x07", "1.5"),)


def test_a_comparison_shows_agreement_and_tests_only_where_there_are_some() -> None:
    first, second = made.signatures(12, seed=1), made.signatures(12, seed=2, meta={"model": "other"})
    page = comparison_page(compare(first, second, permutations=19))
    assert page.title == "made-up and other, 12 prompts"
    (table,) = tables(page)
    names = ["layer", "cosine", "JS (bits)", "by chance", "p", "experts that moved"]
    assert [column.name for column in table.columns] == names


def test_experts_are_shown_by_layer_or_one_by_one() -> None:
    report = describe_experts(made.signatures(24), permutations=19)
    (table,) = tables(experts_page(report))
    assert [row[0] for row in table.rows] == ["1"] * 3 + ["2"] * 3 + ["4"] * 3
    one_layer, balance = tables(experts_page(report.at(2)))
    loads = [float(row[2]) for row in one_layer.rows]
    assert loads == sorted(loads, reverse=True)
    assert rows_of(balance)["busiest expert"].endswith("times the mean")
    page = experts_page(report.at(2, 3))
    assert page.title == "made-up, layer 2, expert 3"
    assert [row[0] for row in tables(page)[0].rows] == ["load", "category", "category"]


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\u202eb"])
def test_no_name_of_a_category_or_model_reaches_a_page_with_control_characters(name: str) -> None:
    signatures = made.signatures(12, categories=("plain", name), meta={"model": name})
    pages = (
        experts_page(describe_experts(signatures, permutations=9)),
        comparison_page(compare(signatures, signatures, permutations=9)),
        info_page({"model": name, "categories": {name: 3}}),
    )
    for page in pages:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e]", texts(page))
        assert name.encode("unicode_escape").decode() in texts(page)


def test_experts_of_many_categories_name_the_largest_shares() -> None:
    signatures = made.signatures(40, categories=[f"kind {i}" for i in range(20)])
    report = describe_experts(signatures, permutations=9)
    table = experts_page(report).blocks[0]
    assert isinstance(table, Table)
    assert [column.name for column in table.columns] == ["layer", "expert", "load", "largest shares", "more of"]
    first = next(one for one in report.layers[0].experts if one.expert == int(table.rows[0][1]))
    most = sorted(first.categories.values(), reverse=True)[:3]
    assert [float(part.split()[-1]) for part in table.rows[0][3].split(", ")] == pytest.approx(most, abs=5e-4)


def test_a_model_without_a_name_is_called_unknown() -> None:
    signatures = made.signatures().replace(meta={})
    pages = [
        analysis_page(analyze(signatures, permutations=9, folds=2)),
        experts_page(describe_experts(signatures, permutations=9)),
    ]
    assert [page.title.startswith("unknown model: ") for page in pages] == [True, True]


def test_specifications_of_one_category_make_no_empty_table(analysis: Analysis) -> None:
    assert specification_table(replace(analysis, specifications=())) is None
