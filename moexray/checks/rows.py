"""Rows as they were recorded, a token in a layer each, and what may be wrong with one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Stands for an id that a shorter list does not have.
ABSENT = -(2**31)

KINDS = {
    "unwritten": "never written",
    "number": "another number of experts than k",
    "range": "an expert that the layer does not have",
    "twice": "one expert twice",
    "rows": "other rows than tokens",
    "constant": "all generated rows the same",
    "layer": "a layer that the signatures do not have",
    "refused": "refused",
}
# Those of a single row.
ROW_KINDS = tuple(KINDS)[:4]


@dataclass(frozen=True)
class Rows:
    """Rows of whole prompts, as they were recorded: a row for each token and layer, in whatever order.

    Attributes
    ----------
    prompts
        The place of each row's prompt among `names` ``(rows,)``.
    positions, token_ids
        Of its token ``(rows,)``.
    phases
        The place of its phase in `PHASES` ``(rows,)``.
    layers
        The place of its layer in the layout, −1 for one that is not there ``(rows,)``.
    ids
        Selected experts ``(rows, k or more)``, `ABSENT` beyond those that were recorded.
    names
        Ids of prompts.
    """

    prompts: NDArray[np.int64]
    positions: NDArray[np.int64]
    token_ids: NDArray[np.int64]
    phases: NDArray[np.int64]
    layers: NDArray[np.int64]
    ids: NDArray[np.int64]
    names: Sequence[str]


def kinds_of_rows(
    ids: NDArray[np.int64], k: NDArray[np.integer], experts: NDArray[np.integer], *, may_drop: bool
) -> NDArray[np.int8]:  # (rows,)
    """Return what is wrong with each row: the place of its kind in `KINDS`, −1 for nothing.

    Parameters
    ----------
    ids
        ``(rows, k or more)``, `ABSENT` beyond those that were recorded.
    k, experts
        Of each row's layer ``(rows,)``.
    may_drop
        Whether the router may select fewer than k.
    """
    there = ids != ABSENT
    number = there.sum(axis=1)
    first = ids[:, 0]
    same = ((ids == first[:, None]) | ~there).all(axis=1)
    outside = there & ((ids < 0) | (ids >= experts[:, None]))
    ordered = np.sort(np.where(there & (ids >= 0), ids, ABSENT + np.arange(ids.shape[1])), axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    blank = same & ((number > 1) | (first == -1) | ((first == 255) & outside[:, 0]))
    unwritten = (number == 0) | blank
    if may_drop:  # −1 stands for a selection that the router left out
        unwritten = blank & (first != -1) & (number > 0)
        outside &= ids != -1
    wrong_number = number > k if may_drop else number != k
    kinds = np.full(len(ids), -1, dtype=np.int8)
    for place, which in reversed(list(enumerate((unwritten, wrong_number, outside.any(axis=1), twice)))):
        kinds[which] = place
    return kinds


def rows_of_sequence(
    name: str,
    token_ids: NDArray[np.integer],
    phases: NDArray[np.integer],
    experts: NDArray[np.integer],
    top_k: Sequence[int],
) -> Rows:
    """Return the rows of one prompt, recorded as ``(tokens, layers, k)``; nothing beyond a layer's k is looked at."""
    tokens, layers, width = experts.shape
    inside = np.arange(width) < np.asarray(top_k)[:, None]  # (layers, k)
    ids = np.where(inside, experts.astype(np.int64), ABSENT)
    return Rows(
        prompts=np.zeros(tokens * layers, dtype=np.int64),
        positions=np.repeat(np.arange(tokens), layers),
        token_ids=np.repeat(token_ids.astype(np.int64), layers),
        phases=np.repeat(phases.astype(np.int64), layers),
        layers=np.tile(np.arange(layers), tokens),
        ids=ids.reshape(tokens * layers, width),
        names=[name],
    )
