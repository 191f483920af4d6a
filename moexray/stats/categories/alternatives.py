"""Specification curve: the category effect under every sensible choice of measure, layers, tokens and categories."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import similarity, unit_rows

EVERY = "none"
# Jensen–Shannon similarity is not an inner product of signatures: it needs a matrix of prompts by prompts.
_MOST_PROMPTS = 500


@dataclass(frozen=True)
class Specification:
    """One choice of measure, layers, tokens and categories, and its category effect; None where there is none.

    Attributes
    ----------
    measure
        The measure of similarity.
    layers
        ``concatenated``: one similarity of all layers; ``averaged``: the mean of the layers' similarities.
    phase
        The tokens that were counted: ``all``, or those of a segment.
    left_out
        The category that was left out, or ``none``; a category of that name stands in quotation marks.
    cohens_d, auc, p_value
        Effect size, AUC, and the p-value from permuting the labels of the prompts that it looks at, not adjusted.
    """

    measure: str
    layers: str
    phase: str
    left_out: str
    cohens_d: float | None
    auc: float | None
    p_value: float | None


def specifications(
    loads: Mapping[str, NDArray[np.integer]],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    masses: Mapping[str, NDArray[np.floating]] | None = None,
    permutations: int,
    rng: int | np.random.Generator,
) -> list[Specification]:
    """Compute d, AUC and p for each measure, way to combine layers, segment of tokens, and category left out.

    Parameters
    ----------
    loads
        For each segment the selections ``(prompts, layers, experts)``; prompts without any are left out of it.
    labels
        The category of each prompt.
    groups
        The group of each prompt: see `moexray.stats.inference.units.units_of`.
    masses
        For each segment the sums of the selections' gate weights, where these were recorded.
    permutations
        Permutations for each p-value; specifications of the same prompts share them.
    rng
        Seed or generator of the permutations.

    Returns
    -------
    Specifications, in the order of segments, categories left out, measures and ways to combine layers. Equivalent
    choices are listed once: square roots and Jensen–Shannon weight all layers equally however these are combined.
    """
    seed = int(np.random.default_rng(rng).integers(2**32))
    found = []
    for tokens, counts in loads.items():
        present = np.flatnonzero(counts.sum(axis=(1, 2)) > 0)
        if not len(present):
            continue
        names = np.asarray(labels, dtype=object)[present]
        of_groups = None if groups is None else [groups[row] for row in present.tolist()]
        measured = list(representations(counts[present], None if masses is None else masses[tokens][present]))
        for left_out, name in ((None, EVERY), *_named(labels)):
            chosen = np.arange(len(names)) if left_out is None else np.flatnonzero(names != left_out)
            if len(set(names[chosen])) < 2:
                continue
            some = None if of_groups is None else [of_groups[row] for row in chosen.tolist()]
            for measure, layers, vectors in measured:
                answer = _answer(vectors[chosen], names[chosen].tolist(), some, permutations=permutations, seed=seed)
                found.append(Specification(measure, layers, tokens, name, *answer))
    return found


def _named(labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each category, and how it is written where it is left out: no category may be taken for `EVERY`."""
    every = sorted(set(labels))
    for label in every:
        name = label
        while name == EVERY or (name != label and name in every):
            name = f"'{name}'"
        yield label, name


def representations(
    counts: NDArray[np.integer], mass: NDArray[np.floating] | None = None
) -> Iterator[tuple[str, str, NDArray[np.float64]]]:  # vectors (prompts, dimensions)
    """Yield vectors whose cosine is the similarity, for each measure and way to combine layers.

    Shares are centred on the mean of these prompts, also where a category is left out afterwards.

    The mean of the layers' cosines is the cosine of their concatenated unit vectors. 1 − Jensen–Shannon divergence
    (in bits) is positive definite (M. Hein and O. Bousquet, AISTATS 2005), so it is the inner product of the rows of a
    square root of its matrix.

    Parameters
    ----------
    counts
        Selections ``(prompts, layers, experts)``.
    mass
        Sums of gate weights, of the same shape, where they were recorded.
    """
    shares = _shares(counts)
    measures = {
        "shares": shares,
        **({} if mass is None else {"shares of gate mass": _shares(mass)}),
        "centred shares": shares - shares.mean(axis=0),
        "used or not": (counts > 0).astype(np.float64),
    }
    for measure, values in measures.items():
        yield measure, "concatenated", _joined(values)
        yield measure, "averaged", _joined(_unit_layers(values))
    yield "square roots", "concatenated", _joined(np.sqrt(shares))
    if len(counts) <= _MOST_PROMPTS:
        yield "Jensen–Shannon", "averaged", _root(1 - _divergences(shares))


def _divergences(shares: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Mean over layers of the Jensen–Shannon divergence of every two prompts."""
    divergences = np.zeros((len(shares), len(shares)))
    for prompt in range(len(shares) - 1):
        others = slice(prompt + 1, None)
        divergences[prompt, others] = jensen_shannon(shares[others], shares[prompt]).mean(axis=1)
    return divergences + divergences.T


def _answer(
    vectors: NDArray[np.float64],
    labels: Sequence[str],
    groups: Sequence[str] | None,
    *,
    permutations: int,
    seed: int,
) -> tuple[float | None, float | None, float | None]:
    if not np.linalg.norm(vectors, axis=1).all():
        return None, None, None
    found = similarity(vectors, labels, groups=groups)
    try:
        test = permutation_test(vectors, labels, groups=groups, permutations=permutations, rng=seed)
    except NotComputable:
        return found.cohens_d, None, None
    return found.cohens_d, found.auc.value if found.auc else None, test.p_value


def _shares(loads: NDArray[np.number]) -> NDArray[np.float64]:
    """Divide each layer's loads by their sum; a layer without any stays zero."""
    sums = loads.sum(axis=2, keepdims=True)
    return np.asarray(np.divide(loads, sums, out=np.zeros(loads.shape), where=sums > 0))


def _joined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values.reshape(len(values), -1))


def _unit_layers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(values, axis=2, keepdims=True)
    return np.asarray(np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0))


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    roots, directions = np.linalg.eigh(matrix)
    return unit_rows(directions * np.sqrt(np.maximum(roots, 0)))
