"""The trend with depth, against scipy."""

import numpy as np
import pytest
from scipy.stats import permutation_test, rankdata, spearmanr

from moexray.errors import NotComputable
from moexray.stats.layers.depth import depth_trend

EFFECTS = [0.3, 0.1, 0.5, 0.45, 0.9, 0.4, 0.9]


def test_spearman_is_scipys_ties_included() -> None:
    found = depth_trend(range(7), EFFECTS, permutations=10, rng=0)
    assert found.spearman == pytest.approx(spearmanr(range(7), EFFECTS).statistic)


def test_p_comes_near_that_of_all_orders() -> None:
    """5,040 orders of seven layers."""
    exact = permutation_test(
        (EFFECTS,), lambda x: np.corrcoef(rankdata(x), range(7))[0, 1], permutation_type="pairings", n_resamples=10**4
    )
    null = exact.null_distribution
    p = np.mean(np.abs(null) >= abs(exact.statistic) - 1e-12)
    found = depth_trend(range(7), EFFECTS, permutations=20_000, rng=0)
    assert abs(found.p_value - p) < 4 * np.sqrt(p * (1 - p) / 20_000) + 1 / 20_001


def test_the_peak_is_named_by_the_layers_index_in_the_model() -> None:
    assert depth_trend([3, 7, 9], [0.1, 0.9, 0.2], permutations=10, rng=0).peak_layer == 7


@pytest.mark.parametrize("effects", [[0.1, 0.2], [0.1, None, 0.3], [0.5, 0.5, 0.5]])
def test_too_little_for_a_trend_is_not_computable(effects: list[float | None]) -> None:
    with pytest.raises(NotComputable):
        depth_trend(range(len(effects)), effects, permutations=10, rng=0)
