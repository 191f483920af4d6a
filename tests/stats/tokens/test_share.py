"""A known share of the separation is token identity, and it is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from moexray.errors import NotComputable
from moexray.stats.tokens.expected import OtherBlocks
from moexray.stats.tokens.share import TokenShare, category_shifts, token_share
from moexray.stats.tokens.sums import selections, token_rows

from ..simulations import simulated

Drawn = Callable[..., Any]


def share(drawn: Any) -> TokenShare:
    rows = token_rows(drawn.token_ids, drawn.prompts)
    layers = [selections(rows, chosen, 16) for chosen in drawn.experts.swapaxes(0, 1)]
    return token_share(OtherBlocks(rows, np.arange(len(drawn.labels))), layers, drawn.labels)


@simulated(40, nightly=100)
@pytest.mark.parametrize("of_tokens", [0.0, 0.6, 0.8, 1.0])
def test_planted_shares_lie_in_the_interval_in_about_95_of_100_studies(
    mixed: Drawn, of_tokens: float, seeds: range
) -> None:
    held, estimates, truths = [], [], []
    for seed in seeds:
        drawn, truth = mixed(seed, of_tokens)
        found = share(drawn)
        assert found.ci is not None
        held.append(found.ci[0] <= truth <= found.ci[1])
        estimates.append(found.share)
        truths.append(truth)
    medians = [float(np.median(values)) for values in (truths, estimates)]
    print(f"share {medians[0]:.3f}: median estimate {medians[1]:.3f}, in the interval in {np.mean(held):.0%}")
    assert np.mean(held) >= 0.95 - 2.3 * np.sqrt(0.95 * 0.05 / len(seeds))
    assert np.median(estimates) == pytest.approx(np.median(truths), abs=1 / np.sqrt(len(seeds)))


def test_tokens_alone_are_all_of_it_and_the_category_alone_is_none(mixed: Drawn) -> None:
    by_token, by_category = (share(mixed(0, of_tokens, prompts=120)[0]) for of_tokens in (1.0, 0.0))
    assert abs(by_category.share) < 0.01
    assert by_token.ci is not None
    assert 0.5 < by_token.ci[0] < 1 < by_token.ci[1]
    assert by_token.by_layer == (pytest.approx(by_token.share),)


def test_shifts_are_the_least_squares_estimates_of_what_categories_add(planted: Drawn) -> None:
    """Of a regression with an own intercept for every id, written out."""
    drawn = planted(0, token=1, category=0.5, prompts=12, layers=1)
    rows, numbers = token_rows(drawn.token_ids, drawn.prompts), np.arange(12) % 4
    found = category_shifts(rows, selections(rows, drawn.experts[:, 0], 16), numbers).effects
    outcome = np.eye(16)[drawn.experts[:, 0]].sum(axis=1)
    of_token = np.unique(drawn.token_ids, return_inverse=True)[1]
    design = np.hstack([np.eye(of_token.max() + 1)[of_token], np.eye(4)[numbers[drawn.prompts]]])
    fitted = np.linalg.lstsq(design, outcome, rcond=None)[0][-4:]
    assert found - found.mean(axis=0) == pytest.approx(fitted - fitted.mean(axis=0), abs=1e-9)


def test_one_category_has_no_separation(planted: Drawn) -> None:
    drawn = planted(1, token=1)
    drawn.labels[:] = ["one"] * 40
    with pytest.raises(NotComputable, match="one category only"):
        share(drawn)
