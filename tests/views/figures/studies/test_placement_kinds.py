"""The figure of placements by kind draws the sends of its result, in the place of nothing where there are no kinds."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from moexray.errors import FigureError
from moexray.studies.placement import place
from moexray.trace import Trace
from moexray.views.figures.studies.placement import placement
from moexray.views.figures.studies.placement_kinds import placement_kinds
from moexray.views.figures.style import figure_of

from .... import made


def test_it_draws_every_placement_for_every_kind(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "t.parquet", images=True)
    study = place(signatures, devices=4, trace=Trace.open(tmp_path / "t.parquet", signatures), batch=2)
    axes = placement_kinds(study)
    marks = [
        np.asarray(one.lines[0].get_xdata()).tolist() for one in axes.containers if isinstance(one, ErrorbarContainer)
    ]
    for kind, drawn in zip(study.by_kind, marks, strict=True):
        assert drawn == [kind.placements[name].sends.value for name in study.placements]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        name.replace("_", " ") for name in study.placements
    ]
    assert np.asarray(axes.lines[-1].get_xdata())[0] == study.closed_form.sends == 0.75
    assert len(figure_of(placement(study)).axes) == 2


def test_a_study_of_one_kind_has_no_such_figure() -> None:
    study = place(made.signatures(12), devices=4)
    with pytest.raises(FigureError, match="of one kind"):
        placement_kinds(study)
