"""Share of the category separation explained by token identity alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.labels import category_numbers
from moexray.stats.pairs.shuffled import check_pairs
from moexray.stats.tokens.expected import LEAST, OtherBlocks, Shifts, covered_tokens, expected_routing
from moexray.stats.tokens.sums import TokenRows


@dataclass(frozen=True)
class TokenShare:
    """The share of the separation explained by token identity, and its 95 % interval over prompts.

    Attributes
    ----------
    share, ci
        Of all layers together.
    by_layer
        The share of each layer; None where a layer does not separate the categories.
    """

    share: float
    ci: tuple[float, float] | None
    by_layer: tuple[float | None, ...]


def token_share(
    others: OtherBlocks,
    selections: Sequence[NDArray[np.float64]],
    labels: Sequence[str],
    *,
    least: int = LEAST,
) -> TokenShare:
    """Divide the separation of expected signatures by that of the observed ones.

    Separation is the mean inner product of two signatures within categories minus that across. The expected signature
    of a prompt is the routing of its ids in other prompts, minus the shift of those prompts' categories: otherwise an
    id that one category uses most would carry that category's context into the expectation. Shifts are the category
    effects in a least-squares regression of routing on id and category, which models a token's routing as the id's
    own plus the category's shift. The noise in products is subtracted: see `moexray.stats.tokens.expected`.

    Parameters
    ----------
    others
        Token counts of prompts numbered as in `labels`. A block is a prompt or its group, which is left out of its own
        expectation.
    selections
        The expert counts of each layer ``(rows, experts)``.
    labels
        The category of each prompt.
    least
        An id must occur this often in other blocks.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across, or the categories are not separated.
    """
    numbers = category_numbers(labels)
    covered = covered_tokens(others, least=least) > 0
    contrast = _contrast(numbers, covered)
    found = []
    for counts in selections:
        shifts = category_shifts(others.rows, counts, numbers)
        one = expected_routing(others, counts, least=least, shifts=shifts, contrast=contrast)
        expected = _separations(one.expected @ one.expected.T - one.noise_expected, contrast)
        expected[1:] += one.moved
        found.append((expected, _separations(one.observed @ one.observed.T, contrast)))
    separations = np.array(found)  # (layers, 2, 1 + prompts)
    expected, observed = separations.sum(axis=0)
    if not observed[0] > 0:
        message = "the categories are not separated, so there is no separation to explain"
        raise NotComputable(message)
    shares = expected / observed
    return TokenShare(
        share=float(shares[0]),
        ci=jackknife_interval(float(shares[0]), shares[1:][covered], numbers[covered]),
        by_layer=tuple(float(e / o) if o > 0 else None for e, o in separations[:, :, 0]),
    )


def category_shifts(rows: TokenRows, selections: NDArray[np.float64], numbers: NDArray[np.integer]) -> Shifts:
    """Estimate the effect of each category on the routing of any id, by least squares.

    Parameters
    ----------
    rows
        Token counts of all prompts.
    selections
        One layer's expert counts ``(rows, experts)``.
    numbers
        The category of each prompt.
    """
    categories, own = int(numbers.max()) + 1, rows.occurrences.astype(np.float64)
    marks = np.eye(categories)[numbers[rows.prompts]]
    held = rows.by_id(own[:, None] * marks)
    shares = held / held.sum(axis=1, keepdims=True)
    information = np.diag(held.sum(axis=0)) - shares.T @ held
    weights = (marks - shares[rows.ids]) @ np.linalg.pinv(information, rcond=1e-9, hermitian=True)
    return Shifts(numbers, weights.T @ selections, weights)


def _contrast(numbers: NDArray[np.integer], present: NDArray[np.bool_]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Return the weights of pairs for mean within minus mean across; zero on the diagonal."""
    check_pairs(np.bincount(numbers[present]))
    both = present[:, None] & present
    np.fill_diagonal(both, val=False)
    same = numbers[:, None] == numbers
    return np.asarray((both & same) / (both & same).sum() - (both & ~same) / (both & ~same).sum())


def _separations(products: NDArray[np.float64], contrast: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mean within minus mean across, over all prompts and without each ``(1 + prompts,)``."""
    means = []
    for which in (contrast > 0, contrast < 0):
        sums, pairs = (products * which).sum(axis=1), which.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = (sums.sum() / 2 - sums) / (pairs.sum() / 2 - pairs)
        means.append(np.concatenate([[sums.sum() / pairs.sum()], left]))
    return np.asarray(means[0] - means[1])
