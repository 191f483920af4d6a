"""Pages of studies in a real browser: sorted, unfolded and saved, by mouse and by keys."""

import csv
import io
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from moexray.studies.analysis import Analysis
from moexray.studies.experts import describe_experts
from moexray.studies.results import rows_of
from moexray.views.report.alone import report_alone
from moexray.views.report.report import report
from moexray.views.report.studies import Given
from moexray.views.studies import page_of
from moexray.views.tables.table import Table

from ... import made
from .browsing import AXE, SERIOUS, Seen, missing
from .conftest import Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def studied(given: list[Given], plain: Opened) -> Opened:
    """Return a page with a study of every kind, of which the table of one is too long to be shown."""
    wide = describe_experts(made.signatures(12, experts=256, layers=(0,)), permutations=9)
    studies = [replace(one, result=wide) if one.command == "experts" else one for one in given]
    return replace(plain, report=report(plain.analysis, plain.signatures, studies=studies))


def rows(seen: Seen, selector: str) -> list[list[str]]:
    """Return the cells of the CSV that a button saves."""
    return list(csv.reader(io.StringIO(seen.saved(selector).decode())))


def test_tables_and_numbers_are_saved(see: Any, studied: Opened, given: list[Given]) -> None:
    seen = see(studied)
    (analysis,) = (one.result for one in given if isinstance(one.result, Analysis))
    table = next(one for one in page_of("analyze", analysis).blocks if isinstance(one, Table))
    shown = rows(seen, "#study-analyze button:text-is('Save table (CSV)') >> nth=0")
    # What a spreadsheet would take for a formula, as a text that starts with +, has an apostrophe before it.
    assert [[cell.removeprefix("'") for cell in row] for row in shown] == [
        [cell.replace("\n", " ") for cell in row] for row in table.rows
    ]
    names, *numbers = rows(seen, "#study-analyze button:text-is('Save numbers (CSV)')")
    for row, own in zip(numbers, rows_of(analysis.layers), strict=True):
        assert [float(cell) if cell else None for cell in row] == [own[name] for name in names]


def test_a_figure_is_saved_as_a_picture_that_stands_alone(see: Any, studied: Opened) -> None:
    seen = see(studied)
    text = seen.picture("study-cache")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in text
    assert seen.saved("#study-cache button:text-is('Save PNG')").startswith(b"\x89PNG")


def test_a_long_table_is_unfolded_saved_whole_and_sorted(see: Any, studied: Opened) -> None:
    seen = see(studied)
    lines = seen.page.locator("#study-experts-table-1 tbody tr")
    assert lines.count() == 200
    whole = rows(seen, "#study-experts button:text-is('Save table (CSV)')")
    assert len(whole) == 257
    assert seen.page.locator("#study-experts-table-1 .sort").count() == 0  # a part is not sorted
    seen.press("#study-experts button:text-is('Show all 256 rows')", "Enter")
    lines.nth(255).wait_for()
    assert seen.page.locator("#study-experts p.part").count() == 0
    names = ["layer", "expert", "load"]
    seen.press("#study-experts-table-1 th:nth-child(2) .sort", "Enter")
    assert seen.page.locator("#study-experts-table-1 [aria-sort=ascending]").inner_text().startswith("expert")
    assert [one.split("\t")[1] for one in lines.all_inner_texts()] == [str(place) for place in range(256)]
    seen.page.keyboard.press("Enter")
    assert [one.split("\t")[1] for one in lines.all_inner_texts()] == [str(place) for place in range(256)][::-1]
    again = rows(seen, "#study-experts button:text-is('Save table (CSV)')")
    assert again[0] == whole[0]
    assert again[0][:3] == names
    assert sorted(again) == sorted(whole)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_studies_fit_and_have_no_serious_fault_of_access(see: Any, studied: Opened, width: int, scheme: str) -> None:
    if not AXE.is_file():
        missing(f"there is no {AXE}: npm ci in frontend/ installs it")
    seen = see(studied, viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") == width
    seen.page.evaluate(AXE.read_text(encoding="utf-8"))
    assert seen.page.evaluate(SERIOUS) == []


def test_an_analysis_alone_is_still_but_its_tables_and_figures_are_saved(see: Any, plain: Opened) -> None:
    seen = see(replace(plain, report=report_alone(plain.analysis)))
    assert seen.page.locator(".choice").count() == 0
    assert seen.page.locator("#layers .drawing").is_visible()
    seen.page.get_by_text("Layer by layer").click()
    names, *cells = rows(seen, "details[open] button:text-is('Save table (CSV)')")
    assert [row[0] for row in cells] == [str(one.layer) for one in plain.analysis.layers]
    assert names[0] == "layer"
