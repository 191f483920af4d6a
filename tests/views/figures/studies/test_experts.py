"""The figure of experts draws their shares of categories, marks what was found, and says what was not tested."""

import numpy as np
import pytest

from moexray.views.figures.studies.experts import experts

from . import shapes
from .shapes import along, up


def test_rows_are_the_experts_that_differ_most_and_marks_what_they_get_more_and_less_of() -> None:
    result = shapes.experts(2, 6, 3)
    axes = experts(result)
    places = {(layer.layer, one.expert): one for layer in result.layers for one in layer.experts}
    names = [label.get_text() for label in axes.get_yticklabels()]
    ticks = [along(line) for line in axes.get_lines() if line.get_marker() == "|"]
    extents = []
    for name, drawn in zip(names, ticks, strict=True):
        layer, _, expert = name.removeprefix("layer ").partition(", expert ")
        one = places[int(layer), int(expert)]
        assert drawn == list(one.categories.values())
        extents.append(max((abs(special.difference) for special in one.special or ()), default=0))
        row = names.index(name)
        marks = {
            float(along(line)[0]): line.get_markerfacecolor() != "white"
            for line in axes.get_lines()
            if line.get_marker() not in ("|", "None") and up(line) == [row]
        }
        assert marks == {one.categories[found.category]: found.difference > 0 for found in one.special or ()}
    assert extents == sorted(extents, reverse=True)
    even = [along(line)[0] for line in axes.get_lines() if len(along(line)) == 2 and line.get_color() == "0.35"]
    name = result.categories[0]
    assert max(even) == pytest.approx(
        max(np.mean([one.categories[name] for one in layer.experts]) for layer in result.layers)
    )


def test_what_was_not_tested_is_said_and_one_expert_has_no_even_load() -> None:
    untested = experts(shapes.experts(1, 8, 2, tested=False))
    assert "not tested" in untested.texts[0].get_text()
    assert "even load" not in experts(shapes.experts(1, 1, 2)).texts[0].get_text()
