"""The figure of claims draws differences in units of their margin, and verdicts by mark and by word."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from moexray.claims.claim import Verdict
from moexray.views.figures.studies.claims import claims
from moexray.views.figures.style import figure_of, shown_name

from . import shapes
from .shapes import along, up


def test_differences_are_those_of_the_claims_over_their_margins() -> None:
    result = shapes.claims(3)
    axes = claims(result)
    bars = [along(line) for line in axes.get_lines() if len(along(line)) == 2]
    for one in result.claims:
        difference = one.here["difference"]
        for ends in ("ci", "equivalence_ci"):
            wanted = np.array(difference[ends]) / one.margin
            assert any(bar == pytest.approx(wanted) for bar in bars)
        assert any(along(line) == pytest.approx([difference["value"] / one.margin]) for line in axes.get_lines())


def test_verdicts_have_words_and_marks_that_are_no_two_alike() -> None:
    result = shapes.claims(5)
    axes = claims(result)
    (beside,) = axes.child_axes
    words = [label.get_text() for label in beside.get_yticklabels()]
    assert words == ["consistent", "direction only", "inconclusive", "different", "(different)"]
    marks = {
        (line.get_marker(), line.get_markerfacecolor()) for line in axes.get_lines() if line.get_marker() != "None"
    }
    assert len({marker for marker, _ in marks}) >= 3
    assert ("o", "white") in marks


def test_a_claim_of_several_values_has_a_mark_for_each() -> None:
    result = shapes.claims(4)
    several = result.claims[3]
    values = [one["difference"]["value"] / several.margin for one in several.here.values()]
    drawn = [along(line)[0] for line in claims(result).get_lines() if len(up(line)) == 1 and abs(up(line)[0] - 3) < 0.5]
    assert drawn[:-1] == pytest.approx(values), "and the last is the mark of the verdict"
    assert len(values) == 4


def test_a_value_far_beyond_the_margin_stands_at_the_end_as_an_arrow() -> None:
    result = shapes.claims(2)
    first, second = result.claims
    far = [
        replace(one, here={"difference": {"value": value, "ci": (value, value), "equivalence_ci": (value, value)}})
        for one, value in ((first, 3.0), (second, -3.0))
    ]
    axes = claims(replace(result, claims=tuple(far)))
    arrows = {line.get_marker(): along(line)[0] for line in axes.get_lines() if line.get_marker() in ("<", ">")}
    low, high = axes.get_xlim()
    assert (low, high) == (-6, 6)
    assert arrows == {">": pytest.approx(0.97 * high), "<": pytest.approx(0.97 * low)}


def test_the_margin_is_grey_and_a_claim_that_does_not_apply_has_the_mark_of_its_test() -> None:
    result = shapes.claims(5)
    axes = claims(result)
    (margin,) = axes.patches
    assert isinstance(margin, Rectangle)
    assert (margin.get_x(), margin.get_x() + margin.get_width()) == (-1, 1)
    as_if = [line.get_marker() for line in axes.get_lines() if along(line) == [1] and up(line) == [4]]
    alone = [line.get_marker() for line in axes.get_lines() if along(line) == [1] and up(line) == [3]]
    assert (result.claims[4].as_if, as_if) == (Verdict.different, alone)
    title = figure_of(axes).get_suptitle().replace("\n", " ")
    assert f"here {shown_name(shapes.MODEL)}, 80 prompts; in parentheses: of a claim that does not apply" in title


def test_a_claim_without_a_margin_has_its_verdict_alone() -> None:
    result = shapes.claims(5)
    assert result.claims[4].verdict is Verdict.not_applicable
    rows = {round(float(up(line)[0])) for line in claims(result).get_lines() if len(along(line)) == 2}
    assert 4 not in rows
