"""The tables of placements show the values of the result."""

import pytest

from moexray.formats import MISSING
from moexray.studies.placement import place
from moexray.studies.placement_results import PlacementStudy
from moexray.trace import Trace
from moexray.views.tables.placement import loads_table, placement_page, traffic_table
from moexray.views.tables.table import Table

from ... import made


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> PlacementStudy:
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    signatures = made.trace(path, prompts=40)
    return place(signatures, devices=4, nodes=2, trace=Trace.open(path, signatures), batch=4)


def test_rows_are_placements_and_cells_their_values(study: PlacementStudy) -> None:
    rows = {row[0]: row[1:] for row in loads_table(study).rows}
    assert list(rows) == list(study.placements)
    found = study.placements["eplb"].balancedness
    assert rows["eplb"][0] == f"{found.value:.3f}\n[{found.ci[0]:.3f}, {found.ci[1]:.3f}]"
    drawn = study.placements["random"].busiest
    assert rows["random"][2] == f"{drawn.value:.2f}\n[{drawn.range[0]:.2f}, {drawn.range[1]:.2f}]"


def test_traffic_ends_with_uniform_routing(study: PlacementStudy) -> None:
    table = traffic_table(study)
    assert [column.name for column in table.columns][2] == "nodes touched"
    assert table.rows[-1][0] == "uniform routing"
    assert table.rows[-1][1] == f"{study.closed_form.devices_touched:.3f}"


def test_drift_has_a_row_and_a_column_for_each_category(study: PlacementStudy) -> None:
    tables = [block for block in placement_page(study).blocks if isinstance(block, Table)]
    eplb, coactivation = tables[2:]
    assert [column.name for column in eplb.columns] == ["learnt on", "on kind 0", "on kind 1"]
    (found,) = (
        one.devices_touched
        for one in study.drift
        if (one.placement, one.learnt, one.scored) == ("coactivation", "kind 1", "kind 0")
    )
    assert coactivation.rows[1][1].startswith(f"{found.value:.2f}\n[")


def test_many_categories_are_shown_without_intervals() -> None:
    study = place(made.signatures(120, categories=[f"c{i}" for i in range(8)]), devices=2)
    (drift,) = [b for b in placement_page(study).blocks if isinstance(b, Table) and b.title.startswith("Drift")]
    assert all("\n" not in cell for row in drift.rows for cell in row)


def test_what_is_not_known_is_a_dash() -> None:
    study = place(made.signatures(40), devices=2)
    page = placement_page(study)
    (loads,) = [b for b in page.blocks if isinstance(b, Table) and b.title.startswith("Loads")]
    assert loads.rows[0][2:] == (MISSING, MISSING)
    assert not any(isinstance(b, Table) and b.title.startswith("Traffic") for b in page.blocks)
