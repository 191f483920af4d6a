"""Leading experts are those that an explicit count puts first."""

from collections import Counter

import numpy as np
import pytest

from moexray.stats.experts.leading import leading_experts


@pytest.mark.parametrize("seed", range(5))
def test_leading_experts_are_the_first_of_an_explicit_count_and_of_equals_the_lower_number(seed: int) -> None:
    experts = np.random.default_rng(seed).integers(-1, 12, size=(20, 3)).astype(np.int16)
    counted = Counter(one for row in experts.tolist() for one in row if one >= 0)
    expected = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:7]
    numbers, selected = leading_experts(experts, most=7)
    assert list(zip(numbers.tolist(), selected.tolist(), strict=True)) == expected


def test_where_nothing_is_selected_no_expert_leads() -> None:
    numbers, selected = leading_experts(np.full((4, 2), -1), most=7)
    assert len(numbers) == len(selected) == 0
