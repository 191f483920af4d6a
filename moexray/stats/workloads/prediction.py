"""Predictors of a token's experts that are learnt from other prompts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Scores are rounded to this part of one, so that ties do not depend on the order of additions.
_EXACT = 2**20


def most_likely(scores: NDArray[np.number], order: NDArray[np.integer], number: int) -> NDArray[np.int64]:
    """Return the experts of the highest scores ``(…, number)``, in no order; ties go by a fixed order of experts.

    Parameters
    ----------
    scores
        Whole numbers, or numbers of a few units ``(…, experts)``.
    order
        Place of each expert in that order, zero for the first ``(experts,)``.
    number
        How many.
    """
    experts = scores.shape[-1]
    whole = scores if np.issubdtype(scores.dtype, np.integer) else np.rint(scores * _EXACT)
    keys = whole.astype(np.int64) * experts + (experts - 1 - order)
    return np.argpartition(keys, experts - number, axis=-1)[..., experts - number :]


class TokenTable:
    """How often the tokens of each id used each expert.

    Attributes
    ----------
    ids
        The ids that have a row, ascending ``(ids,)``.
    counts
        Uses ``(ids, layers, experts)``.
    dropped
        Whether some ids have no row since there would be too many.
    """

    def __init__(self, layers: int, width: int, most: int) -> None:
        self.ids = np.zeros(0, dtype=np.int64)
        self.counts = np.zeros((0, layers, width), dtype=np.uint32)
        self.most = most
        self.dropped = False

    def add(self, token_ids: NDArray[np.integer], experts: NDArray[np.integer]) -> None:
        """Count the experts ``(tokens, layers, k)`` of some tokens ``(tokens,)``."""
        there, numbers = np.unique(token_ids, return_counts=True)
        new = ~np.isin(there, self.ids)
        room = self.most - len(self.ids)
        if new.sum() > room:
            self.dropped = True
            often = np.argsort(-numbers[new], kind="stable")[:room]
            new = np.isin(there, there[new][often])
        if new.any():
            ids = np.concatenate([self.ids, there[new]])
            order = np.argsort(ids)
            counts = np.zeros((len(ids), *self.counts.shape[1:]), dtype=np.uint32)
            counts[np.argsort(order)[: len(self.ids)]] = self.counts
            self.ids, self.counts = ids[order], counts
        rows = rows_of(self.ids, token_ids)
        known = rows < len(self.ids)
        width = self.counts.shape[2]
        for layer in range(self.counts.shape[1]):
            chosen = experts[known, layer]
            cells = (rows[known, None] * width + chosen)[chosen >= 0]
            self.counts[:, layer] += (
                np.bincount(cells, minlength=len(self.ids) * width).reshape(-1, width).astype(np.uint32)
            )

    def experts(self, layer: int, order: NDArray[np.integer], number: int) -> NDArray[np.int64]:
        """Return the likeliest experts of each row ``(ids + 1, number)``: for an unknown id those first in `order`."""
        unknown = np.zeros((1, self.counts.shape[2]), dtype=np.int64)
        return most_likely(np.concatenate([self.counts[:, layer].astype(np.int64), unknown]), order, number)


def rows_of(ids: NDArray[np.integer], token_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the place of each token id among ascending `ids`; one past the last for an id that is not there."""
    places = np.searchsorted(ids, token_ids)
    inside = np.minimum(places, max(len(ids) - 1, 0))
    known = ids[inside] == token_ids if len(ids) else np.zeros(len(places), dtype=bool)
    return np.where(known, inside, len(ids))


def transitions(experts: NDArray[np.integer], width: int) -> NDArray[np.int64]:
    """Count how often a token used one expert of a layer and another of the next ``(layers − 1, width, width)``.

    Parameters
    ----------
    experts
        Experts of each token ``(tokens, layers, k)``; negative for no selection.
    width
        Experts of the widest layer.
    """
    layers = experts.shape[1]
    found = np.zeros((max(layers - 1, 0), width, width), dtype=np.int64)
    missing = bool((experts < 0).any())
    for layer in range(1, layers):
        before, after = experts[:, layer - 1, :, None].astype(np.int64), experts[:, layer, None, :]
        cells = before * width + after
        if missing:
            cells = cells[(before >= 0) & (after >= 0)]
        found[layer - 1] = np.bincount(cells.ravel(), minlength=width * width).reshape(width, width)
    return found


def scores_from_layer_before(before: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return for each expert the sum over the experts of the layer before of the share of their tokens that used it.

    Parameters
    ----------
    before
        Experts of each token in the layer before ``(tokens, k)``; negative for no selection.
    counts
        `transitions` of the two layers ``(experts, experts)``.
    """
    tokens, k = before.shape
    width = len(counts)
    shares = counts * (k / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    used = np.zeros((tokens, width + 1))
    np.put_along_axis(used, np.where(before < 0, width, before).astype(np.int64), 1.0, axis=1)
    return np.asarray(used[:, :width] @ shares)


@dataclass(frozen=True)
class Library:
    """Whole requests to compare with: an expert activation matrix of each, as MoE-Infinity keeps them.

    Attributes
    ----------
    counts
        Uses of each request ``(requests, layers, experts)``.
    directions
        The same as vectors of unit length ``(layers * experts, requests)``.
    """

    counts: NDArray[np.int64]
    directions: NDArray[np.float32]

    @staticmethod
    def of(counts: NDArray[np.integer]) -> "Library":
        """Keep requests with these counts ``(requests, layers, experts)``."""
        vectors = counts.reshape(len(counts), -1).astype(np.float64)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
        return Library(counts.astype(np.int64), np.ascontiguousarray((vectors / lengths).T, dtype=np.float32))

    def nearest(self, experts: NDArray[np.integer], prompts: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the request that is nearest by cosine to what a prompt used so far, before each of its tokens.

        Parameters
        ----------
        experts
            Experts of each token ``(tokens, layers, k)``; negative for no selection.
        prompts
            The prompt of each token ``(tokens,)``, whose tokens stand together.

        Returns
        -------
        The place of the request ``(tokens,)``; one past the last where nothing was used yet.
        """
        tokens, layers, _ = experts.shape
        requests, width = self.counts.shape[0], self.counts.shape[2]
        products = np.zeros((tokens, requests), dtype=np.float64)
        part = max(1, 2**22 // (layers * width))
        numbered = np.where(experts < 0, layers * width, experts + np.arange(layers)[:, None] * width)
        for start in range(0, tokens, part):
            rows = numbered[start : start + part].reshape(-1, layers * experts.shape[2])
            used = np.zeros((len(rows), layers * width + 1), dtype=np.float32)
            np.put_along_axis(used, rows, np.float32(1), axis=1)
            products[start : start + part] = used[:, :-1] @ self.directions
        sums = np.cumsum(products, axis=0) - products
        first = np.flatnonzero(np.diff(prompts, prepend=-1))
        lengths = np.diff([*first, tokens])
        sums -= np.repeat(sums[first], lengths, axis=0)
        found = np.argmax(np.rint(sums * _EXACT), axis=1)
        found[first] = requests
        return np.asarray(found)
