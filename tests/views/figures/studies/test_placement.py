"""The trade-off of placements draws the values of the result, and their intervals."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.studies.placement import place
from moexray.studies.placement_results import PlacementStudy
from moexray.trace import Trace
from moexray.views.figures.studies.placement import placement
from moexray.views.figures.style import figure_of

from .... import made


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> PlacementStudy:
    path = tmp_path_factory.mktemp("figure") / "t.parquet"
    signatures = made.trace(path, prompts=40)
    return place(signatures, devices=4, trace=Trace.open(path, signatures), batch=4)


def test_every_placement_is_a_mark_with_its_interval(result: PlacementStudy) -> None:
    axes = placement(result)
    marks = {one.get_label(): one for one in axes.containers if isinstance(one, ErrorbarContainer)}
    assert list(marks) == [name.replace("_", " ") for name in result.placements]
    for name, score in result.placements.items():
        drawn = marks[name.replace("_", " ")]
        line, _, (across, along) = drawn.lines
        assert np.asarray(line.get_xydata()).tolist() == [[score.balancedness.value, score.devices_touched.value]]
        below, beside = (one.ci or one.range for one in (score.balancedness, score.devices_touched))
        assert np.asarray(across.get_segments())[0][:, 0] == pytest.approx(below)
        assert np.asarray(along.get_segments())[0][:, 1] == pytest.approx(beside)
    heights = [np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()]
    assert [result.closed_form.devices_touched] * 2 in heights
    assert "Experts on 4 devices" in figure_of(axes).get_suptitle()


def test_it_can_be_drawn_into_somebodys_axes(result: PlacementStudy) -> None:
    mine = Figure().subplots()
    assert placement(result, mine) is mine


def test_loads_alone_make_no_trade_off(tmp_path: Path) -> None:
    with pytest.raises(FigureError, match="there is no trace"):
        placement(place(made.signatures(40), devices=2))
