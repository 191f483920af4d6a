"""Every study is a page of a report: its lines and cells are those of its own page, and no text is markup."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from moexray.errors import AnalysisError, MoexrayError
from moexray.formats import visible
from moexray.studies.experts import describe_experts
from moexray.studies.results import Result
from moexray.views.report.alone import REMARK, report_alone
from moexray.views.report.sections import SECTIONS
from moexray.views.report.studies import Given, read_studies, study_pages
from moexray.views.report.tables import MOST_ROWS, still_table
from moexray.views.studies import STUDIES, page_of
from moexray.views.tables.table import Column, Table

from ... import made
from .conftest import HOSTILE, Opened


class Sections(HTMLParser):
    """The text of the paragraphs of each section of a page, and the cells of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {"": []}
        self.texts: dict[str, list[str]] = {"": []}
        self.tags: set[str] = set()
        self._section, self._into = "", list[str]()
        self._reads = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        if tag == "section":
            self._section = named.get("id") or named.get("aria-labelledby") or ""
            self.tables[self._section], self.texts[self._section] = [], []
        elif tag == "table":
            self.tables[self._section].append([])
        elif tag == "tr":
            self.tables[self._section][-1].append([])
        elif tag in ("td", "th"):
            self._reads = True
            self.tables[self._section][-1][-1].append("")
            self._into = self.tables[self._section][-1][-1]
        elif tag in ("p", "h3", "caption"):
            self._reads = True
            self.texts[self._section].append("")
            self._into = self.texts[self._section]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "p", "h3", "caption"):
            self._reads = False

    def handle_data(self, data: str) -> None:
        if self._reads:
            self._into[-1] += data


@pytest.fixture(scope="session")
def html(given: list[Given], hostile: Opened) -> str:
    """Return a page of an analysis alone with every study."""
    return report_alone(hostile.analysis, studies=given).html


@pytest.fixture(scope="session")
def sections(html: str) -> Sections:
    return Sections(html)


def test_there_is_a_page_of_every_study(given: list[Given], html: str) -> None:
    assert [one.command for one in given] == list(STUDIES)
    there = re.findall(r'<section class="view study" id="study-(\w+)"', html)
    assert there == list(STUDIES)
    nav = re.findall(r'<li><a href="#study-(\w+)"', html)
    assert nav == there


@pytest.mark.parametrize("command", STUDIES)
def test_lines_and_cells_are_those_of_the_results_own_page(
    command: str, given: list[Given], sections: Sections
) -> None:
    result = next(one.result for one in given if one.command == command)
    own = page_of(command, result)
    tables = [one for one in own.blocks if isinstance(one, Table)]
    found = sections.tables[f"study-{command}"]
    assert len(tables) == len(found) > 0
    for table, rows in zip(tables, found, strict=True):
        names = [[column.name for column in table.columns]] if table.headed else []
        assert rows == [*names, *map(list, table.rows)]
    texts = sections.texts[f"study-{command}"]
    for text in (own.title, *(one for one in own.blocks if isinstance(one, str) and one)):
        assert text in texts
    for text in (STUDIES[command].reading, STUDIES[command].limits, *(one.title for one in tables if one.title)):
        assert text in texts


def test_the_numbers_that_are_saved_are_those_of_the_result(given: list[Given], html: str) -> None:
    """Not rounded: what `to_frame` has; of an analysis its layers."""
    blocks = dict(re.findall(r'id="block-study-(\w+)-numbers">([^<]*)<', html))
    for one in given:
        rows = one.result.rows("layers" if one.command == "analyze" else None)
        assert (one.command in blocks) == bool(rows)
        if rows:
            values = json.loads(gzip.decompress(base64.b64decode(blocks[one.command])))
            assert len(values["rows"]) == len(rows)
            for row, saved in zip(rows, values["rows"], strict=True):
                for name, value in zip(values["names"], saved, strict=True):
                    own = {visible(key): cell for key, cell in row.items()}.get(name)
                    assert value == (own if own is None or type(own) in (int, float) else visible(str(own)))


def test_texts_of_results_are_no_markup(html: str, sections: Sections) -> None:
    assert sections.tags <= {
        *("html", "head", "meta", "title", "style", "body", "a", "header", "p", "h1", "h2", "h3", "bdi", "nav", "ul"),
        *("li", "main", "section", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details"),
        *("summary", "figure", "code", "span", "footer", "script", "svg", "g", "defs", "path", "use", "text", "tspan"),
        *("clippath", "rect", "image", "lineargradient"),
    }
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    texts = "\n".join(one for some in sections.texts.values() for one in some)
    for text in (HOSTILE[0], HOSTILE[2]):
        assert visible(text) in texts


def test_the_same_results_give_the_same_bytes(given: list[Given], hostile: Opened, html: str) -> None:
    some = [one for one in given[::-1] if one.command in ("experts", "kinds")]
    pages = study_pages(some, file="signatures.npz", fingerprint=hostile.analysis.signatures.fingerprint)
    assert [page.name for page in pages] == ["study-experts", "study-kinds"]  # in whatever order they are given
    for page in pages:
        assert page.picture is None or page.picture in html
        assert page.numbers is not None
        assert page.numbers.text in html


def test_an_analysis_alone_has_its_figures_and_says_what_needs_signatures(html: str, hostile: Opened) -> None:
    assert REMARK in html
    for name in ("layers", "map", "load"):
        assert re.search(rf'<section class="view" id="{name}".*?<svg ', html, re.DOTALL)
    for name in ("similarity", "categories", "prompt"):
        assert f'id="{name}"' not in html
    (facts,) = re.findall(r'id="facts">(.*?)</script>', html)
    assert json.loads(facts)["alone"]
    assert not any(one.live_reading in html for one in SECTIONS if one.live_reading)  # of views, which it has not
    assert hostile.analysis.signatures.fingerprint in html


def test_a_page_of_which_nothing_can_be_left_out_is_refused_where_it_is_too_large(plain: Opened) -> None:
    with pytest.raises(MoexrayError, match=r"the report takes 0\.\d MB, all of it figures and tables: give --max-size"):
        report_alone(plain.analysis, most_bytes=1000)


def test_a_long_table_shows_its_first_rows_and_says_so() -> None:
    table = Table("", [Column("n", numeric=True), "text"], [(str(i), "x" * 50) for i in range(1024)])
    found = still_table(table, "name", "label")
    assert found.rows == table.rows[:MOST_ROWS]
    assert found.remark == "The first 200 of 1,024 rows are shown; the table that is saved has all."
    assert found.block is not None
    assert found.block.form == {"type": "json", "later": True}
    assert json.loads(gzip.decompress(base64.b64decode(found.block.text))) == [list(row) for row in table.rows]
    wide = still_table(Table("", [str(i) for i in range(200)], [["1"] * 200] * 50), "name", "label")
    assert len(wide.rows) == 20
    for most in (1024, 2000):
        assert still_table(table, "name", "label", most=most).block is None
    assert (found.texts, wide.texts) == ({1}, set())  # which need room to be read


def test_numbers_that_would_take_too_much_room_are_left_out(
    given: list[Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moexray.views.report.studies.MOST_NUMBERS", 10)
    experts = [one for one in given if one.command == "experts"]
    (page,) = study_pages(experts, file="s.npz", fingerprint=None)
    assert page.numbers is None
    assert page.remarks[0].startswith(
        "The numbers that are not rounded, 24 rows, would take 0.0 MB, and are left out: "
    )


def test_a_study_without_a_figure_says_why(given: list[Given]) -> None:
    (pooled,) = (one for one in given if one.command == "pool")
    result: Any = pooled.result
    captures = tuple(replace(one, cohens_d=None) for one in result.captures)
    bare = replace(result, captures=captures, effect=None, notes={"effect": "too few prompts"})
    (page,) = study_pages([replace(pooled, result=bare)], file="s.npz", fingerprint=None)
    assert page.picture is None
    assert page.remarks == ("No figure of captures: too few prompts.",)


@pytest.fixture(scope="session")
def described() -> Result:
    """Return a report on experts of made-up signatures."""
    return describe_experts(made.signatures(12), permutations=9)


def read(
    *results: Result,
    folder: Path,
    fingerprint: str | None = None,
    model: str | None = None,
    weights: str | None = None,
) -> list[Given]:
    for place, one in enumerate(results):
        one.save(folder / f"{place}.json")
    paths = [folder / f"{place}.json" for place in range(len(results))]
    own = fingerprint or made.signatures(12).fingerprint
    return read_studies(paths, fingerprint=own, model=model, weights=weights)


def test_a_result_of_other_signatures_or_another_model_is_refused_by_name(
    given: list[Given], described: Result, tmp_path: Path
) -> None:
    of = {one.command: one.result for one in given}
    assert [one.command for one in read(described, folder=tmp_path)] == ["experts"]
    with pytest.raises(AnalysisError, match=r"0\.json is of other signatures: make it anew from these with `moexray"):
        read(described, folder=tmp_path, fingerprint="other")
    with pytest.raises(AnalysisError, match=r"0\.json is of other signatures: .*`moexray compare --json`"):
        read(of["compare"], folder=tmp_path)
    for fingerprint in of["compare"].studied():
        assert read(of["compare"], folder=tmp_path, fingerprint=fingerprint)
    assert read(of["ablate"], folder=tmp_path, model="made")
    with pytest.raises(AnalysisError, match="is of the model made, the signatures of another: run it on the same"):
        read(of["ablate"], folder=tmp_path, model="another")
    ablation: Any = replace(of["ablate"], fingerprint="a")  # type: ignore[type-var]
    with pytest.raises(AnalysisError, match="is of other weights of made than the signatures: run it on the same"):
        read(ablation, folder=tmp_path, model="made", weights="b")
    for weights in (None, "a"):
        assert read(ablation, folder=tmp_path, model="made", weights=weights)
    with pytest.raises(AnalysisError, match="does not say which signatures or which model it is of"):
        read(replace(of["compare"], fingerprints=None), folder=tmp_path)  # type: ignore[type-var]


def test_the_power_of_a_pilot_is_of_its_signatures(given: list[Given], tmp_path: Path) -> None:
    (power,) = (one.result for one in given if one.command == "power")
    assert read(power, folder=tmp_path, fingerprint=power.studied()[0])
    with pytest.raises(AnalysisError, match=r"0\.json is of other signatures"):
        read(power, folder=tmp_path, fingerprint="other")


def test_claims_of_two_studies_are_two_pages(given: list[Given], tmp_path: Path) -> None:
    (first,) = (one.result for one in given if one.command == "claims")
    second: Any = replace(first, study=replace(first.study, source="elsewhere"))  # type: ignore[attr-defined,type-var]
    own = first.studied()[0]
    assert len(read(first, second, folder=tmp_path, fingerprint=own)) == 2
    with pytest.raises(AnalysisError, match=r"1\.json is a second result of `moexray claims`"):
        read(first, first, folder=tmp_path, fingerprint=own)


def test_power_to_find_what_was_stated_is_of_no_signatures(given: list[Given], tmp_path: Path) -> None:
    (power,) = (one.result for one in given if one.command == "power")
    stated: Any = replace(power, pilot=None, fingerprint=None, effect=0.5)  # type: ignore[type-var]
    (found,) = study_pages(read(stated, folder=tmp_path), file="s.npz", fingerprint=None)
    assert found.command == "moexray power --effect 0.5 --categories 2 --studies 10 --json"


def test_two_of_one_kind_differ_in_settings_which_their_titles_say(described: Result, tmp_path: Path) -> None:
    seeded: Any = replace(described, seed=3)  # type: ignore[type-var]
    pages = study_pages(read(described, seeded, folder=tmp_path), file="s.npz", fingerprint=None)
    assert [one.name for one in pages] == ["study-experts-1", "study-experts-2"]
    title = STUDIES["experts"].title
    assert [one.title for one in pages] == [f"{title}: seed 0", f"{title}: seed 3"]
    with pytest.raises(
        AnalysisError, match=r"1\.json is a second result of `moexray experts` with the settings of .*0"
    ):
        read(described, described, folder=tmp_path)


def test_several_comparisons_are_told_apart(given: list[Given], tmp_path: Path) -> None:
    (first,) = (one.result for one in given if one.command == "compare")
    own, other = first.studied()
    second: Any = replace(first, fingerprints=(own, "x" * 64))  # type: ignore[type-var]
    pages = study_pages(read(first, second, folder=tmp_path, fingerprint=own), file="s.npz", fingerprint=own)
    assert [one.title for one in pages] == ["Two captures: 0.json", "Two captures: 1.json"]
    assert pages[0].command == "moexray compare s.npz OTHER.npz --permutations 19 --json"
    (page,) = study_pages([Given("compare", first, Path("a"))], file="s.npz", fingerprint=other)
    assert page.command.startswith("moexray compare OTHER.npz s.npz ")
