"""Signatures as expected from token ids, and what is left of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import classify
from moexray.stats.pairs.matrix import matrix_effect, matrix_permutation_test, matrix_similarity
from moexray.stats.pairs.summaries import Interval
from moexray.stats.tokens.expected import ExpectedRouting, OtherBlocks, covered_tokens, expected_routing
from moexray.stats.tokens.residual import residual_test
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.sections.tokens import Tokens


@dataclass(frozen=True)
class LayerPValue:
    """A layer's p-value, and the same adjusted for the number of layers."""

    layer: int
    p_value: float
    p_value_corrected: float


@dataclass(frozen=True)
class Separation:
    """How far categories are apart in one kind of signatures.

    Attributes
    ----------
    p_value, permutations, by_layer
        Of permuted labels; the last two where they have a test of their own.
    accuracy, accuracy_ci
        Of a classifier of these signatures.
    """

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    p_value: float | None = None
    accuracy: float | None = None
    accuracy_ci: Interval | None = None
    permutations: int | None = optional()
    by_layer: tuple[LayerPValue, ...] | None = optional()


@dataclass(frozen=True)
class LayerSeparation:
    """Cohen's d of one layer."""

    layer: int
    observed: float | None
    expected: float | None
    residual: float | None


@dataclass(frozen=True)
class Expectation:
    """Signatures as they are, as expected from their token ids, and the difference.

    Attributes
    ----------
    covered
        Share of tokens whose id occurs often enough elsewhere.
    layers
        Cohen's d of each, layer by layer.
    """

    covered: float
    observed: Separation
    expected: Separation
    residual: Separation
    layers: tuple[LayerSeparation, ...]


@dataclass(frozen=True)
class _Kind:
    """One kind of signatures: vectors and products of noise, taken from one layer."""

    vectors: Callable[[ExpectedRouting], NDArray[np.float64]]
    noise: Callable[[ExpectedRouting], NDArray[np.float64]]


_KINDS = {
    "observed": _Kind(lambda one: one.observed, lambda one: np.zeros_like(one.noise_expected)),
    "expected": _Kind(lambda one: one.expected, lambda one: one.noise_expected),
    "residual": _Kind(lambda one: one.residual, lambda one: one.noise_residual),
}


def expectation(cohort: Cohort, tokens: Tokens, others: OtherBlocks, *, classified: Notes | None = None) -> Expectation:
    """Compare observed, expected and residual signatures.

    Parameters
    ----------
    cohort, tokens
        The prompts, and their tokens.
    others
        Where the routing of an id is expected from.
    classified
        Notes of a classifier of each kind of signatures; None leaves the classifiers out.

    Raises
    ------
    NotComputable
        If too few tokens have an id that occurs often enough elsewhere.
    """
    covered = covered_tokens(others)
    there = np.flatnonzero(covered)
    labels = [tokens.labels[i] for i in there.tolist()]
    groups = None if tokens.groups is None else [tokens.groups[i] for i in there.tolist()]
    if len(set(labels)) < 2 or len(there) == len(set(labels)):
        message = "too few tokens have an id that occurs often enough elsewhere"
        raise NotComputable(message)
    by_layer = [expected_routing(others, counts) for counts in tokens.by_layer]
    # One stream: the permutations of expected signatures follow those of observed ones.
    rng = cohort.rng("token_identity.expected")
    permutations = min(cohort.permutations, cohort.limits.expected_permutations)
    kinds: dict[str, Separation] = {}
    effects: dict[str, list[float | None]] = {}
    for name, kind in _KINDS.items():
        vectors = [kind.vectors(one)[there] for one in by_layer]
        noise = [kind.noise(one)[np.ix_(there, there)] for one in by_layer]
        similarities = _cosines(np.hstack(vectors), np.sum(noise, axis=0))
        found = _separation(similarities, labels, groups)
        if name != "residual":
            test = matrix_permutation_test(similarities, labels, permutations=permutations, rng=rng, groups=groups)
            found = replace(found, p_value=test.p_value)
        if classified is not None:
            found = replace(found, **_accuracy(cohort, tokens, there, np.hstack(vectors), classified))
        kinds[name] = found
        effects[name] = [
            matrix_effect(_cosines(*one), labels, groups=groups) for one in zip(vectors, noise, strict=True)
        ]
    rows = zip(tokens.layers, effects["observed"], effects["expected"], effects["residual"], strict=True)
    share = float(covered.sum() / tokens.rows.occurrences.sum())
    return Expectation(covered=share, **kinds, layers=tuple(LayerSeparation(*row) for row in rows))


def with_residual_test(found: Separation, cohort: Cohort, tokens: Tokens) -> Separation:
    """Add the permutation test of residual signatures.

    Raises
    ------
    NotComputable
        If the test is not.
    """
    test = residual_test(
        tokens.rows,
        tokens.by_layer,
        tokens.labels,
        permutations=min(cohort.permutations, cohort.limits.residual_permutations),
        rng=cohort.rng("token_identity.residual"),
        groups=tokens.groups,
    )
    by_layer = zip(tokens.layers, test.p_values, test.adjusted, strict=True)
    return replace(
        found,
        p_value=test.p_value,
        permutations=test.permutations,
        by_layer=tuple(LayerPValue(*of_layer) for of_layer in by_layer),
    )


def _cosines(vectors: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1)
    lengths[lengths == 0] = 1
    return np.asarray((vectors @ vectors.T - noise) / lengths[:, None] / lengths)


def _separation(similarities: NDArray[np.float64], labels: Sequence[str], groups: Sequence[str] | None) -> Separation:
    found = matrix_similarity(similarities, labels, groups=groups)
    return Separation(found.within.mean, found.across.mean, found.cohens_d, found.cohens_d_ci)


def _accuracy(
    cohort: Cohort, tokens: Tokens, there: NDArray[np.int64], vectors: NDArray[np.float64], notes: Notes
) -> dict[str, Any]:
    some = there.tolist()
    groups = None if tokens.groups is None else [tokens.groups[i] for i in some]
    options = {**cohort.fold_options, "groups": groups}
    found = notes.attempt("accuracy", lambda: classify(vectors, [tokens.labels[i] for i in some], **options))
    return {} if found is None else {"accuracy": found.accuracy, "accuracy_ci": found.accuracy_ci}
