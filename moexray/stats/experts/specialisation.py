"""Specialisation of experts: the share of a domain's, or a token id's, occurrences that select an expert."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.labels import category_numbers
from moexray.stats.inference.multiple import benjamini_hochberg
from moexray.stats.inference.permutation import shuffled_labels


def domain_specialisation(
    counts: NDArray[np.integer], tokens: NDArray[np.integer]
) -> NDArray[np.float64]:  # (domains, experts)
    """Return the share of each domain's tokens that select an expert: ``N(expert, domain) / N(domain)``.

    Section 5.3 of arXiv:2409.02060. Under uniform routing every share is k / number of experts.

    Parameters
    ----------
    counts
        Selections of one layer ``(domains, experts)``.
    tokens
        Tokens of each domain ``(domains,)``.
    """
    return np.asarray(counts / tokens[:, None])


def vocabulary_specialisation(
    counts: NDArray[np.integer], occurrences: NDArray[np.integer]
) -> NDArray[np.float64]:  # (ids, experts)
    """Return the share of each token id's occurrences that select an expert: ``N(token, expert) / N(token)``.

    Section 5.4 of arXiv:2409.02060, for input tokens or for generated ones, whichever are counted.

    Parameters
    ----------
    counts
        Selections of one layer ``(ids, experts)``.
    occurrences
        Occurrences of each id ``(ids,)``.
    """
    return np.asarray(counts / occurrences[:, None])


@dataclass(frozen=True)
class SpecialisationTests:
    """Tests of every expert: its share in the prompts of a category against its share in all others.

    Attributes
    ----------
    differences
        Mean share within the category minus mean share outside ``(categories, experts)``.
    p_values
        Two-sided, from labels permuted over prompts.
    adjusted
        Benjamini–Hochberg adjusted p-values: among experts below 0.05, at most 5 % are expected to be false
        discoveries.
    permutations
        Number of permutations.
    """

    differences: NDArray[np.float64]
    p_values: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    permutations: int


def specialisation_tests(
    shares: NDArray[np.float64],
    labels: Sequence[str],
    *,
    permutations: int,
    rng: int | np.random.Generator,
    exists: NDArray[np.bool_] | None = None,
) -> SpecialisationTests:
    """Compare each expert's share of selections in prompts of a category with that in all other prompts.

    Labels are permuted over prompts, not tokens, since the tokens of a prompt depend on each other. p-values are
    adjusted over all categories and experts (Y. Benjamini and Y. Hochberg, J. Roy. Stat. Soc. B 57, 1995). The smallest
    possible p-value is 1 / (1 + permutations), so this many tests need some ten thousand permutations.

    Parameters
    ----------
    shares
        Shares of each prompt ``(prompts, experts)``; the experts of several layers may stand side by side.
    labels
        The category of each prompt.
    permutations, rng
        Number of permutations, and their seed or generator.
    exists
        Which columns are experts ``(experts,)``, where layers have unequal numbers of them. The other columns are not
        tested: their results are NaN. By default every column is an expert.

    Raises
    ------
    NotComputable
        If there is one category only.
    """
    numbers = category_numbers(labels)
    sizes = np.bincount(numbers)
    if len(sizes) < 2:
        message = "there is one category only"
        raise NotComputable(message)
    centred = shares - shares.mean(axis=0)
    scale = (1 / sizes + 1 / (len(labels) - sizes))[:, None]

    def differences(block: NDArray[np.int32], category: int) -> NDArray[np.float64]:  # (labelings, experts)
        return np.asarray((block == category).astype(np.float64) @ centred * scale[category])

    observed = np.stack([differences(numbers[None], category)[0] for category in range(len(sizes))])
    reached = np.zeros_like(observed)
    for block in shuffled_labels(labels, permutations=permutations, rng=rng):
        for category in range(len(sizes)):
            least = np.abs(observed[category]) - 1e-12
            reached[category] += (np.abs(differences(block, category)) >= least).sum(axis=0)
    p_values = (1 + reached) / (1 + permutations)
    if exists is not None:
        observed[:, ~exists] = p_values[:, ~exists] = np.nan
    adjusted = benjamini_hochberg(p_values)
    return SpecialisationTests(observed, p_values, adjusted, permutations)
