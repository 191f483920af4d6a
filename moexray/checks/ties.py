"""Near ties: selections that rounding alone can swap, since the scores of the swapped experts all but equal.

Two programs that compute the same model round differently, and so differ in the last bits of each router's scores.
Where the least selected expert and the greatest one that was left out are closer than that, either may be selected.

The *gap* of a token and layer is the greatest score among the experts that the model selects and the recording does
not have, less the least score among those that the recording has instead. It is divided by the spread (standard
deviation) of the token's scores, which makes it free of the router's scale. Scores that are probabilities are taken as
logarithms, whose differences are those of the logits.

The limit is `ROUNDINGS` roundings of the number format. docs/check.md shows the measurement that it comes from.
"""

import numpy as np
from numpy.typing import NDArray

# Half of the distance of 1 to the next number: the relative error of one rounding.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
ROUNDINGS = 32
# How far the sum of probabilities may be from 1.
_SUM = 1e-2


def limit_of(*dtypes: str | None) -> float | None:
    """Return the greatest gap of a tie, as a share of the spread: that of the coarsest of these number formats.

    None where one of them is not known; a format that is None is passed over.
    """
    units = [UNIT.get(name) for name in dtypes if name is not None]
    known = [unit for unit in units if unit is not None]
    return ROUNDINGS * max(known) if known and len(known) == len(units) else None


def rankable(scores: NDArray[np.floating]) -> NDArray[np.float64]:  # (tokens, experts)
    """Return scores whose differences compare: logarithms of probabilities, others as they are; −∞ where ruled out."""
    values = scores.astype(np.float64)
    finite = np.where(np.isneginf(values), 0, values)
    if (finite >= 0).all() and (np.abs(finite.sum(axis=1) - 1) < _SUM).all():
        with np.errstate(divide="ignore"):
            return np.log(finite)
    return values


def spread_of(values: NDArray[np.float64]) -> NDArray[np.float64]:  # (tokens,)
    """Return the standard deviation of each token's scores, those that are ruled out left aside."""
    there = np.isfinite(values)
    number = np.maximum(there.sum(axis=1), 1)
    held = np.where(there, values, 0)
    mean = held.sum(axis=1) / number
    squares = np.where(there, held - mean[:, None], 0) ** 2
    spread: NDArray[np.float64] = np.sqrt(squares.sum(axis=1) / number)
    return spread


def gaps(
    scores: NDArray[np.floating], own: NDArray[np.integer], recorded: NDArray[np.integer]
) -> NDArray[np.float64]:  # (tokens,)
    """Return the gap of each token, as a share of the spread of its scores.

    NaN where both have the same experts; ∞ where the recording has an expert that is ruled out or does not exist, one
    twice, or fewer than the model.

    Parameters
    ----------
    scores
        Of all experts of a layer ``(tokens, experts)``.
    own, recorded
        The experts that the router selects, and those that were recorded ``(tokens, k)``.
    """
    values = rankable(scores)
    mine, theirs = (_members(one, values.shape[1]) for one in (own, recorded))
    out = np.where(mine & ~theirs, values, -np.inf).max(axis=1)
    into = np.where(theirs & ~mine, values, np.inf).min(axis=1)
    whole = (theirs.sum(axis=1) == mine.sum(axis=1)) & np.isfinite(out) & np.isfinite(into)
    spread = spread_of(values)
    found = np.full(len(values), np.inf)
    found[whole] = np.maximum(out - into, 0)[whole] / np.maximum(spread[whole], np.finfo(np.float64).tiny)
    found[(mine == theirs).all(axis=1)] = np.nan
    return found


def group_gaps(
    scores: NDArray[np.floating], own: NDArray[np.integer], recorded: NDArray[np.integer], *, experts: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # (tokens,), (tokens, groups selected)
    """Return, where experts are chosen within groups, the gap between groups, and the groups that the recording needs.

    NaN where the groups that the router selects hold all recorded experts; ∞ where no selection of groups does.

    Parameters
    ----------
    scores
        Of the groups ``(tokens, groups)``.
    own
        The groups that the router selects ``(tokens, selected)``.
    recorded
        The experts that were recorded ``(tokens, k)``.
    experts
        Experts of the layer.
    """
    tokens, groups = scores.shape
    there = np.all((recorded >= 0) & (recorded < experts), axis=1)
    needed = _members(np.where(np.reshape(there, (-1, 1)), recorded, 0) // (experts // groups), groups)
    mine = _members(own, groups)
    missing = np.logical_and(needed, ~mine)
    lacking = missing.sum(axis=1)
    values = np.asarray(scores, dtype=np.float64)
    # The groups of the router that are not needed, the lowest first, make place.
    free = np.where(mine & ~needed, values, np.inf)
    order = np.argsort(free, axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(groups)[None, :], axis=1)
    leaving = np.logical_and(np.logical_and(mine, ~needed), rank < lacking[:, None])
    possible = there & (leaving.sum(axis=1) == lacking)
    changed: NDArray[np.bool_] = np.asarray(possible & (lacking > 0))
    taken = np.where(changed[:, None], (mine & ~leaving) | missing, mine)
    out = np.where(leaving, values, -np.inf).max(axis=1)
    into = np.where(missing, values, np.inf).min(axis=1)
    found = np.full(tokens, np.inf)
    right = possible & np.isfinite(out) & np.isfinite(into)
    found[right] = np.maximum(out - into, 0)[right] / np.maximum(spread_of(values)[right], np.finfo(np.float64).tiny)
    found[there & (lacking == 0)] = np.nan
    return found, np.nonzero(taken)[1].reshape(tokens, own.shape[1])


def _members(ids: NDArray[np.integer], width: int) -> NDArray[np.bool_]:  # (tokens, width)
    """Return which of the ids from 0 to `width` − 1 each row holds."""
    found = np.zeros((len(ids), width), dtype=bool)
    row, column = np.nonzero((ids >= 0) & (ids < width))
    found[row, ids[row, column]] = True
    return found
