"""Table and figure of a budget show the numbers of its result, whatever its categories are called."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from moexray.errors import FigureError
from moexray.studies.budget_result import Agreement, Budget, FullRouting, Kind, LossChange, PolicyCost
from moexray.views.figures.studies.budget import budget
from moexray.views.figures.style import figure_of
from moexray.views.tables.budget import budget_page
from moexray.views.tables.table import Table

EVIL = "co\x1b[31mde"
NAMES = ("all", EVIL, "b", "c", "d", "e")


def policy(name: str, mean_k: float, change: float | None) -> PolicyCost:
    added = LossChange(change, None if change is None else (change - 0.01, change + 0.02), 3.5)
    return PolicyCost(
        policy=name,
        keep=50.0,
        mean_k=mean_k,
        layers_k=(mean_k,),
        normalisation="native",
        rule={"rule": "FixedK"},
        loss=dict.fromkeys(NAMES, added),
        segments={"prompt": added, "generated": LossChange(None, None, None)},
        against_random=None if name == "random" else LossChange(-0.5, None, 3.5),
        agreement=Agreement(0.625, (0.5, 0.75), 0.25, None),
        distinct={"1": 4.0, "64": None},
        seconds_ratio={"1": 0.875, "8": None},
        seconds_range={"1": (0.5, 1.0), "8": None},
    )


RESULT = Budget(
    model="m\u202e",
    dtype="float32",
    device="cpu",
    experts_implementation=("eager",),
    layers=(0,),
    experts=(64,),
    top_k=(8,),
    prompts=8,
    learnt=4,
    scored=4,
    units=4,
    texts="given",
    new_tokens=8,
    tokens={"prompt": 30, "generated": 0},
    full=FullRouting(
        dict.fromkeys(NAMES, 3.4),
        {"prompt": 3.4, "generated": None},
        8.0,
        {"1": 8.0, "64": None},
        {"1": 0.5, "8": None},
    ),
    policies=(policy("k", 4.0, 0.1), policy("random", 4.2, 0.6)),
    notes={"layers": "some"},
)


def tables() -> list[Table]:
    return [block for block in budget_page(RESULT).blocks if isinstance(block, Table)]


def test_the_tables_show_the_numbers_of_the_result() -> None:
    page = budget_page(RESULT)
    assert "full routing has 8 experts a token and 3.400 nats a token" in page.title
    cost, categories, more, segments, greedy, distinct, times = tables()
    assert cost.rows[0] == ("50 %", "k", "4.00", "+0.100", "[+0.090, +0.120]", "-0.500", "")
    assert cost.rows[1][5:] == ("", "")
    assert [column.name for column in categories.columns[3:]] == ["b", "c", "d"]
    assert categories.rows[0][2] == "+0.100 ±0.020"
    assert [column.name for column in more.columns[2:]] == ["e"]
    assert [column.name for column in segments.columns[2:]] == ["prompt"]
    assert greedy.rows[0][2:] == ("62.5 %", "[0.50, 0.75]", "25.0 %", "–")
    assert distinct.rows[0] == ("100 %", "full", "8.0")
    assert distinct.rows[1][2:] == ("4.0",)
    assert times.rows[0][2:] == ("0.88 [0.50, 1.00]", "–")
    assert page.blocks[-1] == "note: layers: some"


def test_control_characters_become_visible() -> None:
    shown = [budget_page(RESULT).title, *(column.name for table in tables() for column in table.columns)]
    assert not any("\x1b" in text or "\u202e" in text for text in shown)


def test_the_figure_draws_each_policy_with_its_interval() -> None:
    axes = budget(RESULT)
    lines = axes.get_lines()
    assert np.asarray(lines[0].get_xdata()).tolist() == [4.0]
    assert np.asarray(lines[0].get_ydata()).tolist() == [0.1]
    intervals = [line.get_ydata() for line in lines if np.asarray(line.get_xdata()).tolist() == [4.0, 4.0]]
    assert intervals == [pytest.approx([0.09, 0.12])]
    assert axes.get_yscale() == "log"
    assert axes.yaxis.get_major_formatter()(0.01) == "0.01"
    assert "4 prompts" in figure_of(axes).get_suptitle()
    mine = Figure().subplots()
    assert budget(RESULT, mine) is mine


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(FigureError, match="no policy adds to the loss"):
        budget(replace(RESULT, policies=(policy("k", 4.0, 0.0), policy("random", 4.0, None))))


def by_kind() -> Budget:
    kinds = {"text": Kind(30, 8.0), "image": Kind(1200, 8.0)}
    kept = {"image": 25.0, "text": 100.0}
    own = replace(
        policy("k", 2.15, 0.2),
        keep=26.8,
        keep_kinds=kept,
        kinds={"text": Kind(30, 8.0), "image": Kind(1200, 2.0)},
        against_even=LossChange(-0.125, (-0.25, 0.0), 3.5),
    )
    even = replace(policy("k", 2.2, 0.3), keep=26.8, kinds={"text": Kind(30, 2.2), "image": Kind(1200, 2.2)})
    return replace(RESULT, full=replace(RESULT.full, kinds=kinds), policies=(own, even))


def test_kinds_have_a_table_of_their_experts() -> None:
    page = budget_page(by_kind())
    kinds = next(block for block in page.blocks if isinstance(block, Table) and "by kind" in (block.title or ""))
    assert kinds.title == "experts by kind of token (30 text, 1,200 image tokens)"
    assert kinds.rows[0] == ("100 %", "full", "8.00", "8.00", "", "")
    assert kinds.rows[1] == ("25/100 %", "k", "8.00", "2.00", "-0.125", "[-0.250, +0.000]")
    assert kinds.rows[2] == ("26.8 %", "k", "2.20", "2.20", "", "")
    assert any("image 25 %, text 100 % of the experts: least loss by k" in line for line in by_kind().headline())


def test_the_figure_shows_shares_by_kind_as_hollow_points() -> None:
    axes = budget(by_kind())
    lines = axes.get_lines()
    (hollow,) = [line for line in lines if line.get_markerfacecolor() == "none"]
    (filled,) = [line for line in lines if line.get_label() == "k"]
    assert np.asarray(hollow.get_xdata()).tolist() == [2.15]
    assert hollow.get_linestyle() == "None"
    assert hollow.get_color() == filled.get_color()
    assert any("hollow" in text.get_text() for text in axes.texts)
