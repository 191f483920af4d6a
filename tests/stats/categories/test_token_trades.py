"""Random tables of the observed loads keep every margin, and all of them are equally likely."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chisquare

from moexray.errors import NotComputable
from moexray.stats.categories.token_draws import counts_of_selections, uniform_counts
from moexray.stats.categories.token_trades import TokenTrades, token_sizes
from moexray.stats.experts.coactivation import pair_probabilities

TOKENS, EXPERTS = np.array([4, 1, 9, 25]), np.array([8, 8, 8])


def counts_with_gaps() -> np.ndarray:
    """Three layers of k = 3, 2 and 1: the second lost selections, the third all those of the second prompt."""
    rng = np.random.default_rng(0)
    counts = uniform_counts(TOKENS, np.array([3, 2, 1]), 8, rng=rng)
    counts[:, 1] = counts_of_selections(np.array([[7], [2], [11], [50]]), TOKENS, EXPERTS[:1], rng=rng)[:, 0]
    counts[1, 2] = 0
    return counts


def marks(walk: TokenTrades) -> np.ndarray:
    """Return the tables themselves ``(layers, tokens, experts)``."""
    found = np.zeros((*walk.chosen.shape[:2], walk.experts + 1), dtype=np.int64)
    np.add.at(found, (*np.ogrid[: found.shape[0], : found.shape[1]], walk.chosen.transpose(2, 0, 1)), 1)
    return found[..., :-1]


def test_every_draw_keeps_loads_and_selections_and_gives_a_token_distinct_experts() -> None:
    counts = counts_with_gaps()
    walk = TokenTrades.of(counts, TOKENS, np.random.default_rng(1))
    different = False
    for _ in range(50):
        drawn = walk.draw()
        np.testing.assert_array_equal(drawn.sum(axis=0), counts.sum(axis=0))
        np.testing.assert_array_equal(drawn.sum(axis=2), counts.sum(axis=2))
        assert marks(walk).max() == 1
        np.testing.assert_array_equal(marks(walk).sum(axis=2), token_sizes(counts.sum(axis=2), TOKENS))
        different |= bool((drawn != counts).any())
    assert different


def test_selections_are_spread_over_tokens_as_evenly_as_can_be() -> None:
    assert token_sizes(np.array([[7, 2], [0, 3]]), np.array([3, 2])).tolist() == [[3, 2, 2, 0, 0], [1, 1, 0, 2, 1]]


def tables(sizes: list[int], loads: list[int]) -> Iterator[np.ndarray]:
    """Enumerate all tables of zeros and ones with these sums of rows and columns."""
    rows = {size: [np.isin(range(len(loads)), some) for some in combinations(range(len(loads)), size)]
            for size in set(sizes)}  # fmt: skip
    for chosen in product(*(rows[size] for size in sizes)):
        table = np.array(chosen, dtype=int)
        if table.sum(axis=0).tolist() == loads:
            yield table


def assert_as_likely(found: Counter[bytes], expected: Counter[bytes]) -> None:
    assert found.keys() <= expected.keys()
    shares = np.array(list(expected.values())) / expected.total()
    assert chisquare([found[key] for key in expected], shares * found.total()).pvalue > 0.001


@pytest.mark.parametrize(
    ("tokens", "counts"),
    [
        pytest.param([1, 1, 2], [[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]], id="two of four experts"),
        pytest.param([2, 2], [[2, 1, 1, 0, 0], [1, 2, 0, 1, 0]], id="unequal loads, one expert never selected"),
        pytest.param([2, 3], [[2, 1, 0], [2, 2, 1]], id="selections dropped"),
    ],
)
def test_all_tables_of_the_loads_are_equally_likely(tokens: list[int], counts: list[list[int]]) -> None:
    """Against all of them, counted out: 6,000 layers with the same loads are as many independent walks."""
    walks, lengths = 6000, np.array(tokens)
    many = np.repeat(np.array(counts)[:, None], walks, axis=1)
    walk = TokenTrades.of(many, lengths, np.random.default_rng(2))
    sizes = token_sizes(many.sum(axis=2), lengths)[0].tolist()
    every = list(tables(sizes, many[:, 0].sum(axis=0).tolist()))
    assert len(every) > 10
    for _ in range(20):
        walk.trade(len(sizes) // 2)
    assert_as_likely(Counter(one.tobytes() for one in marks(walk)), Counter(one.tobytes() for one in every))
    starts = np.cumsum([0, *tokens[:-1]])
    drawn = Counter(np.ascontiguousarray(one).tobytes() for one in walk.draw().transpose(1, 0, 2))
    assert_as_likely(drawn, Counter(np.add.reduceat(one, starts, axis=0).tobytes() for one in every))


def test_two_experts_meet_as_often_as_in_tokens_of_most_random_choice() -> None:
    """The expectation is that of conditional Poisson sampling with these loads, from another module."""
    rng = np.random.default_rng(3)
    preference = np.log(rng.dirichlet(np.full(12, 1.5)))
    chosen = np.argsort(-(preference + rng.gumbel(size=(1200, 12))), axis=1)[:, :3]
    loads = np.bincount(chosen.ravel(), minlength=12)
    one_prompt = np.repeat(loads[None, None], 40, axis=1)
    table = marks(TokenTrades.of(one_prompt, np.array([1200]), rng))
    together = np.einsum("lti,ltj->ij", table, table) / (40 * 1200)
    expected = pair_probabilities(loads / 1200, 3)
    above = np.triu_indices(12, 1)
    error = np.sqrt(expected * (1 - expected) / (40 * 1200))[above]
    assert (np.abs(together - expected)[above] < 4 * error + 1e-4).all()


def test_an_expert_selected_more_often_than_there_are_tokens_is_refused() -> None:
    with pytest.raises(NotComputable, match="a prompt of 2 tokens has 3 selections of one expert"):
        TokenTrades.of(np.array([[[3, 1]], [[1, 1]]]), np.array([2, 1]), np.random.default_rng(0))
