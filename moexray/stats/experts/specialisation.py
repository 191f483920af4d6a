"""What experts are for: the share of a domain's, or a token's, occurrences that each gets."""

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
    """Return the share of each domain's tokens that an expert gets: ``N(expert, domain) / N(domain)``.

    Section 5.3 of arXiv:2409.02060. Were routing the same everywhere and even, every share would be k over experts.

    Parameters
    ----------
    counts
        Selections of one layer ``(domains, experts)``.
    tokens
        Of each domain ``(domains,)``.
    """
    return np.asarray(counts / tokens[:, None])


def vocabulary_specialisation(
    counts: NDArray[np.integer], occurrences: NDArray[np.integer]
) -> NDArray[np.float64]:  # (ids, experts)
    """Return the share of each token id's occurrences that an expert gets: ``N(token, expert) / N(token)``.

    Section 5.4 of arXiv:2409.02060, for input tokens or for those that the model wrote, whichever are counted.

    Parameters
    ----------
    counts
        Selections of one layer ``(ids, experts)``.
    occurrences
        Of each id ``(ids,)``.
    """
    return np.asarray(counts / occurrences[:, None])


@dataclass(frozen=True)
class SpecialisationTests:
    """Whether each expert gets another share of one category's prompts than of the others'.

    Attributes
    ----------
    differences
        Mean share within the category less mean share outside ``(categories, experts)``.
    p_values
        Two-sided, of labels shuffled over prompts.
    adjusted
        After control of the false-discovery rate: that many wrong among those below 0.05, as a share, on average.
    permutations
        Shuffles behind each p.
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
    """Compare each expert's share of selections in prompts of a category with that in all others.

    Prompts are what is shuffled, never tokens: those of one prompt resemble each other. p-values are adjusted over
    all categories and experts (Y. Benjamini and Y. Hochberg, J. Roy. Stat. Soc. B 57, 1995); permutations limit how
    small they can be, so that with as many tests as here at least some ten thousand are needed.

    Parameters
    ----------
    shares
        Of each prompt ``(prompts, experts)``; the experts of several layers may stand side by side.
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
