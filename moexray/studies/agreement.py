"""Selections of two routers compared token by token, from their traces."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.stats.experts.saturation import Saturation, router_saturation
from moexray.trace import Trace


def router_agreement(traces: tuple[Trace, Trace], prompts: Signatures, tokens: str = "all") -> tuple[Saturation, int]:
    """Return the share of a token's experts that both routers select in each layer, and the number of tokens.

    Prompt tokens are compared always, generated ones as far as both models wrote the same.

    Parameters
    ----------
    traces
        Of the two captures.
    prompts
        The prompts and the layers that are compared.
    tokens
        Which tokens: see `moexray.segments.places`.

    Raises
    ------
    AnalysisError
        If the two have other tokens.
    """
    _check_vocabularies(traces)
    first, second = _aligned(*(_tokens_of(trace, prompts, tokens) for trace in traces))
    same = first.token_ids == second.token_ids
    _check_given(first, same, prompts)
    kept = _before_the_first_difference(first, same, len(prompts))
    held, numbers = np.unique(first.prompts[kept], return_inverse=True)
    layers = prompts.layers.tolist()
    chosen = [
        one.experts[kept][:, [trace.signatures.layers.tolist().index(layer) for layer in layers]]
        for one, trace in zip((first, second), traces, strict=True)
    ]
    table = prompts.prompts
    labels = [table.categories[i] for i in held]
    groups = None if table.groups is None else [table.groups[i] for i in held]
    return router_saturation(chosen[0], chosen[1], numbers, labels, groups=groups), int(kept.sum())


def _check_vocabularies(traces: tuple[Trace, Trace]) -> None:
    first, second = (trace.texts() for trace in traces)
    for token in first.keys() & second.keys():
        if first[token] != second[token]:
            named = f"{first[token]!r} in one and {second[token]!r} in the other"
            message = f"token {token} is {named}: their tokenizers differ"
            raise AnalysisError(message)


def _tokens_of(trace: Trace, prompts: Signatures, tokens: str) -> RoutedTokens:
    places = trace.signatures.prompts.place_of()
    return trace.tokens(np.array([places[name] for name in prompts.prompts.ids]), tokens)


def _aligned(first: RoutedTokens, second: RoutedTokens) -> tuple[RoutedTokens, RoutedTokens]:
    """Return the tokens at the positions that both have, in the order of prompts and positions."""
    width = 1 + max(int(one.positions.max()) for one in (first, second))
    one, other = (each.prompts * width + each.positions for each in (first, second))
    _, ours, theirs = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    return first.take(ours), second.take(theirs)


def _check_given(first: RoutedTokens, same: NDArray[np.bool_], prompts: Signatures) -> None:
    """Raise AnalysisError if a prompt token is not the same in both."""
    wrong = np.flatnonzero(~first.generated & ~same)
    if len(wrong):
        name = prompts.prompts.ids[int(first.prompts[wrong[0]])]
        message = f"prompt {name!r} is not the same tokens in both: their tokenizers or templates differ"
        raise AnalysisError(message)


def _before_the_first_difference(
    tokens: RoutedTokens, same: NDArray[np.bool_], prompts: int
) -> NDArray[np.bool_]:  # (tokens,)
    """Return which tokens come before the first one of their prompt that is not the same in both."""
    first = np.full(prompts, np.iinfo(np.int64).max)
    np.minimum.at(first, tokens.prompts[~same], tokens.positions[~same])
    return np.asarray(tokens.positions < first[tokens.prompts])
