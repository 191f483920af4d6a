"""The token ids that each expert gets, counted from a trace and shown in context."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.stats.tokens.sums import sum_at
from moexray.trace import Trace

# A token id that occurs less often says nothing of an expert.
LEAST_OCCURRENCES = 5
_AROUND = 6


@dataclass(frozen=True)
class Example:
    """A token in brackets with the tokens around it, and the prompt that holds it."""

    prompt: str
    text: str


@dataclass(frozen=True)
class LayerTokens:
    """The token ids of one layer's experts, and which experts it selected together.

    Attributes
    ----------
    token_ids, occurrences, counts
        Ids, how often each occurs, and what it was sent to ``(ids,)``, ``(ids,)``, ``(ids, experts)``.
    pairs, tokens
        Tokens that selected both of two experts ``(experts, experts)``, and all tokens.
    """

    token_ids: NDArray[np.int64]
    occurrences: NDArray[np.int64]
    counts: NDArray[np.int32]
    pairs: NDArray[np.int64]
    tokens: int


def layer_tokens(trace: Trace, tokens: str = "all") -> list[LayerTokens]:
    """Count ids by expert, and experts by expert, in every layer of a trace, which is read twice."""
    token_ids = np.zeros(0, dtype=np.int64)
    for block in trace.blocks():
        token_ids = np.union1d(token_ids, block.select(tokens).token_ids)
    layers, width = len(trace.signatures.layers), trace.width
    counts = np.zeros((layers, len(token_ids), width), dtype=np.int32)
    pairs = np.zeros((layers, width, width), dtype=np.int64)
    occurrences = np.zeros(len(token_ids), dtype=np.int64)
    for block in (block.select(tokens) for block in trace.blocks()):
        known, rows = np.unique(np.searchsorted(token_ids, block.token_ids), return_inverse=True)
        occurrences[known] += np.bincount(rows, minlength=len(known))
        for layer, chosen in enumerate(block.experts.swapaxes(0, 1)):
            marks = marks_of(chosen, width)
            counts[layer, known] += sum_at(rows, marks, len(known)).astype(np.int32)
            pairs[layer] += (marks.T @ marks).astype(np.int64)
    number = int(occurrences.sum())
    return [LayerTokens(token_ids, occurrences, *found, number) for found in zip(counts, pairs, strict=True)]


def marks_of(chosen: NDArray[np.integer], width: int) -> NDArray[np.float64]:  # (tokens, experts)
    """Mark with 1 the experts of each token, of selections ``(tokens, k)`` of one layer; −1 is none."""
    marks = np.zeros((len(chosen), width + 1))  # the last column takes what is no selection
    np.put_along_axis(marks, np.where(chosen < 0, width, chosen).astype(np.int64), 1, axis=1)
    return marks[:, :width]


def examples(trace: Trace, layer: int, expert: int, *, tokens: str = "all", most: int = 5) -> tuple[Example, ...]:
    """Return the tokens that an expert gets most reliably, each in its context, and each in another prompt.

    In the order of the share of an id's occurrences that the expert gets; ids that occur fewer than five times come
    last. The trace is read twice.
    """
    texts, place = trace.texts(), trace.signatures.layers.tolist().index(layer)
    best = _by_share(trace, place, expert, tokens)[:most]
    found: dict[int, tuple[int, str]] = {}
    for block in (block.select(tokens) for block in trace.blocks()):
        hit = (block.experts[:, place] == expert).any(axis=1)
        for token in (token for token in best if token not in found):
            shown = [prompt for prompt, _ in found.values()]
            rows = np.flatnonzero(hit & (block.token_ids == token) & ~np.isin(block.prompts, shown))
            if len(rows):
                found[token] = (int(block.prompts[rows[0]]), _in_context(block, int(rows[0]), texts))
    names = trace.signatures.prompts.ids
    return tuple(Example(names[found[token][0]], found[token][1]) for token in best if token in found)


def _by_share(trace: Trace, place: int, expert: int, tokens: str) -> list[int]:
    """Return the ids that an expert gets, ordered by the share that it gets of them."""
    occurrences: Counter[int] = Counter()
    got: Counter[int] = Counter()
    for block in (block.select(tokens) for block in trace.blocks()):
        hit = (block.experts[:, place] == expert).any(axis=1)
        occurrences.update(block.token_ids.tolist())
        got.update(block.token_ids[hit].tolist())
    return sorted(got, key=lambda i: (occurrences[i] < LEAST_OCCURRENCES, -got[i] / occurrences[i], i))


def _in_context(block: RoutedTokens, row: int, texts: Mapping[int, str]) -> str:
    """Return the text of the tokens around a row, which stands in brackets."""
    of_prompt = np.flatnonzero(block.prompts == block.prompts[row])
    around = range(max(of_prompt[0], row - _AROUND), min(of_prompt[-1], row + _AROUND) + 1)
    words = [texts.get(int(block.token_ids[i]), "?") for i in around]
    words[row - around.start] = f"[{words[row - around.start]}]"
    return "".join(words)
