"""The tables of caches show the numbers of the result, as wide as a screen of 80 columns."""

from dataclasses import replace

import pytest

import moexray as mx
from moexray.formats import number, percent
from moexray.studies.cache_report import CacheReport
from moexray.studies.caching import study_caches
from moexray.views.tables.caching import caching_page, layer_table, load_table, needed_table, rate_table
from moexray.views.tables.table import Table


@pytest.fixture(scope="module")
def found() -> CacheReport:
    return study_caches(mx.example().trace, capacities=[8, 16, 32], expert_bytes=12_288)


def test_rates_have_half_of_their_interval_below(found: CacheReport) -> None:
    table = rate_table(found.together, "", (8, 16, 32))
    names = [column.name for column in table.columns]
    cell = table.rows[1][names.index("LRU")]
    ci = found.together.ci["lru"][1]
    assert ci is not None
    assert cell == f"{number(100 * found.together.hit_rate['lru'][1], 1)}\n±{50 * (ci[1] - ci[0]):.1f}"
    assert table.rows[1][0] == "16"
    assert table.rows[1][names.index("memory")] == "3.15 MB"


def test_loads_are_bytes_where_the_size_of_an_expert_is_known(found: CacheReport) -> None:
    assert found.together.bytes is not None
    assert found.together.bytes["belady"][2] == pytest.approx(12_288 * found.together.misses["belady"][2])
    assert load_table(found.together, "loads", (8, 16, 32)).title == "loads, in bytes"


def test_a_policy_that_never_has_the_rate_says_in_how_many_layers(found: CacheReport) -> None:
    rows = {row[0]: row for row in needed_table(found.capacity_for, 0.9).rows}
    assert rows["Belady"][1:] == ("–", "–", "–", "–", "16 of 16")
    warm = next(one for one in found.capacity_for if one.policy == "lru_continued")
    assert rows["warm LRU"][1:3] == (str(warm.experts), percent(warm.share))


def test_every_layer_has_a_row(found: CacheReport) -> None:
    rows = layer_table(found).rows
    assert [row[0] for row in rows] == [str(one.layer) for one in found.layers]
    assert rows[0][2] == percent(found.layers[0].hit_rate["lru"][1])


def test_an_interval_that_no_cache_ends_has_an_open_end(found: CacheReport) -> None:
    """The lower end of the rate's interval may never reach the wanted rate: that is no missing interval."""
    needed = [
        replace(one, layers=tuple(replace(layer, capacity=40, least=31, most=None) for layer in one.layers))
        for one in found.capacity_for
    ]
    rows = layer_table(replace(found, capacity_for=tuple(needed))).rows
    assert rows[0][5] == "40 [31, –]"


def test_a_page_fits_a_screen(found: CacheReport) -> None:
    for block in caching_page(found).blocks:
        if isinstance(block, Table):
            widths = [
                max(len(line) for cell in [(column.name.split() or [""])[-1], *cells] for line in cell.split("\n"))
                for column, *cells in zip(block.columns, *block.rows, strict=True)
            ]
            assert sum(widths) + len(widths) < 80, block.title
