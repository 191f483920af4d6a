"""The figure of claims draws differences in units of their margin, and verdicts by mark and by word."""

import numpy as np
import pytest

from moexray.claims.claim import Verdict
from moexray.views.figures.studies.claims import claims

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


def test_a_claim_without_a_margin_has_its_verdict_alone() -> None:
    result = shapes.claims(5)
    assert result.claims[4].verdict is Verdict.not_applicable
    rows = {round(float(up(line)[0])) for line in claims(result).get_lines() if len(along(line)) == 2}
    assert 4 not in rows
