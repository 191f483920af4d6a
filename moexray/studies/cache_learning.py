"""What caches and predictors learn from one half of the prompts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.stats.workloads.prediction import (
    Library,
    TokenTable,
    most_likely,
    rows_of,
    scores_from_layer_before,
    transitions,
)
from moexray.studies.halves import Halves

# Whole requests that MoE-Infinity's predictor compares with, and numbers in the table of token ids.
_LIBRARY, _TABLE = 256, 2**25

# The names of the predictors, and when each can be asked.
PREDICTORS = {
    "most_used": "always",
    "previous_token": "after the token before",
    "request": "after the token before",
    "token_id": "before the first layer",
    "previous_layer": "after the layer before",
}


@dataclass(frozen=True)
class Learnt:
    """What one half of the prompts teaches.

    Attributes
    ----------
    counts
        Uses of each expert of each layer ``(layers, experts)``.
    order
        Place of each expert by its uses, zero for the most used of its layer ``(layers, experts)``.
    ids, by_id
        Token ids, ascending, and of each layer the experts that each of them used most ``(ids + 1, k)``; last those for
        any other id.
    ids_dropped
        Whether some ids were left out, since there would have been too many.
    following
        `moexray.stats.workloads.prediction.transitions`.
    library
        Some of the prompts, whole.
    """

    counts: NDArray[np.int64]
    order: NDArray[np.int64]
    ids: NDArray[np.int64]
    by_id: tuple[NDArray[np.int16], ...]
    ids_dropped: bool
    following: NDArray[np.int64]
    library: Library


def learnt_from(blocks: Iterator[RoutedTokens], halves: Halves, *, signatures: Signatures, seed: int) -> Learnt:
    """Read the learning half of a trace once.

    Parameters
    ----------
    blocks
        The selected tokens, in blocks of whole prompts.
    halves
        The halves of the prompts.
    signatures
        Of all prompts.
    seed
        Of the prompts that are kept whole, where there are many.
    """
    layers, width = len(signatures.layers), int(signatures.experts.max())
    counts = np.zeros((layers, width), dtype=np.int64)
    following = np.zeros((layers - 1, width, width), dtype=np.int64)
    table = TokenTable(layers, width, max(1, _TABLE // (layers * width)))
    kept = halves.learnt
    if len(kept) > _LIBRARY:
        kept = np.sort(np.random.default_rng([seed, _LIBRARY]).choice(kept, _LIBRARY, replace=False))
    place = np.full(len(signatures), -1)
    place[kept] = np.arange(len(kept))
    whole = np.zeros((len(kept), layers, width), dtype=np.int64)
    is_learnt = np.zeros(len(signatures), dtype=bool)
    is_learnt[halves.learnt] = True
    for block in blocks:
        some = block.take(is_learnt[block.prompts])
        table.add(some.token_ids, some.experts)
        following += transitions(some.experts, width)
        for layer in range(layers):
            chosen = some.experts[:, layer]
            counts[layer] += np.bincount(chosen[chosen >= 0], minlength=width)
        own = place[some.prompts] >= 0
        np.add.at(whole, _cells(place[some.prompts[own]], some.experts[own]), 1)
    order = ranks_of(counts)
    by_id = tuple(
        table.experts(layer, order[layer], k).astype(np.int16) for layer, k in enumerate(signatures.top_k.tolist())
    )
    return Learnt(counts, order, table.ids, by_id, table.dropped, following, Library.of(whole))


def ranks_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the place of each expert by its count, zero for the highest; of equal ones the first comes first."""
    order = np.argsort(-counts, axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def _cells(
    prompts: NDArray[np.integer], experts: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
    """Return prompt, layer and expert of every selection."""
    token, layer, slot = np.nonzero(experts >= 0)
    return prompts[token], layer, experts[token, layer, slot]


Predict = Callable[[int, int], NDArray[np.int64]]


def predictions(learnt: Learnt, tokens: RoutedTokens) -> dict[str, Predict]:
    """Return the predictors of some tokens of whole prompts, by name.

    Each takes the place of a layer and how many experts to name, and returns them ``(tokens, number)``; −1 for none.
    A predictor that knows nothing yet names the most used experts.
    """
    experts, size = tokens.experts, len(tokens)
    first = np.diff(tokens.prompts, prepend=-1) != 0
    rows = rows_of(learnt.ids, tokens.token_ids)
    nearest = learnt.library.nearest(experts, tokens.prompts)

    def most_used(layer: int, number: int) -> NDArray[np.int64]:
        return np.broadcast_to(np.argsort(learnt.order[layer])[:number], (size, number))

    def previous_token(layer: int, number: int) -> NDArray[np.int64]:
        before = np.roll(experts[:, layer, :number], 1, axis=0).astype(np.int64)
        return np.where(first[:, None], most_used(layer, number), before)

    def request(layer: int, number: int) -> NDArray[np.int64]:
        counts = learnt.library.counts[:, layer]
        nothing = np.zeros((1, counts.shape[1]), dtype=np.int64)
        return most_likely(np.concatenate([counts, nothing]), learnt.order[layer], number)[nearest]

    def token_id(layer: int, number: int) -> NDArray[np.int64]:
        return learnt.by_id[layer][rows, :number].astype(np.int64)

    def previous_layer(layer: int, number: int) -> NDArray[np.int64]:
        if layer == 0:
            return most_used(layer, number)
        scores = scores_from_layer_before(experts[:, layer - 1], learnt.following[layer - 1])
        return most_likely(scores, learnt.order[layer], number)

    found: dict[str, Predict] = {
        "most_used": most_used,
        "previous_token": previous_token,
        "request": request,
        "token_id": token_id,
        "previous_layer": previous_layer,
    }
    return found
