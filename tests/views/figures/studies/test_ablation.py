"""The figure of an ablation draws the numbers of the result, and its page shows them."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from moexray.formats import MISSING
from moexray.studies.ablation_result import AblatedPolicy, Ablation, ActiveLoss, AtRandom, Contrast, Example, Full, Loss
from moexray.views.figures.studies.ablation import ablation
from moexray.views.tables.ablation import ablation_page
from moexray.views.tables.table import Table


def policy(name: str, added: float) -> AblatedPolicy:
    loss = Loss(added, (added - 0.1, added + 0.1), 3 + added, (2.5, 3.9))
    random = AtRandom(0.3, 0.2, 0.4, 7, added - 0.3, (added - 0.4, added - 0.2))
    losses, draws = {"all": loss, "a": loss}, {"all": random, "a": random}
    return AblatedPolicy(name, "ranking", "native", {"1": (0, 2)}, 2.0, losses, draws, 0.5, (0.4, 0.6), "text")


def made_up() -> Ablation:
    """Return an ablation of two rankings, one with a name that would turn letters around."""
    policies = (policy("coldest", 0.25), policy("hottest\u202e", 0.75))
    return Ablation(
        model="made", layers=(1,), experts=(8,), top_k=(2,), prompts=12, learnt_prompts=12, tokens=99,
        categories=("a",), scored="prompts", meaning="replaced", share=0.25, draws=10, new_tokens=8, seed=0,
        full=Full({"all": 3.0, "a": 3.0}, 2.0, "whole"), policies=policies, usage=Contrast(0.5, (0.4, 0.6)),
        example=Example("p", "words"),
    )  # fmt: skip


@pytest.fixture
def result() -> Ablation:
    return made_up()


def test_points_bars_and_intervals_are_those_of_the_result(result: Ablation) -> None:
    axes = ablation(result)
    points = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [np.asarray(one.get_xdata()).item() for one in points] == [0.25, 0.75]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0.2, pytest.approx(0.2))] * 2  # type: ignore[attr-defined]
    assert "\u202e" not in "".join(one.get_text() for one in axes.get_yticklabels())
    mine = Figure().subplots()
    assert ablation(result, mine) is mine


def test_without_policies_the_layers_are_drawn(result: Ablation) -> None:
    active = tuple(ActiveLoss(layer, 1, 0.1 * layer, None, 0.05, 0.1 * layer - 0.05, None) for layer in (1, 3))
    axes = ablation(replace(result, policies=(), active=active))
    line = axes.get_lines()[0]
    assert np.asarray(line.get_xdata()).tolist() == [1, 3]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([0.1, 0.3])
    table = next(
        one for one in ablation_page(replace(result, policies=(), active=active)).blocks if isinstance(one, Table)
    )
    assert table.rows[1] == ("3", "1", "0.300", MISSING, "0.050", "+0.250", MISSING)


def test_the_page_says_what_was_found(result: Ablation) -> None:
    page = ablation_page(result)
    tables = [one for one in page.blocks if isinstance(one, Table)]
    assert page.title == "made: 3.000 nats a token, over 99 tokens of 12 prompts"
    assert tables[0].rows[0] == ("coldest", "0.250", "[0.15, 0.35]", "0.300", "7/10", "-0.050", "[-0.15, 0.05]")
    assert any("usage predicts loss here" in one for one in page.blocks if isinstance(one, str))
    turned = replace(result, usage=Contrast(-0.5, (-0.6, -0.4)))
    assert any("cost less than the least used" in one for one in ablation_page(turned).blocks if isinstance(one, str))
    unsure = replace(result, usage=Contrast(0.1, (-0.1, 0.3)))
    assert any("is not seen to predict loss" in one for one in ablation_page(unsure).blocks if isinstance(one, str))
    unknown = replace(result, usage=Contrast(0.1, None))
    assert any("too few units to tell" in one for one in ablation_page(unknown).blocks if isinstance(one, str))
    skipped = replace(result, meaning="skipped", policies=(replace(result.policies[0], mean_k=1.5),))
    table = next(one for one in ablation_page(skipped).blocks if isinstance(one, Table))
    assert table.rows[0][-1] == "1.50"


def test_the_headline_names_what_costs_less_than_chance(result: Ablation) -> None:
    assert result.headline() == [
        "made: 3.000 nats a token over 12 prompts",
        "cost less than experts at random: none; more: hottest\u202e",
    ]
