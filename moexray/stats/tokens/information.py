"""Mutual information, in bits, between a token's expert and its id, its prompt's category and its position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.units import units_of
from moexray.stats.tokens.entropy import Bits, corrected, sums_without, table_information
from moexray.stats.tokens.given_token import GivenToken, given_token_p

# The bias of rarer ids is not removed: see `routing_information`.
LEAST_OCCURRENCES = 20


@dataclass(frozen=True)
class RoutingInformation:
    """Mutual information between a token's expert in one layer and properties of the token.

    Attributes
    ----------
    token, category, position
        Of the expert and the token's id, its prompt's category, and its position in the prompt.
    category_given_token, category_given_token_p
        Of the expert and the category given the token's id, and the p of a permutation test of it; None where no token
        is covered for it.
    entropy
        Entropy of the expert, an upper bound of the others.
    covered
        Share of tokens whose id occurs often enough, to which the estimates refer.
    covered_given_token
        Share of tokens whose id occurs often enough in their category and in another, to which `category_given_token`
        refers.
    """

    token: Bits
    category: Bits
    category_given_token: Bits | None
    category_given_token_p: float | None
    position: Bits
    entropy: float
    covered: float
    covered_given_token: float


def routing_information(
    token_ids: NDArray[np.integer],
    prompts: NDArray[np.integer],
    positions: NDArray[np.integer],
    chosen: NDArray[np.integer],
    labels: Sequence[str],
    *,
    width: int,
    permutations: int = 1000,
    rng: int | np.random.Generator = 0,
    least: int = LEAST_OCCURRENCES,
    groups: Sequence[str] | None = None,
) -> RoutingInformation:
    """Estimate the mutual information between the expert of a token and its id, category and position.

    The expert X of a token is one of its k experts, drawn at random. So a table counts selections, each 1/k of a token,
    and I(X; Y) ≤ H(X). Positions are binned by octaves: 0, 1, 2–3, 4–7 and so on.

    Plug-in estimates are too large, for N independent draws by about (rows − 1)(columns − 1)/2N. Here draws depend on
    each other: the k experts of a token are distinct, and tokens of a prompt are similar. The Miller–Madow correction
    assumes independence, and permuting labels measures the bias of a table without information, which is larger than
    that of a table with it. So the bias is estimated by the jackknife over units within categories,
    (n − 1)(mean I without one unit − I), summed over categories of n units (M. Quenouille, Biometrika 43, 1956; S.
    Zahl, Ecology 58, 1977, for entropies); the same values give the interval. The jackknife removes the bias of order
    1/n. That of rare ids is of higher order, so only ids that occur often enough are used, and given the id only those
    that do so in two categories.

    Given the id the tables are small, and what the jackknife leaves can be larger than the interval. It is measured
    where there is no information, in tables whose categories are exchanged within each id, and subtracted:
    see `moexray.stats.tokens.given_token`. That also tests it.

    Parameters
    ----------
    token_ids, prompts, positions
        Each token's id, the number of its prompt, and its position in it from zero ``(tokens,)``.
    chosen
        The experts of each token in one layer ``(tokens, k)``; negative for no selection.
    labels
        The category of each prompt.
    width
        Number of experts of the layer.
    permutations, rng
        Number of permutations of the test, and their seed or generator.
    least
        An id must occur this often.
    groups
        The group of each prompt; an empty name is no group.

    Raises
    ------
    NotComputable
        If no id occurs so often.
    """
    units = units_of(labels, groups)
    which, categories = units.units[prompts], units.categories[prompts]
    ids = np.unique(token_ids, return_inverse=True)[1]
    kept = _often(ids, least)
    if not kept.any():
        message = f"no token id occurs {least} times"
        raise NotComputable(message)

    def about(rows: NDArray[np.int64]) -> Bits:
        found = _information(rows[kept], which[kept], chosen[kept], width=width, units=len(units))
        return corrected(found, units.strata)

    cells = ids * len(units.names) + categories
    told = _often(cells, least)
    told[told] = _in_several(ids[told], cells[told])
    parts, generator = units.parts[prompts], np.random.default_rng(rng)
    given = p = None
    if told.any():
        table = GivenToken.of(ids[told], parts[told], chosen[told], units=units, width=width)
        given = table.bits(generator)
        p = given_token_p(
            ids[kept], parts[kept], chosen[kept], units=units, width=width, permutations=permutations, rng=generator
        )
    return RoutingInformation(
        token=about(ids),
        category=about(categories),
        category_given_token=given,
        category_given_token_p=p,
        position=about(np.frexp(positions)[1].astype(np.int64)),
        entropy=table_information(np.diag(np.bincount(chosen[kept][chosen[kept] >= 0], minlength=width))),
        covered=float(np.mean(kept)),
        covered_given_token=float(np.mean(told)),
    )


def _often(places: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Mark the tokens at places with at least `least` tokens."""
    _, of_token, counts = np.unique(places, return_inverse=True, return_counts=True)
    return np.asarray(counts[of_token] >= least)


def _in_several(ids: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the tokens whose id occurs in several cells."""
    _, first = np.unique(cells, return_index=True)
    number = np.bincount(ids[first], minlength=int(ids.max(initial=0)) + 1)
    return np.asarray(number[ids] > 1)


def _information(
    rows: NDArray[np.int64], which: NDArray[np.int64], experts: NDArray[np.integer], *, width: int, units: int
) -> NDArray[np.float64]:  # (1 + units,)
    """Return the mutual information of the tokens' rows and experts, over all units and without each.

    It is (Σ n log n over cells − over rows − over columns + N log N) / N.
    """
    present = experts >= 0
    rows, which, columns = (
        np.broadcast_to(part, experts.shape)[present] for part in (rows[:, None], which[:, None], experts)
    )
    cells, every = rows * width + columns.astype(np.int64), np.zeros_like(which)
    terms = [sums_without(part, which, units) for part in (cells, rows, columns.astype(np.int64), every)]
    totals = len(which) - np.concatenate([[0], np.bincount(which, minlength=units)])
    return np.asarray((terms[0] - terms[1] - terms[2] + terms[3]) / np.maximum(totals, 1))
