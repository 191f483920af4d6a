"""The figure of several captures draws each effect, their mean, and the interval of one more."""

from dataclasses import replace

import pytest

from moexray.errors import FigureError
from moexray.views.figures.studies.pool import pool

from . import shapes
from .shapes import along


def test_effects_and_intervals_are_those_of_the_result() -> None:
    result = shapes.pool(3)
    assert result.effect is not None
    axes = pool(result)
    marks = [along(line) for line in axes.get_lines() if line.get_marker() in ("o", "D")]
    assert marks == [[one.cohens_d] for one in result.captures] + [[result.effect.mean]]
    bars = [along(line) for line in axes.get_lines() if len(along(line)) == 2]
    for ends in (*(one.ci for one in result.captures), result.effect.ci, result.effect.new_capture_ci):
        assert list(ends or ()) in bars
    assert [label.get_text() for label in axes.get_yticklabels()][-2:] == ["mean (SD between 0.25)", "one more capture"]


def test_captures_without_an_effect_are_refused_with_the_reason() -> None:
    bare = shapes.pool(2, effect=False)
    captures = tuple(replace(one, cohens_d=None) for one in bare.captures)
    with pytest.raises(FigureError, match="too few prompts"):
        pool(replace(bare, captures=captures, notes={"effect": "too few prompts"}))
