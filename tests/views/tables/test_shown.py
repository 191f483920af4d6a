"""The legend of a shown prompt has its baselines, and its lines fit a terminal whatever the model."""

from dataclasses import replace

import pytest

from moexray.studies.shown_report import LeadingExpert, ShownLayer
from moexray.views.sparkline import BLOCKS
from moexray.views.tables.shown import layer_lines, leading_table, legend_page

from ..test_prompt_tokens import shown


def of_layers(layers: int, *, others: bool = True) -> list[ShownLayer]:
    return [
        ShownLayer(i, 8 if i % 2 else 16, 2, 4, 5.0 if others else None, 6.0, 0.2 + i / 200, 0.1 if others else None)
        for i in range(layers)
    ]


@pytest.mark.parametrize("layers", [1, 2, 16, 47, 48, 49, 94, 200])
def test_every_layer_has_a_block_and_every_line_fits_80_columns(layers: int) -> None:
    found = replace(shown(["a", "b"]), layers=tuple(of_layers(layers)), layer=layers - 1)
    lines = list(layer_lines(found))
    assert max(map(len, lines[:-1])) <= 80
    for name in ("this prompt", "other prompts"):
        drawn = "".join(line.partition(name)[2].strip() for line in lines if name in line and "%" not in line)
        assert len(drawn) == layers
        assert set(drawn) <= set(BLOCKS)
    marks = [line for line in lines if line.strip() == "^"]
    assert len(marks) == 1
    row = lines[lines.index(marks[0]) - 2]
    assert len(row) == len(marks[0]) == len(lines[lines.index(marks[0]) - 1])


def test_the_highest_and_the_lowest_block_are_the_range_that_stands_there() -> None:
    found = replace(shown(["a", "b"]), layers=tuple(of_layers(21)), layer=0)
    lines = list(layer_lines(found))
    assert lines[1] == "  ▁ 10.0 %, █ 30.0 %; ^ layer 0; even load: 12.5 % to 25.0 %"
    this, others = (next(line for line in lines[2:-1] if name in line) for name in ("this prompt", "other prompts"))
    assert this.endswith("█")
    assert others.endswith("▁" * 21)


def test_without_other_prompts_their_line_is_left_out() -> None:
    found = replace(shown(["a", "b"]), layers=tuple(of_layers(3, others=False)), layer=0)
    assert not [line for line in layer_lines(found) if "other prompts" in line]


def test_the_legend_has_a_share_and_an_even_share_for_first_choices_and_for_all() -> None:
    found = replace(shown(["a", "b", "c", "d"]), top_k=2, others=1)
    rows = leading_table(found).rows
    assert rows[0] == ("0", "2 tokens", "50.0 %", "2 tokens", "50.0 %")
    assert rows[-2] == ("others", "1 token", "25.0 %", "", "")
    assert rows[-1] == ("even", "", "25.0 %", "", "50.0 %")
    assert leading_table(found).columns[0].tones == {"0": "lead1", "1": "lead2"}


def test_with_one_expert_a_token_or_no_order_there_is_one_share() -> None:
    one = leading_table(shown(["a", "b"]))
    assert [column.name for column in one.columns] == ["expert", "first choice of", "share"]
    unordered = leading_table(replace(shown(["a", "b"]), ranked=False, top_k=2))
    assert [column.name for column in unordered.columns] == ["expert", "selected by", "share"]
    assert unordered.rows[-1] == ("even", "", "50.0 %")


def test_what_tints_is_said_in_each_case() -> None:
    found = shown(["a", "b"])
    expert = replace(found, expert=LeadingExpert(1, 1, 1))
    cases = [
        (found, "by its first choice"),
        (replace(found, ranked=False), "their order is not known"),
        (replace(expert, weighted=True, greatest_weight=0.5), "in quarters of 0.500"),
        (expert, "gate weights are not recorded"),
        (replace(expert, ranked=False), "neither its gate weight nor its rank is known"),
    ]
    for one, said in cases:
        assert any(isinstance(block, str) and said in block for block in legend_page(one).blocks)
