"""The loads of two kinds if routers did not tell them apart: whose tokens select an expert is random."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.token_trades import TokenTrades
from moexray.stats.kinds.even import DRAWS

# Selections of a table of tokens that is drawn as a whole: about a second.
_MOST_SELECTIONS = 2**18
# Tokens that numpy draws hypergeometric numbers of.
_MOST_DRAWN = 10**9


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

    Raises
    ------
    NotComputable
        If a kind selected an expert more often than it has tokens.
    """
    generator = np.random.default_rng(rng)
    if counts.sum() <= _MOST_SELECTIONS:
        walk = TokenTrades.of(counts, np.asarray(tokens), generator)
        return np.stack([walk.draw() for _ in range(draws)])
    both, every = counts.sum(axis=0), int(tokens.sum())
    if (counts > np.asarray(tokens)[:, None, None]).any():
        message = "a kind has more selections of an expert than tokens, and a token selects distinct experts"
        raise NotComputable(message)
    if every >= _MOST_DRAWN:  # a draw would differ from its mean by less than one in 10,000
        first = np.tile(np.rint(both * (tokens[0] / every)).astype(np.int64), (draws, 1, 1))
        return np.stack([first, both - first], axis=1)
    first = generator.hypergeometric(both, every - both, int(tokens[0]), size=(draws, *both.shape))
    return np.stack([first, both - first], axis=1)
