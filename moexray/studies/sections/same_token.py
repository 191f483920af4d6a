"""Tokens of one id compared with each other: within a category, and across categories."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.routed_tokens import RoutedTokens
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.summaries import Interval
from moexray.stats.tokens.pairs import CategorySums, IdPairs
from moexray.stats.tokens.same_token import SameTokenTest, same_token_test
from moexray.stats.tokens.sums import UnitRows, scaled_selections, token_rows
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LIMITS
from moexray.studies.sections.tokens import Tokens
from moexray.trace import Trace


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
class SameContext:
    """The same gain, between occurrences of one token id after one and the same other token.

    Attributes
    ----------
    gain, ci, p_value, permutations
        As of `SameToken`, mean over layers.
    contexts
        How many of two tokens in a row make pairs.
    covered
        The share of tokens that are in one of them.
    """

    gain: float
    ci: Interval | None
    p_value: float
    permutations: int
    contexts: int
    covered: float


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
    found = _test(cohort, tokens, tokens.routed, "token_identity.same_token")
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


def same_context(cohort: Cohort, tokens: Tokens) -> SameContext:
    """Test the gain of tokens after the same token: a router that sees both cannot make it from a choice of either.

    Raises
    ------
    NotComputable
        If no two tokens in a row make pairs within and across categories.
    """
    later = tokens.before >= 0
    both = np.stack([tokens.before, tokens.routed.token_ids])[:, later]
    contexts = np.unique(both, axis=1, return_inverse=True)[1].ravel()
    try:
        found = _test(cohort, tokens, replace(tokens.routed.take(later), token_ids=contexts), "token_identity.context")
    except NotComputable as reason:
        message = "no two tokens in a row occur in two prompts of one category and in one of another"
        raise NotComputable(message) from reason
    covered = found.covered * float(np.mean(later))
    return SameContext(found.gain, found.gain_ci, found.p_value, found.permutations, found.ids, covered)


def _test(cohort: Cohort, tokens: Tokens, routed: RoutedTokens, name: str) -> SameTokenTest:
    limits = cohort.limits
    many = len(tokens.labels) > limits.gain_many
    return same_token_test(
        routed.token_ids,
        routed.prompts,
        routed.experts,
        tokens.labels,
        width=tokens.width,
        permutations=min(cohort.permutations, limits.gain_permutations_of_many if many else limits.gain_permutations),
        rng=cohort.rng(name),
        groups=tokens.groups,
        top_k=tokens.top_k,
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
    are summed in one reading of the trace. Beside them, the selections of the groups whose prompts do not follow each
    other in the file are held until the last of these prompts.
    """
    prompts = trace.signatures.prompts
    units = units_of(prompts.categories, prompts.groups)
    ids, last = np.zeros(0, dtype=np.int64), np.zeros(len(units), dtype=np.int64)
    for number, block in enumerate(trace.blocks()):
        chosen = block.select(tokens)
        ids = np.union1d(ids, chosen.token_ids)
        last[units.units[chosen.prompts]] = number
    layers, width = len(trace.signatures.layers), trace.width
    together = max(1, most_bytes // (max(1, len(ids)) * len(units.names) * (width + 5) * 8))
    gains: list[float | None] = []
    for start in range(0, layers, together):
        some = range(start, min(start + together, layers))
        k = trace.signatures.top_k[some.start : some.stop].tolist()
        sums = [_no_sums(len(ids), len(units.names), width) for _ in some]
        for chosen in _whole_units(trace, tokens, last[units.units]):
            _add(sums, chosen, some, k, ids=ids, units=units)
        gains += [_gain(one.pairs(of_layer)) for one, of_layer in zip(sums, k, strict=True)]
    return gains


def _whole_units(trace: Trace, tokens: str, last: NDArray[np.integer]) -> Iterator[RoutedTokens]:
    """Yield the tokens of units at the last of their blocks; `last` is its number for each prompt ``(prompts,)``."""
    held: dict[int, list[RoutedTokens]] = defaultdict(list)
    for number, block in enumerate(trace.blocks()):
        chosen = block.select(tokens)
        ends = last[chosen.prompts]
        for end in np.unique(ends).tolist():
            held[end].append(chosen.take(ends == end))
        if number in held:
            yield RoutedTokens.joined(held.pop(number))


def _no_sums(ids: int, categories: int, width: int) -> CategorySums:
    empty = np.zeros((4, ids))
    return CategorySums(np.zeros((ids, categories)), np.zeros((ids, categories, width)), *empty)


def _add(
    sums: Sequence[CategorySums],
    tokens: RoutedTokens,
    layers: range,
    k: Sequence[int],
    *,
    ids: NDArray[np.int64],
    units: Units,
) -> None:
    every = UnitRows.of(token_rows(tokens.token_ids, units.parts[tokens.prompts]), units)
    where = np.searchsorted(ids, every.parts.token_ids)
    for one, layer, of_layer in zip(sums, layers, k, strict=True):
        chosen = tokens.experts[:, layer]
        rows = every.only(np.any(chosen >= 0, axis=1))
        counts = scaled_selections(rows.parts, chosen, one.selections.shape[2], of_layer)
        more = CategorySums.of(rows, counts, units.part_categories, one.occurrences.shape[1])
        for part in fields(CategorySums):
            getattr(one, part.name)[where] += getattr(more, part.name)


def _gain(pairs: IdPairs) -> float | None:
    weight = float(pairs.weights.sum())
    return float(pairs.weighted_gains.sum()) / weight if weight else None
