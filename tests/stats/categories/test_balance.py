"""The load-balancing nulls compare like with like: the same pairs, of prompts of the same lengths."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import hypergeom, random_table

from moexray.errors import NotComputable
from moexray.stats.categories.balance import (
    Baseline,
    MeanSimilarities,
    load_matched_baseline,
    uniform_baseline,
)
from moexray.stats.categories.token_draws import uniform_counts
from moexray.stats.inference.units import units_of

from ..recipes import selected
from ..simulations import assert_share, simulated

NULLS = pytest.mark.parametrize("null", ["uniform", "load_matched"])
# With 39 draws an observed mean beyond all of them is beyond the interval: one more draw is so in 1 of 40 cases.
FEW = 39


def baseline(null: str, counts: np.ndarray, tokens: np.ndarray, **options: object) -> Baseline:
    options = {"labels": ["a", "b"] * (len(counts) // 2), "rng": 0, **options}
    if null == "uniform":
        return uniform_baseline(counts, tokens, counts.shape[2], **options)  # type: ignore[arg-type]
    return load_matched_baseline(counts, tokens, **options)  # type: ignore[arg-type]


def cosines(counts: np.ndarray) -> np.ndarray:
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    rows = shares.reshape(len(counts), -1)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows @ rows.T)


@pytest.mark.parametrize(
    "groups",
    [
        None,
        ["s", "s", "t", "t", "", "", "u", "u"],
        ["s", "t", "u", "v", "s", "t", "u", "v"],
    ],
    ids=["independent", "nested or crossed", "crossed"],
)
def test_the_means_are_those_of_the_pairs_of_different_groups(groups: list[str] | None) -> None:
    labels = ["a", "a", "a", "a", "b", "b", "b", "c"]
    counts = uniform_counts(np.arange(3, 11), np.array([3, 2]), 7, rng=np.random.default_rng(0))
    counts[2, 1] = 0
    names = [name or str(place) for place, name in enumerate(groups or [""] * 8)]
    similarity, pairs = cosines(counts), [(i, j) for i, j in combinations(range(8), 2) if names[i] != names[j]]
    within = np.mean([similarity[i, j] for i, j in pairs if labels[i] == labels[j]])
    across = np.mean([similarity[i, j] for i, j in pairs if labels[i] != labels[j]])
    found = MeanSimilarities(units_of(labels, groups)).of(counts)
    assert found == pytest.approx([np.mean([similarity[pair] for pair in pairs]), within, across])


@NULLS
def test_the_verdicts_are_those_of_the_intervals_of_such_pairs(null: str) -> None:
    """Experts 0–3 for one category and 4–7 for the other: alike within, unlike across, under either null."""
    counts = np.zeros((8, 2, 8), dtype=int)
    counts[0::2, :, :4] = uniform_counts(np.full(4, 20), np.array([2, 2]), 4, rng=np.random.default_rng(0))
    counts[1::2, :, 4:] = uniform_counts(np.full(4, 20), np.array([2, 2]), 4, rng=np.random.default_rng(1))
    found = baseline(null, counts, np.full(8, 20))
    similarity = cosines(counts)
    own = [similarity[i::2, i::2][np.triu_indices(4, 1)] for i in (0, 1)]
    assert found.within.observed == pytest.approx(np.mean(own))
    assert found.across.observed == pytest.approx(0, abs=1e-12)
    assert found.within_above
    assert found.across_below
    assert (found.within.observed_above, found.across.observed_below) == (found.within_above, found.across_below)
    for part in (found, found.within, found.across):
        assert part.ci[0] <= part.mean <= part.ci[1]


def test_the_uniform_null_of_unequal_layers_has_the_mean_of_their_own_numbers_of_experts() -> None:
    """One token a prompt: |v|² = Σ 1/k, and two prompts' product is Σ overlap/k², of mean Σ 1/E."""
    experts, top_k = np.array([8, 5, 3]), np.array([2, 2, 1])
    counts = uniform_counts(np.ones(40, dtype=int), top_k, experts, rng=np.random.default_rng(0))
    found = uniform_baseline(counts, np.ones(40, dtype=int), experts, labels=["a", "b"] * 20, rng=0)
    for part in (found, found.within, found.across):
        assert part.mean == pytest.approx((1 / 8 + 1 / 5 + 1 / 3) / (1 / 2 + 1 / 2 + 1), abs=0.002)


def test_the_uniform_null_has_the_hypergeometric_mean() -> None:
    """One token a prompt, one layer: cosine is the overlap of two k-subsets over k, whose mean is k/E."""
    tokens = np.ones(40, dtype=int)
    counts = uniform_counts(tokens, np.array([8]), 64, rng=np.random.default_rng(0))
    found = baseline("uniform", counts, tokens)
    overlap = hypergeom(64, 8, 8)
    assert overlap.mean() / 8 == 8 / 64
    standard_error = overlap.std() / 8 / np.sqrt(399 * 40 * 39 / 2)
    assert found.mean == pytest.approx(8 / 64, abs=5 * standard_error)


def test_a_long_prompt_comes_close_to_perfect_balance() -> None:
    tokens = np.full(6, 100_000)
    counts = uniform_counts(tokens, np.array([3, 2]), 7, rng=np.random.default_rng(0))
    assert baseline("uniform", counts, tokens, draws=FEW).mean == pytest.approx(1, abs=1e-3)


@NULLS
def test_a_prompt_without_a_selection_in_a_layer_has_none_there_in_the_draws(null: str) -> None:
    """Two prompts of one token, k = 1, of which one lost its first layer: 1/√2 where the second layer agrees."""
    counts = np.array([[[0, 0], [1, 0]], [[1, 0], [0, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    found = baseline(null, counts, np.ones(4, dtype=int), labels=["a", "a", "b", "b"])
    assert np.isfinite([found.mean, *found.ci, found.within.mean, found.across.mean]).all()
    every = {0.0, 0.5, 1.0, 0.5**0.5}
    assert {round(2 * found.within.observed, 9)} <= {round(one + other, 9) for one in every for other in every}


@NULLS
@pytest.mark.parametrize("experts", [1, 3, 7])
def test_where_every_token_goes_to_every_expert_there_is_no_null(null: str, experts: int) -> None:
    """All similarities are one, so what is left of their differences is rounding."""
    tokens = np.array([18, 31, 7, 44, 25, 3])
    counts = np.tile(tokens[:, None, None], (1, 3, experts))
    with pytest.raises(NotComputable, match="leave no choice"):
        baseline(null, counts, tokens, draws=FEW)


def test_without_pairs_across_there_is_no_verdict_on_them() -> None:
    counts = uniform_counts(np.full(4, 9), np.array([2]), 6, rng=np.random.default_rng(0))
    found = baseline("load_matched", counts, np.full(4, 9), labels=["a"] * 4, draws=FEW)
    assert found.across is None
    assert not found.across_below
    assert found.within.mean == pytest.approx(found.mean)
    with pytest.raises(NotComputable, match="no two prompts are of different groups"):
        baseline("load_matched", counts, np.full(4, 9), groups=["one"] * 4, draws=FEW)


LENGTHS = {
    "4 × 20, 50 tokens": ([20, 20, 20, 20], [50, 50, 50, 50]),
    "4 × 20, 15, 30, 60 and 120 tokens": ([20, 20, 20, 20], [15, 30, 60, 120]),
    "20 of 15 tokens, 60 of 100": ([20, 60], [15, 100]),
}


@pytest.mark.slow
@simulated(5, nightly=400)
@NULLS
@pytest.mark.parametrize("design", LENGTHS)
def test_a_router_that_is_the_null_is_above_or_below_it_in_one_of_forty_studies(
    design: str, null: str, seeds: range
) -> None:
    """Balanced routing of prompts of any lengths: within is above, and across below, in 2.5 % of studies each."""
    numbers, lengths = LENGTHS[design]
    labels = [f"kind {c}" for c, number in enumerate(numbers) for _ in range(number)]
    tokens = np.repeat(lengths, numbers)
    found = []
    for seed in seeds:
        counts = uniform_counts(tokens, np.full(4, 4), 32, rng=np.random.default_rng(seed))
        one = baseline(null, counts, tokens, labels=labels, rng=seed, draws=FEW)
        found.append((one.within_above, one.across_below))
    for beyond in np.array(found).T:
        assert_share(beyond, 0.01, 0.04)


def plain_draws(chosen: np.ndarray, lengths: np.ndarray, experts: int, draws: int, seed: int) -> np.ndarray:
    """Draw mean similarities by trades of one pair of tokens at a time, without a thing of the code under test.

    Two random tokens pool the experts that one of them alone has, and share them out anew: ten trades a token before
    the first draw, three between draws.
    """
    rng = np.random.default_rng(seed)
    sets = [set(row) for row in chosen.tolist()]
    prompt, means = np.repeat(np.arange(len(lengths)), lengths), []
    for draw in range(draws):
        pairs = rng.integers(len(sets), size=((3 if draw else 10) * len(sets), 2)).tolist()
        for one, other in pairs:
            pool = list((sets[one] | sets[other]) - (sets[one] & sets[other]))
            if one == other or not pool:
                continue
            both, own = sets[one] & sets[other], len(sets[one] - sets[other])
            mixed = rng.permutation(pool).tolist()
            sets[one], sets[other] = both | set(mixed[:own]), both | set(mixed[own:])
        counts = np.zeros((len(lengths), 1, experts))
        for place, row in zip(prompt.tolist(), sets, strict=True):
            counts[place, 0, list(row)] += 1
        means.append(cosines(counts)[np.triu_indices(len(lengths), 1)].mean())
    return np.array(means)


def skewed(experts: int, k: int, concentration: float, prompts: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw tokens of one layer by unequal weights of experts: counts, and the experts of each token."""
    rng = np.random.default_rng(0)
    logits = np.log(rng.dirichlet(np.full(experts, concentration)))
    chosen = np.argsort(-(logits + rng.gumbel(size=(prompts * length, experts))), axis=1)[:, :k]
    marked = np.zeros((len(chosen), experts), dtype=int)
    np.put_along_axis(marked, chosen, 1, axis=1)
    return marked.reshape(prompts, length, experts).sum(axis=1)[:, None], chosen


@pytest.mark.parametrize(
    ("experts", "k", "concentration", "draws"),
    [
        pytest.param(8, 2, 5, 6, marks=pytest.mark.slow),
        pytest.param(4, 2, 1, 6, marks=pytest.mark.slow),
        pytest.param(64, 8, 2, 30, marks=pytest.mark.nightly),
        pytest.param(8, 6, 2, 30, marks=pytest.mark.nightly),
    ],
)
def test_the_load_matched_null_has_the_mean_and_spread_of_trades_one_by_one(
    experts: int, k: int, concentration: float, draws: int
) -> None:
    counts, chosen = skewed(experts, k, concentration, prompts=20, length=30)
    plain = plain_draws(chosen, np.full(20, 30), experts, draws, seed=1)
    found = baseline("load_matched", counts, np.full(20, 30))
    deviation = (found.ci[1] - found.ci[0]) / 3.92
    print(f"{experts}/{k}: {found.mean:.4f} ± {deviation:.4f}, one by one {plain.mean():.4f} ± {plain.std():.4f}")
    assert found.mean == pytest.approx(plain.mean(), abs=4 * deviation * (1 / draws + 1 / 199) ** 0.5)
    assert 0.3 < plain.std() / deviation < 2


def with_repeats(counts: np.ndarray, draws: int) -> np.ndarray:
    """Draw mean similarities where a token may select an expert twice: random tables of prompts by experts."""
    tables = random_table(counts[:, 0].sum(axis=1), counts[:, 0].sum(axis=0))
    above = np.triu_indices(len(counts), 1)
    drawn = tables.rvs(draws, random_state=np.random.default_rng(2)).astype(int)
    return np.array([cosines(one[:, None])[above].mean() for one in drawn])


def test_selecting_one_expert_is_as_drawing_with_repeats_and_selecting_several_is_not() -> None:
    """Distinct experts vary less from prompt to prompt, by about (1 − k/E), so that prompts are more alike."""
    counts, _ = skewed(8, 1, 2, prompts=20, length=30)
    repeats, one = with_repeats(counts, 200), baseline("load_matched", counts, np.full(20, 30))
    assert one.mean == pytest.approx(repeats.mean(), abs=4 * repeats.std() * (1 / 200 + 1 / 199) ** 0.5)
    counts, _ = skewed(8, 6, 2, prompts=20, length=30)
    several = baseline("load_matched", counts, np.full(20, 30))
    assert (1 - with_repeats(counts, 50).mean()) / (1 - several.mean) > 3


@NULLS
def test_prompts_of_their_own_routing_are_below_the_null(null: str) -> None:
    """What the nulls are for: prompts that differ are less alike than balanced routing makes them."""
    rng = np.random.default_rng(4)
    counts = selected(rng, 0.8 * rng.normal(size=(20, 2, 16)), 40, 4)
    found = baseline(null, counts, np.full(20, 40), draws=FEW)
    assert found.across_below
    assert not found.within_above


@pytest.mark.parametrize("draws", [39, 199])
def test_as_many_uniform_draws_are_made_as_asked_for_and_the_same_on_any_number_of_cores(
    draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their streams are drawn at the same time; how many at once is the machine's affair."""
    made: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(1)
        return uniform_counts(*arguments, **options)

    monkeypatch.setattr("moexray.stats.categories.balance.uniform_counts", counted)
    tokens = np.arange(4, 10)
    counts = uniform_counts(tokens, np.array([2, 2]), 6, rng=np.random.default_rng(0))
    found = []
    for cores in (1, 5):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(baseline("uniform", counts, tokens, draws=draws))
        assert len(made) == draws
        made.clear()
    assert found[0] == found[1]
