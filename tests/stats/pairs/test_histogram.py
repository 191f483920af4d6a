"""Histograms hold every pair of prompts of different units once, in bins of round numbers."""

from itertools import combinations

import numpy as np
import pytest

from moexray.stats.categories.balance import load_matched_baseline, uniform_baseline
from moexray.stats.categories.token_draws import uniform_counts
from moexray.stats.inference.units import units_of
from moexray.stats.pairs import histogram
from moexray.stats.pairs.histogram import PairHistogram, histogram_of, pair_histograms, pair_similarities
from moexray.stats.pairs.similarity import similarity, unit_rows


def mean_of(found: PairHistogram) -> float:
    """Of the middles of the bins."""
    middles = found.start + found.width * (np.arange(len(found.pairs)) + 0.5)
    return float(np.average(middles, weights=found.pairs))


@pytest.mark.parametrize("groups", [None, [f"g{i % 9}" for i in range(40)]], ids=["alone", "groups"])
def test_the_pairs_are_those_of_an_explicit_loop(groups: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of rows that are multiplied at a time."""
    labels = [f"c{i % 3}" for i in range(40)]
    directions = unit_rows(np.random.default_rng(0).random((40, 6)))
    units = units_of(labels, groups)
    found = pair_histograms(directions, units)
    every: list[float] = []
    for part, same in ((found.within, True), (found.across, False)):
        values = [
            float(directions[i] @ directions[j])
            for i, j in combinations(range(40), 2)
            if (labels[i] == labels[j]) is same and (groups is None or groups[i] != groups[j])
        ]
        edges = part.start + part.width * np.arange(len(part.pairs) + 1)
        assert part.pairs == tuple(np.histogram(values, edges)[0].tolist())
        assert sum(part.pairs) == len(values)
        assert part.pairs[0]
        assert part.pairs[-1]
        every += values
    np.testing.assert_allclose(np.sort(pair_similarities(directions, units)), np.sort(every))
    assert found.within.width == found.across.width
    monkeypatch.setattr(histogram, "_MOST_PRODUCTS", 7 * 40)
    assert pair_histograms(directions, units) == found


def test_the_means_are_those_of_the_summaries_within_half_a_bin() -> None:
    vectors, labels = np.random.default_rng(1).random((60, 8)) + 0.5, [f"c{i % 4}" for i in range(60)]
    summary, found = similarity(vectors, labels), pair_histograms(unit_rows(vectors), units_of(labels))
    for part, of in ((found.within, summary.within), (found.across, summary.across)):
        assert sum(part.pairs) == of.pairs
        assert mean_of(part) == pytest.approx(of.mean, abs=part.width / 2)


@pytest.mark.parametrize(
    ("values", "start", "width", "bins"),
    [
        ([1.0, 1.0 + 1e-15], 0.99999, 1e-5, 1),  # nothing is above 1
        ([-1.0, 1.0], -1.0, 0.5, 4),
        ([0.3 - 1e-14, 0.3 + 1e-14, 0.4], 0.3, 0.02, 6),  # equal similarities are in one bin
    ],
)
def test_ends_and_rounding(values: list[float], start: float, width: float, bins: int) -> None:
    found = histogram_of(np.array(values))
    assert (found.start, found.width, len(found.pairs)) == (start, width, bins)
    assert sum(found.pairs) == len(values)


@pytest.mark.parametrize(
    ("number", "end", "width", "bins"),
    [
        (10, 0.7, 0.1, 8),  # 8 at least, though twice the cube root of 10 is 4
        (10, 0.8, 0.2, 5),  # of 0.1, there would be 9
        (1000, 0.38, 0.02, 20),  # twice the cube root
        (1000, 0.4, 0.05, 9),
        (10**6, 0.59, 0.01, 60),  # and 60 at most
        (10**6, 0.6, 0.02, 31),
    ],
)
def test_bins_are_as_narrow_as_their_number_allows(number: int, end: float, width: float, bins: int) -> None:
    found = histogram_of(np.linspace(0, end, number))
    assert (found.width, len(found.pairs)) == (width, bins)


def test_prompts_of_one_group_make_no_histogram() -> None:
    found = pair_histograms(unit_rows(np.ones((3, 2))), units_of(["a", "a", "b"], ["g"] * 3))
    assert (found.within, found.across) == (None, None)


@pytest.mark.parametrize("null", ["uniform", "load_matched"])
def test_the_histogram_of_a_null_has_the_mean_of_its_draws(null: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the pairs of all draws, or of one in several where these would be very many."""
    tokens = np.full(10, 30)
    counts = uniform_counts(tokens, np.array([2, 2]), 8, rng=np.random.default_rng(0))

    def drawn(*, off: float) -> PairHistogram:
        given = {"labels": ["a", "b"] * 5, "rng": 0, "draws": 39}
        found = (
            uniform_baseline(counts, tokens, 8, **given)  # type: ignore[arg-type]
            if null == "uniform"
            else load_matched_baseline(counts, tokens, **given)  # type: ignore[arg-type]
        )
        assert mean_of(found.histogram) == pytest.approx(found.mean, abs=found.histogram.width / 2 + off)
        return found.histogram

    assert sum(drawn(off=0).pairs) == 39 * 45
    monkeypatch.setattr("moexray.stats.categories.balance._PAIRS_COUNTED", 20 * 45)
    assert sum(drawn(off=0.01).pairs) == 20 * 45
