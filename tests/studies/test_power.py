"""A power analysis says what is needed, how sure that is, and what the pilot does not show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats import location_test
from moexray.studies.power import power_of_effect, power_of_pilot
from moexray.studies.power_result import Power

from .. import made


def fast(of: Signatures, **options: Any) -> Power:
    return power_of_pilot(of, **{"studies": 30, "most": 10, **options})


def test_a_pilot_with_a_large_difference_needs_few_prompts_and_says_so_at_both_ends() -> None:
    found = fast(made.signatures(24, effect=1.0))
    assert found.varied == "prompts"
    assert found.pilot.p_value < 0.05
    assert 0 < found.pilot.ci[0] < found.pilot.squared_distance < found.pilot.ci[1]
    assert found.needed.number is not None
    assert found.needed_if.larger.number <= found.needed.number
    assert found.needed_if.smaller.number is None or found.needed_if.smaller.number >= found.needed.number
    assert (found.groups, found.prompts, found.tokens) == (None, None, found.pilot.tokens)


def test_a_pilot_without_a_difference_says_that_none_is_shown_and_no_number_is_enough() -> None:
    found = fast(made.signatures(24, effect=0.0, seed=3))
    assert found.pilot.ci[0] <= 0
    assert "does not show a difference" in found.notes["pilot"]
    assert found.needed_if.smaller.number is None
    assert found.needed_if.smaller.least is None


def test_groups_are_varied_where_there_are_some_and_held_where_prompts_are() -> None:
    of = made.signatures(48, groups=[f"g{i // 4}{i % 2}" for i in range(48)])
    by_groups = fast(of)
    assert (by_groups.varied, by_groups.prompts, by_groups.groups) == ("groups", 2, None)
    assert by_groups.curve[0].prompts == 3 * 2 * 2
    by_prompts = fast(of, vary="prompts", groups=5)
    assert (by_prompts.groups, by_prompts.prompts) == (5, None)
    assert by_prompts.curve[0].number == 1
    assert by_prompts.curve[0].prompts == 5 * 2


def test_tokens_are_varied_at_the_prompts_of_the_pilot() -> None:
    found = fast(made.signatures(24, effect=0.3), vary="tokens")
    assert found.prompts == 12
    assert {one.prompts for one in found.curve} == {24}
    assert found.curve[0].number == 4


def test_the_file_comes_back_and_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    found, again = (power_of_effect(0.5, categories=3, studies=20, most=7, seed=2) for _ in range(2))
    assert found.to_json() == again.to_json()
    found.save(tmp_path / "power.json")
    assert Power.load(tmp_path / "power.json") == found
    assert found.effect == 0.5
    assert found.pilot is None


@pytest.mark.slow
def test_a_smaller_effect_needs_more_prompts() -> None:
    few, many = (power_of_effect(d, studies=40, most=40).needed.number for d in (0.8, 0.2))
    assert few < many


def test_steps_name_what_is_simulated() -> None:
    steps: list[str] = []
    power_of_effect(1.0, studies=10, most=4, on_step=steps.append)
    assert steps == ["looking for the distance of means", "3 prompts", "4 prompts"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": "groups"}, "`vary` needs groups"),
        ({"groups": 4}, "`groups` needs groups"),
        ({"target": 1.0}, "`target` is 1"),
        ({"studies": 0}, "`studies` is 0"),
        ({"vary": "tokens", "prompts": 2}, "`prompts` must be at least 3"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        power_of_pilot(made.signatures(8), **options)  # type: ignore[arg-type]


def test_a_pilot_of_one_category_is_refused() -> None:
    with pytest.raises(AnalysisError, match="the pilot says nothing of power: there is one category only"):
        power_of_pilot(made.signatures(8, categories=("a",)))
    with pytest.raises(AnalysisError, match="from 2 to 24 categories"):
        power_of_effect(0.3, categories=1)
    assert np.isfinite(power_of_effect(0.0, studies=10, most=3).curve[0].power)


def test_the_interval_of_crossed_groups_has_their_number_less_one_degrees_of_freedom() -> None:
    groups = [str(i // 3 % 4) for i in range(36)]
    pilot = made.signatures(36, categories="abc", effect=0.3, groups=groups)
    found = power_of_pilot(pilot, studies=4, most=4).pilot
    assert found is not None
    vectors = pilot.vectors("all").reshape(36, 3, -1)
    error = location_test(vectors, pilot.prompts.categories, groups=groups, permutations=9, rng=0).error
    assert found.ci[1] - found.ci[0] == pytest.approx(2 * student.ppf(0.975, 3) * error)
