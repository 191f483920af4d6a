"""The figure of a budget hides neither intervals that hold 0 nor policies that add nothing."""

from dataclasses import replace

from moexray.views import figures

from .shapes import along, budget, up


def test_an_interval_that_holds_zero_reaches_the_axis_and_what_adds_nothing_is_counted() -> None:
    result = budget(4, 3)
    first, second, *others = result.policies
    wide = replace(first, loss={"all": replace(first.loss["all"], mean=0.1, ci=(-0.2, 0.4))})
    none = replace(second, loss={"all": replace(second.loss["all"], mean=-0.1, ci=(-0.2, 0.1))})
    axes = figures.budget(replace(result, policies=(wide, none, *others)))
    bottom = axes.get_ylim()[0]
    assert bottom > 0
    bars = [(along(line), up(line)) for line in axes.lines]
    assert ([wide.mean_k] * 2, [bottom, 0.4]) in bars
    assert not any(line_up and line_up[-1] == 0.1 and where == [none.mean_k] * 2 for where, line_up in bars)
    notes = "".join(text.get_text() for text in axes.texts).replace("\n", " ")
    assert notes.startswith("not drawn: 1 that adds no loss; ")
