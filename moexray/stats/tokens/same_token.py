"""Same-token test: whether a token id is routed more similarly within categories than across them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.multiple import max_t_p_values
from moexray.stats.inference.permutation import p_value
from moexray.stats.inference.units import Units, units_of
from moexray.stats.tokens.pairs import CategorySums, layer_gain, pair_matrix
from moexray.stats.tokens.sums import UnitRows, marks_of, scaled_selections, token_rows

_MOST_NUMBERS = 2**22
_ROUNDING = 1e-12


@dataclass(frozen=True)
class SameTokenTest:
    """Gain: the share of experts that two occurrences of a token id have in common, within categories minus across.

    Attributes
    ----------
    gain, gain_ci
        Mean over layers, and its 95 % interval over units: groups of prompts, or prompts.
    within
        The mean share within, with the same weights, mean over layers.
    null_mean, null_std, p_value
        The gain under permuted labels, and the one-sided p.
    by_layer
        The gain of each layer ``(layers,)``.
    null_by_layer
        The central 95 % of each layer's gains under permuted labels.
    p_values, adjusted
        Of each layer, by itself and adjusted for the number of layers.
    ids, covered
        Number of token ids with pairs within and across, and the share of tokens that have such an id.
    permutations
        Number of permutations.
    """

    gain: float
    gain_ci: tuple[float, float] | None
    within: float
    null_mean: float
    null_std: float
    p_value: float
    by_layer: tuple[float, ...]
    null_by_layer: tuple[tuple[float, float], ...]
    p_values: tuple[float, ...]
    adjusted: tuple[float, ...]
    ids: int
    covered: float
    permutations: int


def same_token_test(
    token_ids: NDArray[np.integer],
    prompts: NDArray[np.integer],
    experts: NDArray[np.integer],
    labels: Sequence[str],
    *,
    width: int,
    permutations: int,
    rng: int | np.random.Generator,
    groups: Sequence[str] | None = None,
    top_k: Sequence[int] | None = None,
) -> SameTokenTest:
    """Compare occurrences of one token id in different prompts, within categories and across them.

    For a token id t, let m_w and m_a be the mean share of the k experts that two occurrences in different prompts have
    in common, over pairs within categories and across. The gain is the weighted mean of m_w − m_a over ids, with the
    weights n f (1 − f), where n is the number of occurrences and f the share of pairs that are within. So frequent ids
    count more, and an id without a pair within, or across, does not count. Only occurrences of the same id are
    compared, so which tokens a category uses cannot produce a gain. The tokens before them can: a router sees these
    too, and categories that order the same words differently have a gain where it does.

    No pair is formed. With S(t,p) the expert counts of the n(t,p) occurrences of t in prompt p, the share in common
    summed over the pairs of prompts p and q is S(t,p)·S(t,q)/k, and summed over all N pairs of the id
    ``(|Σ S|² − Σ |S|²)/2k``, with mean m. As N_w (m_w − m) = N f (1 − f) (m_w − m_a), the weighted gains of all ids are
    the sum, over the pairs of prompts within categories, of the matrix

        H(p,q) = Σ_t (n/N) (S(t,p)·S(t,q)/k − m n(t,p) n(t,q)).

    H does not depend on the labels, so a permutation costs one product with it, for all layers at once.

    Labels are permuted over prompts. Where categories differ in their words, pairs within share more tokens than pairs
    under permuted labels, and their sums vary more: the unscaled gain of a router that looks at tokens alone has
    p < 0.05 in 8 to 10 of 100 studies. So gains are studentised: divided by their standard deviation, estimated for
    every labeling from the squares of H over its own pairs (A. Janssen, Statistics and Probability Letters 36, 1997).

    Prompts of one group make no pairs with each other, and the labels that are permuted are those of parts, not of
    prompts: see `moexray.stats.inference.units`. Where a group holds several categories, two groups u and v share
    whatever their contents share, in every category, so the standard deviation comes from the squares of the sums of H
    over the pairs of parts of u and v.

    A token that selects fewer than k experts, because some were dropped, has in common with another what
    `scaled_selections` says; one that selects none is left out of that layer.

    Parameters
    ----------
    token_ids, prompts
        The id of each token ``(tokens,)``, and the number of its prompt.
    experts
        The experts of each token in each layer ``(tokens, layers, k)``; negative for no selection.
    labels
        The category of each prompt.
    width
        Number of experts of a layer.
    permutations, rng
        Number of permutations, and their seed or generator.
    groups
        The group of each prompt; an empty name is no group.
    top_k
        The k of each layer ``(layers,)``; by default the most experts that a token selects in it.

    Raises
    ------
    NotComputable
        If no id makes a pair within a category and one across.
    """
    units = units_of(labels, groups)
    every_token = UnitRows.of(token_rows(token_ids, units.parts[prompts]), units)
    if top_k is None:
        top_k = np.count_nonzero(experts >= 0, axis=2).max(axis=0, initial=1).tolist()
    gains, matrices, layers, ids, covered = [], [], [], 0, 0.0
    for chosen, k in zip(experts.swapaxes(0, 1), top_k, strict=True):
        rows = every_token.only(np.any(chosen >= 0, axis=1))
        counts = scaled_selections(rows.parts, chosen, width, k)
        sums = CategorySums.of(rows, counts, units.part_categories, len(units.names))
        with_pairs = sums.pairs(k).weights > 0
        if not with_pairs.any():
            message = "no token id occurs in two prompts of one category and in one of another"
            raise NotComputable(message)
        ids = max(ids, int(np.count_nonzero(with_pairs)))
        covered = max(covered, float(sums.occurrences[with_pairs].sum()) / len(token_ids))
        layers.append(rows)
        gains.append(layer_gain(rows, counts, k, sums=sums, units=units))
        matrices.append(pair_matrix(rows, counts, k, units=units))
    shuffled = shuffled_gains(layers, np.stack(matrices), units, permutations=permutations, rng=rng)
    tests = max_t_p_values(shuffled.scaled[:, :-1])
    gain = float(np.mean([layer.gain for layer in gains]))
    ends = np.quantile(shuffled.gains[1:, :-1], (0.025, 0.975), axis=0)
    return SameTokenTest(
        gain=gain,
        gain_ci=jackknife_interval(gain, np.mean([layer.without_each for layer in gains], axis=0), units.strata),
        within=float(np.mean([layer.within for layer in gains])),
        null_mean=float(shuffled.gains[1:, -1].mean()),
        null_std=float(shuffled.gains[1:, -1].std()),
        p_value=p_value(float(shuffled.scaled[0, -1]), shuffled.scaled[1:, -1]),
        by_layer=tuple(layer.gain for layer in gains),
        null_by_layer=tuple((low, high) for low, high in ends.T.tolist()),
        p_values=tuple(tests.p_values),
        adjusted=tuple(tests.adjusted),
        ids=ids,
        covered=covered,
        permutations=permutations,
    )


@dataclass(frozen=True)
class ShuffledGains:
    """Gains of each layer, and of all layers in the last column, plain and studentised.

    Both are ``(1 + permutations, layers + 1)``; the first row is of the labels as they are.
    """

    gains: NDArray[np.float64]
    scaled: NDArray[np.float64]


def shuffled_gains(
    layers: Sequence[UnitRows],
    matrices: NDArray[np.float64],
    units: Units,
    *,
    permutations: int,
    rng: int | np.random.Generator,
) -> ShuffledGains:
    """Return the gains under the labels as they are, and under permuted labels.

    Parameters
    ----------
    layers
        The token counts of each layer; they differ only where tokens select nothing.
    matrices
        The `pair_matrix` of each layer ``(layers, parts, parts)``.
    units
        The units of the prompts.
    permutations, rng
        Number of permutations, and their seed or generator.
    """
    first, second = np.triu_indices(len(units.part_units), 1)
    apart = units.part_units[first] != units.part_units[second]
    pairs = _Pairs.of(matrices[:, first[apart], second[apart]].T, units, first[apart], second[apart])
    weights, of_layer = _weights_of(layers, len(units.part_units))
    ids, every = max(one.size for one in weights), np.array([one.every.sum() for one in weights])
    size = max(1, _MOST_NUMBERS // max(1, pairs.values.size, ids * (len(units.names) + 1)))
    gains, scaled = [], []
    blocks = units.labelings(permutations, rng, first=True)
    for part in (block[start : start + size] for block in blocks for start in range(0, len(block), size)):
        totals, shares = (np.stack(each, axis=1) for each in zip(*(one.totals(part) for one in weights), strict=True))
        totals, shares = totals[:, of_layer], shares[:, of_layer]
        sums, variances = pairs.sums(part, np.column_stack([shares, shares.mean(axis=1)]))
        # Labels under which no id has pairs both within and across show no gain: the sum is 0 but for rounding.
        shown = totals > _ROUNDING * every[of_layer]
        by_layer = np.divide(sums[:, :-1], totals, out=np.zeros_like(totals), where=shown)
        gains.append(np.column_stack([by_layer, by_layer.mean(axis=1)]))
        spread = np.sqrt(np.maximum(variances, _ROUNDING * pairs.squares))
        scaled.append(np.divide(sums, spread, out=np.zeros_like(sums), where=spread > 0))
    return ShuffledGains(np.concatenate(gains), np.concatenate(scaled))


@dataclass(frozen=True)
class _Pairs:
    """The entries of H of all pairs of parts of different units, of each layer and of their mean in the last column."""

    values: NDArray[np.float64]  # (pairs, layers + 1)
    first: NDArray[np.integer]
    second: NDArray[np.integer]
    squares: NDArray[np.float64]  # (layers + 1,)
    of_units: Any  # sparse (pairs of units, pairs), or None where parts are units

    @classmethod
    def of(
        cls, values: NDArray[np.float64], units: Units, first: NDArray[np.integer], second: NDArray[np.integer]
    ) -> "_Pairs":
        values = np.column_stack([values, values.mean(axis=1)])
        of_units = None
        if units.design == "crossed":
            ends = np.sort(units.part_units[np.stack([first, second])], axis=0)
            places = np.unique(ends[0] * len(units) + ends[1], return_inverse=True)[1]
            of_units = marks_of(places, int(places.max(initial=-1)) + 1)
        return cls(values, first, second, (values**2).sum(axis=0), of_units)

    def sums(
        self, labelings: NDArray[np.integer], shares: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (labelings, layers + 1) each
        """Sum H over the pairs within categories, and estimate the variance of this sum.

        A pair within counts 1 − f and one across −f, with f the share of pairs within, as the sum of H over all pairs
        is 0; `shares` are f, ``(labelings, layers + 1)``.
        """
        by_part = np.ascontiguousarray(labelings.T)  # rows are selected ten times faster than columns
        within = (by_part[self.first] == by_part[self.second]).astype(np.float64)
        if self.of_units is None:
            sums, squares = np.hsplit(within.T @ np.hstack([self.values, self.values**2]), 2)
            return sums, (1 - shares) ** 2 * squares + shares**2 * (self.squares - squares)
        sums, variances = within.T @ self.values, np.empty_like(shares)
        for layer, values in enumerate(self.values.T):
            of_pair = self.of_units @ (within * values[:, None])
            of_pair -= (self.of_units @ values)[:, None] * shares[:, layer]
            variances[:, layer] = np.einsum("ul,ul->l", of_pair, of_pair)
        return sums, variances


def has_pairs(rows: UnitRows, units: Units) -> bool:
    """Whether an id makes a pair within a category and one across."""
    weights = _Weights.of(rows, len(units.part_units))
    return bool(weights.totals(units.part_categories[None])[0] > _ROUNDING * weights.every.sum())


def _weights_of(layers: Sequence[UnitRows], parts: int) -> tuple[list["_Weights"], list[int]]:
    """Return the weights of ids, once for layers with the same occurrences, and the place of each layer's."""
    known = list({id(rows): rows for rows in layers}.values())
    places = {id(rows): place for place, rows in enumerate(known)}
    return [_Weights.of(rows, parts) for rows in known], [places[id(rows)] for rows in layers]


@dataclass(frozen=True)
class _Weights:
    """Sums of the weights of ids under any labels; an id that occurs in one unit only has no weight."""

    occurrences: Any  # sparse (ids, parts)
    own: NDArray[np.float64]
    pairs: NDArray[np.float64]
    every: NDArray[np.float64]

    @classmethod
    def of(cls, rows: UnitRows, parts: int) -> "_Weights":
        from scipy.sparse import csr_array

        counts, ids = rows.parts.occurrences.astype(np.float64), len(rows.parts.token_ids)
        matrix: Any = csr_array((counts, (rows.parts.ids, rows.parts.prompts)), shape=(ids, parts))
        every, own = rows.parts.by_id(counts), rows.parts.by_id(counts**2)
        of_units = rows.units.by_id(rows.units.occurrences.astype(np.float64) ** 2)
        several = every**2 > of_units
        return cls(matrix[several], own[several], (every**2 - of_units)[several] / 2, every[several])

    @property
    def size(self) -> int:
        return len(self.own)

    def totals(
        self, numbers: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (labelings,) each
        """Return Σ n f (1 − f) over ids, and the mean of f, for category numbers ``(labelings, parts)``."""
        within = np.zeros((self.size, len(numbers)))
        for category in range(int(numbers.max()) + 1):
            held = self.occurrences @ np.ascontiguousarray((numbers == category).T, dtype=np.float64)
            within += np.square(held, out=held)
        within -= self.own[:, None]
        within /= 2 * self.pairs[:, None]
        mean = self.every @ within
        return mean - self.every @ np.square(within, out=within), mean / max(float(self.every.sum()), 1.0)
