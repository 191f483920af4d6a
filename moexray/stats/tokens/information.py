"""Mutual information, in bits, between a token's expert and its id, its prompt's category and its position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.labels import category_numbers

# The bias of rarer ids is not removed: see `routing_information`.
LEAST_OCCURRENCES = 20


@dataclass(frozen=True)
class Bits:
    """A bias-corrected estimate in bits, its 95 % interval over prompts, and the uncorrected (plug-in) estimate."""

    bits: float
    ci: tuple[float, float] | None
    uncorrected: float


@dataclass(frozen=True)
class RoutingInformation:
    """Mutual information between a token's expert in one layer and properties of the token.

    Attributes
    ----------
    token, category, position
        Of the expert and the token's id, its prompt's category, and its position in the prompt.
    category_given_token
        Of the expert and the category given the token's id; None where no token is covered for it.
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
    least: int = LEAST_OCCURRENCES,
) -> RoutingInformation:
    """Estimate the mutual information between the expert of a token and its id, category and position.

    The expert X of a token is one of its k experts, drawn at random. So a table counts selections, each 1/k of a token,
    and I(X; Y) ≤ H(X). Positions are binned by octaves: 0, 1, 2–3, 4–7 and so on.

    Plug-in estimates are too large, for N independent draws by about (rows − 1)(columns − 1)/2N. Here draws depend on
    each other: the k experts of a token are distinct, and tokens of a prompt are similar. The Miller–Madow correction
    assumes independence, and permuting labels measures the bias of a table without information, which is larger than
    that of a table with it. So the bias is estimated by the jackknife over prompts within categories,
    (n − 1)(mean I without one prompt − I), summed over categories of n prompts (M. Quenouille, Biometrika 43, 1956; S.
    Zahl, Ecology 58, 1977, for entropies); the same values give the interval. The jackknife removes the bias of order
    1/n. That of rare ids is of higher order, so only ids that occur often enough are used, and given the id only those
    that do so in two categories.

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
    least
        An id must occur this often.

    Raises
    ------
    NotComputable
        If no id occurs so often.
    """
    numbers, which = category_numbers(labels), prompts.astype(np.int64)
    ids = np.unique(token_ids, return_inverse=True)[1]
    kept = _often(ids, least)
    if not kept.any():
        message = f"no token id occurs {least} times"
        raise NotComputable(message)

    def about(rows: NDArray[np.int64], present: NDArray[np.bool_]) -> NDArray[np.float64]:  # (1 + prompts,)
        return _information(rows[present], which[present], chosen[present], width=width, prompts=len(labels))

    cells = ids * (int(numbers.max()) + 1) + numbers[which]
    told = _often(cells, least)
    told[told] = _in_several(ids[told], cells[told])
    given = _bits(about(cells, told) - about(ids, told), numbers) if told.any() else None
    return RoutingInformation(
        token=_bits(about(ids, kept), numbers),
        category=_bits(about(numbers[which].astype(np.int64), kept), numbers),
        category_given_token=given,
        position=_bits(about(np.frexp(positions)[1].astype(np.int64), kept), numbers),
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


def table_information(counts: NDArray[np.integer]) -> float:
    """Return the mutual information of the rows and columns of a table of counts, in bits, without bias correction.

    Parameters
    ----------
    counts
        Table of counts ``(rows, columns)``.
    """
    total = float(counts.sum())
    sides = [_n_log_n(counts.sum(axis=axis)).sum() for axis in (0, 1)]
    return float((_n_log_n(counts).sum() - sum(sides) + _n_log_n(np.asarray(total))) / total)


def _n_log_n(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Return n log2 n, elementwise."""
    values = counts.astype(np.float64)
    return np.asarray(values * np.log2(np.where(values > 0, values, 1)))


def _information(
    rows: NDArray[np.int64], which: NDArray[np.int64], experts: NDArray[np.integer], *, width: int, prompts: int
) -> NDArray[np.float64]:  # (1 + prompts,)
    """Return the mutual information of the tokens' rows and experts, over all prompts and without each.

    It is (Σ n log n over cells − over rows − over columns + N log N) / N. Leaving out a prompt changes only the terms
    in which that prompt occurs.
    """
    present = experts >= 0
    rows, which, columns = (
        np.broadcast_to(part, experts.shape)[present] for part in (rows[:, None], which[:, None], experts)
    )
    cells, every = rows * width + columns.astype(np.int64), np.zeros_like(which)
    terms = [_sums_without(part, which, prompts) for part in (cells, rows, columns.astype(np.int64), every)]
    totals = len(which) - np.concatenate([[0], np.bincount(which, minlength=prompts)])
    return np.asarray((terms[0] - terms[1] - terms[2] + terms[3]) / np.maximum(totals, 1))


def _sums_without(
    places: NDArray[np.int64], which: NDArray[np.int64], prompts: int
) -> NDArray[np.float64]:  # (1 + prompts,)
    """Sum n log n over places, with n the selections there, over all prompts and without each."""
    keys, own = np.unique(places * prompts + which, return_counts=True)
    known, of_key = np.unique(keys // prompts, return_inverse=True)
    counts = np.bincount(of_key, own, minlength=len(known))
    total = _n_log_n(counts).sum()
    moved = np.bincount(keys % prompts, _n_log_n(counts[of_key] - own) - _n_log_n(counts[of_key]), minlength=prompts)
    return np.concatenate([[total], total + moved])


def _bits(found: NDArray[np.float64], numbers: NDArray[np.integer]) -> Bits:
    sizes, without = np.bincount(numbers), found[1:]
    means = np.bincount(numbers, without) / np.maximum(sizes, 1)
    bias = float(((sizes - 1) * (means - found[0])).sum())
    bits = float(found[0] - bias)
    return Bits(bits, jackknife_interval(bits, without, numbers), float(found[0]))
