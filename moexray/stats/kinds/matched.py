"""The loads of two kinds if routers did not tell them apart: whose tokens select an expert is random."""

import numpy as np
from numpy.typing import NDArray

from moexray.stats.categories.token_trades import TokenTrades
from moexray.stats.kinds.even import DRAWS

# Selections of a table of tokens that is drawn as a whole: about a second.
_MOST_SELECTIONS = 2**18


def matched_counts(
    counts: NDArray[np.integer],
    tokens: NDArray[np.integer],
    *,
    rng: int | np.random.Generator,
    draws: int = DRAWS,
) -> NDArray[np.int64]:  # (draws, 2, layers, experts)
    """Draw the loads of both kinds under load-matched routing.

    The load of both kinds together is kept exactly. All tables of tokens by experts with these loads are equally
    likely, and every token selects distinct experts: see `moexray.stats.categories.token_trades`. Tables of more than
    262,144 selections are not drawn as a whole: then the selections of each expert by the tokens of the first kind
    are hypergeometric, as they are in such a table, but independent of those of other experts.

    Tokens are drawn independently of each other, as in `moexray.stats.kinds.even`. Tokens of one image are not.

    Parameters
    ----------
    counts
        Selections by the tokens of each kind ``(2, layers, experts)``.
    tokens
        Tokens of each kind ``(2,)``.
    rng, draws
        Seed or generator, and number of draws.
    """
    generator = np.random.default_rng(rng)
    if counts.sum() <= _MOST_SELECTIONS:
        walk = TokenTrades.of(counts, np.asarray(tokens), generator)
        return np.stack([walk.draw() for _ in range(draws)])
    both = counts.sum(axis=0)
    first = generator.hypergeometric(both, int(tokens.sum()) - both, int(tokens[0]), size=(draws, *both.shape))
    return np.stack([first, both - first], axis=1)
