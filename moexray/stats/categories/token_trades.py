"""Random tables of the observed loads: which tokens selected an expert is random, how many did is not.

In each layer the tokens by experts table of zeros and ones has a fixed sum for every token, its number of experts, and
for every expert, its load. All such tables are equally likely. This is also the distribution of independent tokens that
select by any weights of the experts (conditional Poisson sampling), given the loads: the weights cancel. Drawing by
weights keeps loads in expectation only, so tables are drawn by trades, which keep them exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.errors import NotComputable

# Trades of every token before the first draw. Five make the first table, whose tokens are far from independent, no
# longer differ from one after sixty.
_FIRST_TRADES = 10
# The share of tokens that trade between two draws. All tokens change prompts, so that successive draws are close to
# uncorrelated already.
_TRADING = 0.1
# Sort keys of a trade are 32 bits: two of rank, the expert, and random ones in between.
_FREE, _LAST = np.uint32(1 << 30), np.uint32(3 << 30)


@dataclass(frozen=True)
class TokenTrades:
    """A random walk over the tables of all layers, whose stationary distribution is the uniform one.

    A trade takes two tokens, pools the experts that one of them has and the other lacks, and deals them back at random,
    to each as many as it had (curveball: G. Strona et al., Nature Communications 5, 2014; C. Carstens, Physical Review
    E 91, 2015, for the proof; C. Carstens et al., ESA 2018, for disjoint pairs that trade at the same time). The order
    of the tokens is random, too, since a table with its rows in another order is as likely.

    Attributes
    ----------
    chosen
        Experts of each token ``(layers, tokens, most)``; where a token has fewer, the number of experts fills its row.
        Changed in place.
    prompts
        The prompt of each token ``(tokens,)``; `draw` assigns tokens to prompts anew.
    alike
        For each layer, the tokens of each number of experts: they may change places.
    experts
        Number of experts of the widest layer.
    rng
        Generator of the walk.
    """

    chosen: NDArray[np.uint32]
    prompts: NDArray[np.int64]
    alike: tuple[tuple[NDArray[np.intp], ...], ...]
    experts: int
    rng: Generator

    @classmethod
    def of(cls, counts: NDArray[np.integer], tokens: NDArray[np.integer], rng: Generator) -> "TokenTrades":
        """Begin at a random table with the loads of these counts.

        Parameters
        ----------
        counts
            Selections ``(prompts, layers, experts)``.
        tokens
            Routed tokens of each prompt ``(prompts,)``. Where a prompt has fewer selections than tokens times k, as
            under a router that drops some, they are spread over its tokens as evenly as can be.
        rng
            Generator of the walk.

        Raises
        ------
        NotComputable
            If a prompt selected an expert more often than it has tokens.
        """
        for place, layer, expert in np.argwhere(counts > tokens[:, None, None])[:1].tolist():
            message = (
                f"a prompt of {tokens[place]} tokens has {counts[place, layer, expert]} selections of one expert, "
                "and a token selects distinct experts"
            )
            raise NotComputable(message)
        sizes = token_sizes(counts.sum(axis=2), tokens)
        found = cls(
            chosen=_first_table(sizes, counts.sum(axis=0)),
            prompts=np.repeat(np.arange(len(tokens)), tokens),
            alike=tuple(tuple(np.flatnonzero(row == size) for size in np.unique(row)) for row in sizes),
            experts=counts.shape[2],
            rng=rng,
        )
        for _ in range(_FIRST_TRADES):
            found.trade(len(found.prompts) // 2)
        return found

    def draw(self) -> NDArray[np.int64]:  # (prompts, layers, experts)
        """Let some tokens trade, assign all tokens to prompts anew, and count the selections of each prompt."""
        tokens = len(self.prompts)
        self.trade(min(tokens // 2, 1 + int(tokens * _TRADING / 2)))
        prompts, width = int(self.prompts[-1]) + 1, self.experts + 1
        counts = np.empty((prompts, len(self.chosen), self.experts), dtype=np.int64)
        places = np.empty((tokens, 1), dtype=np.int64)
        for layer, (chosen, alike) in enumerate(zip(self.chosen, self.alike, strict=True)):
            for some in alike:
                places[some, 0] = self.rng.permutation(self.prompts[some]) * width
            found = np.bincount((places + chosen).ravel(), minlength=prompts * width)
            counts[:, layer] = found.reshape(prompts, width)[:, : self.experts]
        return counts

    def trade(self, pairs: int) -> None:
        """Let this many disjoint pairs of tokens, drawn at random, trade in every layer."""
        most = self.chosen.shape[2]
        one, other = self.rng.permutation(len(self.prompts))[: 2 * pairs].reshape(2, pairs)
        pool = np.concatenate([self.chosen[:, one] << 1, self.chosen[:, other] << 1 | 1], axis=2)
        pool.sort(axis=2)
        expert, of_other = pool >> 1, pool & 1
        same = expert[..., 1:] == expert[..., :-1]
        stays = expert == self.experts
        stays[..., 1:] |= same
        stays[..., :-1] |= same
        bits = self.experts.bit_length()
        keys = self.rng.integers(2**32, size=pool.shape, dtype=np.uint32) >> (2 + bits) << bits | _FREE
        keys = np.where(stays, of_other * _LAST, keys) | expert
        keys.sort(axis=2)
        keys &= np.uint32((1 << bits) - 1)
        self.chosen[:, one], self.chosen[:, other] = keys[..., :most], keys[..., most:]


def token_sizes(
    selections: NDArray[np.integer], tokens: NDArray[np.integer]
) -> NDArray[np.int64]:  # (layers, tokens of all prompts)
    """Spread the selections of each prompt ``(prompts, layers)`` over its tokens, as evenly as can be."""
    each, more = np.divmod(selections, np.maximum(tokens, 1)[:, None])
    place = np.concatenate([np.arange(of_prompt) for of_prompt in tokens])
    prompt = np.repeat(np.arange(len(tokens)), tokens)
    return np.asarray((each[prompt] + (place[:, None] < more[prompt])).T)


def _first_table(sizes: NDArray[np.int64], loads: NDArray[np.integer]) -> NDArray[np.uint32]:  # (layers, tokens, most)
    """Return one table with these numbers of experts of tokens ``(layers, tokens)`` and loads ``(layers, experts)``.

    Expert by expert, those tokens select it that need the most experts still (D. Gale, Pacific J. Math. 7, 1957). There
    is such a table, since the router made one whose tokens have numbers as even, or less.
    """
    experts = loads.shape[1]
    chosen = np.full((*sizes.shape, int(sizes.max())), experts, dtype=np.uint32)
    for layer, (size, load) in enumerate(zip(sizes, loads.tolist(), strict=True)):
        needed = size.copy()
        for expert in np.flatnonzero(load).tolist():
            takers = np.argpartition(-needed, load[expert] - 1)[: load[expert]]
            needed[takers] -= 1
            chosen[layer, takers, needed[takers]] = expert
    return chosen
