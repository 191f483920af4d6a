"""How many bits an expert carries about a token's id, its prompt's category and its position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.labels import category_numbers

# An id that occurs less often cannot say where it goes: see `routing_information`.
LEAST_OCCURRENCES = 20


@dataclass(frozen=True)
class Bits:
    """An estimate in bits, its interval of 95 % over prompts, and what it was before its bias was taken off."""

    bits: float
    ci: tuple[float, float] | None
    uncorrected: float


@dataclass(frozen=True)
class RoutingInformation:
    """One layer: what the expert of a token says of it.

    Attributes
    ----------
    token, category, position
        Mutual information of the expert and the token's id, its prompt's category, its place in the prompt.
    category_given_token
        That of expert and category among tokens of one id, on average over ids.
    entropy
        Of the expert: no other figure can be larger.
    covered
        Share of tokens whose id occurs often enough: the figures are of these.
    covered_given_token
        Share of tokens whose id occurs often enough in their category and in another: of these is
        `category_given_token`, None where there are none.
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
    """Measure mutual information in bits between the expert of a token and what is known of the token.

    The expert X of a token is one of the k that it was sent to, drawn at random; so what a table counts is
    selections, each 1/k of a token, and I(X; Y) is at most H(X). Positions are taken by octaves: 0, 1, 2–3, 4–7 and
    so on.

    Estimates from counts are too large, by about (rows − 1)(columns − 1)/2N for N draws that are independent. Here
    they are not: the k experts of a token differ, and tokens of a prompt resemble each other. Miller and Madow's
    correction takes N for what it is not, and shuffling tells the bias of a table without information, which is
    larger than that of one with it. So the bias is measured on the table itself, by leaving out prompt after prompt
    within its category, (n − 1)(I − mean I without one) for the n prompts of each (M. Quenouille, Biometrika 43,
    1956; S. Zahl, Ecology 58, 1977, for entropies); the same figures give the interval. It takes away what falls
    with 1/n; what rare ids leave is more than that, so only ids that occur often enough are looked at, and given the
    id only those that do so in two categories.

    Parameters
    ----------
    token_ids, prompts, positions
        The id of each token ``(tokens,)``, the number of its prompt, and its place in it, from zero.
    chosen
        What one layer selected for it ``(tokens, k)``; below zero for nothing.
    labels
        The category of each prompt.
    width
        Experts of the layer.
    least
        How often an id must occur.

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

    def about(rows: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[np.float64]:  # (1 + prompts,)
        return _information(rows[there], which[there], chosen[there], width=width, prompts=len(labels))

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
    """Which tokens are at a place where there are as many."""
    _, of_token, counts = np.unique(places, return_inverse=True, return_counts=True)
    return np.asarray(counts[of_token] >= least)


def _in_several(ids: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tokens have an id that is in several cells."""
    _, first = np.unique(cells, return_index=True)
    number = np.bincount(ids[first], minlength=int(ids.max(initial=0)) + 1)
    return np.asarray(number[ids] > 1)


def table_information(counts: NDArray[np.integer]) -> float:
    """Return the mutual information of rows and columns of a table of counts, in bits, as it is."""
    total = float(counts.sum())
    sides = [_weigh(counts.sum(axis=axis)).sum() for axis in (0, 1)]
    return float((_weigh(counts).sum() - sum(sides) + _weigh(np.asarray(total))) / total)


def _weigh(counts: NDArray[np.number]) -> NDArray[np.float64]:
    """``n log2 n``, elementwise."""
    values = counts.astype(np.float64)
    return np.asarray(values * np.log2(np.where(values > 0, values, 1)))


def _information(
    rows: NDArray[np.int64], which: NDArray[np.int64], experts: NDArray[np.integer], *, width: int, prompts: int
) -> NDArray[np.float64]:  # (1 + prompts,)
    """Mutual information of the rows of tokens and their experts: of all prompts, and without each.

    With n log n summed over cells, over rows, over columns, and of the total, it is the first less the second less
    the third plus the last, over the total; without a prompt only what that prompt has a part in is another.
    """
    there = experts >= 0
    rows, which, columns = (
        np.broadcast_to(part, experts.shape)[there] for part in (rows[:, None], which[:, None], experts)
    )
    cells, every = rows * width + columns.astype(np.int64), np.zeros_like(which)
    terms = [_weighed_without(part, which, prompts) for part in (cells, rows, columns.astype(np.int64), every)]
    totals = len(which) - np.concatenate([[0], np.bincount(which, minlength=prompts)])
    return np.asarray((terms[0] - terms[1] - terms[2] + terms[3]) / np.maximum(totals, 1))


def _weighed_without(
    places: NDArray[np.int64], which: NDArray[np.int64], prompts: int
) -> NDArray[np.float64]:  # (1 + prompts,)
    """Sum n log n over places, n the number of selections there, of all prompts and without each."""
    keys, own = np.unique(places * prompts + which, return_counts=True)
    known, of_key = np.unique(keys // prompts, return_inverse=True)
    counts = np.bincount(of_key, own, minlength=len(known))
    total = _weigh(counts).sum()
    moved = np.bincount(keys % prompts, _weigh(counts[of_key] - own) - _weigh(counts[of_key]), minlength=prompts)
    return np.concatenate([[total], total + moved])


def _bits(found: NDArray[np.float64], numbers: NDArray[np.integer]) -> Bits:
    sizes, without = np.bincount(numbers), found[1:]
    means = np.bincount(numbers, without) / np.maximum(sizes, 1)
    bias = float(((sizes - 1) * (means - found[0])).sum())
    bits = float(found[0] - bias)
    return Bits(bits, jackknife_interval(bits, without, numbers), float(found[0]))
