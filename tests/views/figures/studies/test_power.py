"""The power curve draws the numbers of the result."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from moexray.studies.power import power_of_effect
from moexray.studies.power_result import Power
from moexray.views.figures.studies.power import power
from moexray.views.figures.style import figure_of


@pytest.fixture(scope="module")
def result() -> Power:
    return power_of_effect(0.8, categories=3, studies=20, most=7)


def test_the_curve_and_the_needed_number_are_those_of_the_result(result: Power) -> None:
    axes = power(result)
    curve, target, needed = axes.get_lines()
    assert np.asarray(curve.get_xdata()).tolist() == [one.number for one in result.curve]
    assert np.asarray(curve.get_ydata()).tolist() == [one.power for one in result.curve]
    assert set(np.asarray(target.get_ydata())) == {result.target}
    assert np.asarray(needed.get_xdata()).tolist() == [result.needed.number] * 2
    assert "Cohen's d = 0.80, 3 categories" in figure_of(axes).get_suptitle()
    assert axes.get_xlabel() == "prompts of a category"


def test_it_can_be_drawn_into_somebodys_axes(result: Power) -> None:
    mine = Figure().subplots()
    assert power(result, mine) is mine
    assert "Power by number of prompts" in mine.get_title(loc="left")
