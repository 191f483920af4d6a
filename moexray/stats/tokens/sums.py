"""Token counts: for each token id and prompt a row, over which every statistic of token identity sums."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.units import Units


@dataclass(frozen=True)
class TokenRows:
    """Occurrences of token ids in prompts: a row for each id and prompt that holds it, ordered by id.

    Attributes
    ----------
    token_ids
        The ids that occur, ascending ``(ids,)``.
    ids, prompts
        The place among `token_ids`, and the prompt, of each row ``(rows,)``.
    occurrences
        Occurrences of that id in that prompt ``(rows,)``.
    row_of
        The row of each token ``(tokens,)``.
    """

    token_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    prompts: NDArray[np.int64]
    occurrences: NDArray[np.int64]
    row_of: NDArray[np.int64]

    def by_id(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (ids, …)
        """Sum values of rows over the rows of each id."""
        return np.asarray(self._marks @ values)

    @cached_property
    def totals(self) -> NDArray[np.float64]:  # (rows,)
        """Occurrences of each row's id in all prompts."""
        return self.by_id(self.occurrences.astype(np.float64))[self.ids]

    @cached_property
    def _marks(self) -> Any:  # sparse (ids, rows)
        return marks_of(self.ids, len(self.token_ids))


def token_rows(token_ids: NDArray[np.integer], prompts: NDArray[np.integer]) -> TokenRows:
    """Count token ids by prompt.

    Parameters
    ----------
    token_ids
        The id of each token ``(tokens,)``.
    prompts
        The number of the prompt that holds each token ``(tokens,)``.
    """
    known, places = np.unique(token_ids, return_inverse=True)
    width = int(prompts.max(initial=0)) + 1
    keys, row_of, occurrences = np.unique(
        places * width + prompts.astype(np.int64), return_inverse=True, return_counts=True
    )
    return TokenRows(known.astype(np.int64), keys // width, keys % width, occurrences.astype(np.int64), row_of)


def joined_rows(rows: TokenRows, units: NDArray[np.integer]) -> tuple[TokenRows, NDArray[np.int64]]:
    """Merge the prompts, or the parts, of each unit into one.

    Parameters
    ----------
    rows
        Token counts of all prompts.
    units
        The number of each prompt's unit ``(prompts,)``.

    Returns
    -------
    The token counts of units, and the place among them of each of `rows` ``(rows,)``.
    """
    width = int(units.max()) + 1
    keys, places = np.unique(rows.ids * width + units[rows.prompts], return_inverse=True)
    occurrences = np.bincount(places, rows.occurrences).astype(np.int64)
    return TokenRows(rows.token_ids, keys // width, keys % width, occurrences, places[rows.row_of]), places


@dataclass(frozen=True)
class UnitRows:
    """Token counts by part and by unit; see `moexray.stats.inference.units`.

    Attributes
    ----------
    parts, units
        Token counts of parts and of units, with the same ids.
    place
        The row of `units` that holds each row of `parts` ``(rows,)``.
    """

    parts: TokenRows
    units: TokenRows
    place: NDArray[np.int64]

    @staticmethod
    def of(parts: TokenRows, units: Units) -> "UnitRows":
        """Add up the rows of the parts of each unit."""
        return UnitRows(parts, *joined_rows(parts, units.part_units))

    def by_unit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows of units, …)
        """Sum values of rows of parts over each row of units."""
        return sum_at(self.place, values, len(self.units.ids))

    def only(self, tokens: NDArray[np.bool_]) -> "UnitRows":
        """Count some of the tokens ``(tokens,)``; a row without any stays, with no occurrence."""
        if tokens.all():
            return self
        both = [
            replace(one, occurrences=np.bincount(one.row_of[tokens], minlength=len(one.ids)).astype(np.int64))
            for one in (self.parts, self.units)
        ]
        return UnitRows(both[0], both[1], self.place)


def scaled_selections(
    rows: TokenRows, chosen: NDArray[np.integer], experts: int, k: int
) -> NDArray[np.float64]:  # (rows, experts)
    """Sum the selections of each row, every one divided by the root of its token's number of them, times √k.

    So the product of the selections of two tokens, over k, is their number in common over the geometric mean of their
    numbers: a share of k where both select k, and 1 for equal selections, however many they are. Where every token
    selects k these are the counts of `selections`.

    Parameters
    ----------
    rows, chosen, experts
        As for `selections`.
    k
        Experts that a token of this layer selects, unless some of them are dropped.
    """
    present = chosen >= 0
    weights = np.sqrt(k / np.maximum(present.sum(axis=1), 1))
    cells = (rows.row_of[:, None] * experts + chosen)[present]
    counts = np.bincount(cells, np.broadcast_to(weights[:, None], chosen.shape)[present], len(rows.ids) * experts)
    return np.asarray(counts.reshape(-1, experts), np.float64)


def selections(rows: TokenRows, chosen: NDArray[np.integer], experts: int) -> NDArray[np.float64]:  # (rows, experts)
    """Count how often the occurrences of each row selected each expert.

    Parameters
    ----------
    rows
        Token counts of the tokens.
    chosen
        Experts of each token in one layer ``(tokens, k)``; negative for no selection.
    experts
        Number of experts of the layer.
    """
    present = chosen >= 0
    cells = (rows.row_of[:, None] * experts + chosen)[present]
    counts = np.bincount(cells, minlength=len(rows.ids) * experts)
    return counts.reshape(-1, experts).astype(np.float64)


def sum_at(places: NDArray[np.integer], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:  # (size, …)
    """Sum rows of `values` by place; ten times faster than `numpy.add.at`."""
    return np.asarray(marks_of(places, size) @ values)


def marks_of(places: NDArray[np.integer], size: int) -> Any:
    """Return the sparse matrix (size, rows) that sums rows by place."""
    from scipy.sparse import csr_array

    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(size + 1))
    return csr_array((np.ones(len(places)), order, ends), shape=(size, len(places)))
