"""Signatures and a trace drawn at random for the geometry of a model, as fast as a file can be written."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.prompt_table import PromptTable
from moexray.routing import RoutedSequence, RouterLayout
from moexray.signatures import Signatures
from moexray.trace import Trace
from moexray.trace_file import write_trace

CATEGORIES, VOCABULARY = 4, 2000
# Choices of each layer that tokens of a category are given, each layer for itself: drawing one for every token of 5,000
# prompts would take an hour.
_POOL = 1024
# Prompt tokens and written tokens of a prompt, at least and below.
_LENGTHS = (30, 100)


@dataclass(frozen=True)
class _Choices:
    """Experts and gate weights ``(categories, layers, choices, k)``."""

    experts: NDArray[np.int16]
    weights: NDArray[np.float16]


def drawn(prompts: int, *, layers: int, experts: int, k: int, folder: Path | None) -> tuple[Signatures, Trace | None]:
    """Return signatures, and the trace of all of their tokens with gate weights if there is a folder for it.

    Experts differ in popularity, a little by category; a prompt has 130 tokens on average and a text of some 200
    letters.
    """
    rng = np.random.default_rng(0)
    choices = _choices(rng, layers, experts, k)
    tokens = rng.integers(*_LENGTHS, size=(prompts, 2)).astype(np.int32)
    counts = np.zeros((prompts, 2, layers, experts), dtype=np.uint16)
    table = _table(rng, prompts)

    def sequences() -> Iterator[RoutedSequence]:
        for prompt, (asked, written) in enumerate(tokens.tolist()):
            place = rng.integers(_POOL, size=(asked + written, layers))
            of_layer = np.arange(layers)
            chosen = choices.experts[prompt % CATEGORIES, of_layer, place]
            segments = np.repeat(np.arange(2, dtype=np.int8), (asked, written))
            np.add.at(counts[prompt], (segments[:, None, None], of_layer[None, :, None], chosen), 1)
            yield RoutedSequence(
                token_ids=rng.integers(VOCABULARY, size=asked + written).astype(np.int32),
                segments=segments,
                experts=chosen,
                output="",
                gate_weights=choices.weights[prompt % CATEGORIES, of_layer, place],
            )

    layout = RouterLayout(tuple(range(layers)), (experts,) * layers, (k,) * layers)
    path = None if folder is None else folder / "signatures.trace.parquet"
    if path is None:
        deque(sequences(), maxlen=0)  # which counts
    else:
        write_trace(path, sequences(), table.ids, layout, lambda token: f" word{token}")
    signatures = Signatures(
        counts=counts,
        tokens=tokens,
        prompts=table,
        layers=np.arange(layers, dtype=np.int16),
        top_k=np.full(layers, k, dtype=np.int16),
        meta={"model": "drawn at random"},
    )
    return signatures, None if path is None else Trace.open(path, signatures)


def _choices(rng: np.random.Generator, layers: int, experts: int, k: int) -> _Choices:
    liking = rng.gumbel(size=(1 + CATEGORIES, layers, experts))
    chosen = np.empty((CATEGORIES, layers, _POOL, k), dtype=np.int16)
    weights = np.empty(chosen.shape, dtype=np.float16)
    for category in range(CATEGORIES):
        for layer in range(layers):
            popular = liking[0, layer] + liking[1 + category, layer] / 2
            scores = popular + rng.gumbel(size=(_POOL, experts))
            best = np.argsort(-scores, axis=1)[:, :k]
            chosen[category, layer] = best
            shares = np.exp(np.take_along_axis(scores, best, axis=1))
            weights[category, layer] = shares / shares.sum(axis=1, keepdims=True)
    return _Choices(chosen, weights)


def _table(rng: np.random.Generator, prompts: int) -> PromptTable:
    words = [f"word{i}" for i in range(VOCABULARY)]
    texts = tuple(" ".join(rng.choice(words, 30)) for _ in range(prompts))
    return PromptTable(
        ids=tuple(f"prompt-{i}" for i in range(prompts)),
        categories=tuple(f"category {i % CATEGORIES}" for i in range(prompts)),
        texts=texts,
        outputs=texts[::-1],
    )
