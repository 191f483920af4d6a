"""A token that is seen often is believed, one that is never seen elsewhere is expected where everything goes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from moexray.stats.shrinkage import dirichlet_strength, shrunk_routing
from moexray.stats.token_sums import selections, token_rows


@pytest.mark.parametrize("strength", [0.5, 8.0, 200.0])
def test_a_planted_strength_is_recovered(strength: float) -> None:
    rng = np.random.default_rng(0)
    load = rng.dirichlet(np.ones(16))
    counts = np.array([rng.multinomial(rng.integers(1, 400), rng.dirichlet(strength * load)) for _ in range(2000)])
    assert dirichlet_strength(counts.astype(np.float64), load) == pytest.approx(strength, rel=0.1)


def test_an_expert_that_is_never_selected_changes_nothing() -> None:
    counts = np.array([[5.0, 1, 0], [0, 3, 0], [2, 2, 0]])
    load = counts.sum(axis=0) / counts.sum()
    assert dirichlet_strength(counts, load) == pytest.approx(dirichlet_strength(counts[:, :2], load[:2]))


def test_what_is_expected_lies_between_the_ids_own_routing_and_the_load(planted: Callable[..., Any]) -> None:
    drawn = planted(0, token=1, layers=1)
    rows, alone = token_rows(drawn.token_ids, drawn.prompts), np.arange(40)
    counts = selections(rows, drawn.experts[:, 0], 16)
    load = counts.sum(axis=0) / counts.sum()
    strength = dirichlet_strength(rows.by_id(counts), load)
    found = shrunk_routing(rows, counts, blocks=alone)
    assert found.sum(axis=1) == pytest.approx(1)
    shares = []
    for token in np.flatnonzero(drawn.prompts == 3):
        others = (drawn.token_ids == drawn.token_ids[token]) & (drawn.prompts != 3)
        seen = np.bincount(drawn.experts[others, 0].ravel(), minlength=16)
        shares.append((seen + strength * load) / (seen.sum() + strength))
    assert found[3] == pytest.approx(np.mean(shares, axis=0))
