"""Tokens of one id compared with each other: within a category, and across categories."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from moexray.stats.inference.labels import category_numbers
from moexray.stats.pairs.summaries import Interval
from moexray.stats.tokens.pairs import CategorySums, IdPairs
from moexray.stats.tokens.same_token import same_token_test
from moexray.stats.tokens.sums import selections, token_rows
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LIMITS
from moexray.studies.sections.tokens import Tokens
from moexray.trace import RoutedTokens, Trace


@dataclass(frozen=True)
class LayerGain:
    """One layer of the same-token test, with the central 95 % of its permutation distribution."""

    layer: int
    gain: float
    null_ci: Interval
    p_value: float
    p_value_corrected: float


@dataclass(frozen=True)
class GainOfAll:
    """The gain over all prompts, where the test looked at some of them; None in a layer without pairs of an id."""

    gain: float | None
    by_layer: tuple[float | None, ...]


@dataclass(frozen=True)
class SameToken:
    """Share of the experts that two occurrences of a token id have in common, within categories minus across.

    Attributes
    ----------
    gain, ci
        The difference, a share of the k experts.
    within
        The share within categories.
    null_mean, null_std, p_value, permutations
        Of permuted labels.
    ids
        How many token ids make pairs.
    by_layer
        Each layer's gain.
    every_prompt
        The gain of all prompts, where the rest is of a sample.
    """

    gain: float
    ci: Interval | None
    within: float
    null_mean: float
    null_std: float
    p_value: float
    permutations: int
    ids: int
    by_layer: tuple[LayerGain, ...]
    every_prompt: GainOfAll | None = optional()


def same_token(cohort: Cohort, tokens: Tokens) -> SameToken:
    """Test the gain under permuted labels.

    Raises
    ------
    NotComputable
        If no token id makes pairs within and across categories.
    """
    limits = cohort.limits
    many = len(tokens.labels) > limits.gain_many
    found = same_token_test(
        tokens.routed.token_ids,
        tokens.routed.prompts,
        tokens.routed.experts,
        tokens.labels,
        width=tokens.width,
        permutations=min(cohort.permutations, limits.gain_permutations_of_many if many else limits.gain_permutations),
        rng=cohort.rng("token_identity.same_token"),
        groups=tokens.groups,
    )
    by_layer = zip(tokens.layers, found.by_layer, found.null_by_layer, found.p_values, found.adjusted, strict=True)
    return SameToken(
        gain=found.gain,
        ci=found.gain_ci,
        within=found.within,
        null_mean=found.null_mean,
        null_std=found.null_std,
        p_value=found.p_value,
        permutations=found.permutations,
        ids=found.ids,
        by_layer=tuple(LayerGain(*of_layer) for of_layer in by_layer),
    )


def with_every_prompt(found: SameToken, cohort: Cohort, trace: Trace) -> SameToken:
    """Add the gain of all prompts of a trace."""
    gains = streamed_gains(trace, cohort.tokens, most_bytes=cohort.limits.token_bytes)
    known = [gain for gain in gains if gain is not None]
    mean = float(np.mean(known)) if len(known) == len(gains) else None
    return replace(found, every_prompt=GainOfAll(mean, tuple(gains)))


def streamed_gains(
    trace: Trace, tokens: str = "all", *, most_bytes: int = LIMITS.token_bytes
) -> list[float | None]:  # (layers,)
    """Return each layer's gain of the same-token test over all prompts.

    Memory: numbers for ids × categories × experts in each layer that is summed; as many layers as fit `most_bytes`
    are summed in one reading of the trace.
    """
    numbers = category_numbers(trace.signatures.prompts.categories)
    ids = np.zeros(0, dtype=np.int64)
    for block in trace.blocks():
        ids = np.union1d(ids, block.select(tokens).token_ids)
    categories = int(numbers.max()) + 1
    layers, width = len(trace.signatures.layers), trace.width
    together = max(1, most_bytes // (len(ids) * categories * (width + 3) * 8))
    gains: list[float | None] = []
    for start in range(0, layers, together):
        some = range(start, min(start + together, layers))
        sums = [_no_sums(len(ids), categories, width) for _ in some]
        for block in trace.blocks():
            _add(sums, block.select(tokens), some, ids=ids, numbers=numbers)
        pairs = [one.pairs(int(trace.signatures.top_k[layer])) for one, layer in zip(sums, some, strict=True)]
        gains += [_gain(one) for one in pairs]
    return gains


def _no_sums(ids: int, categories: int, width: int) -> CategorySums:
    empty = np.zeros((4, ids, categories))
    return CategorySums(empty[0], np.zeros((ids, categories, width)), empty[1], empty[2])


def _add(
    sums: Sequence[CategorySums],
    block: RoutedTokens,
    layers: range,
    *,
    ids: NDArray[np.int64],
    numbers: NDArray[np.integer],
) -> None:
    rows = token_rows(block.token_ids, block.prompts)
    where = np.searchsorted(ids, rows.token_ids)
    for one, layer in zip(sums, layers, strict=True):
        counts = selections(rows, block.experts[:, layer], one.selections.shape[2])
        more = CategorySums.of(rows, counts, numbers, one.occurrences.shape[1])
        for part in fields(CategorySums):
            getattr(one, part.name)[where] += getattr(more, part.name)


def _gain(pairs: IdPairs) -> float | None:
    weight = float(pairs.weights.sum())
    return float(pairs.weighted_gains.sum()) / weight if weight else None
