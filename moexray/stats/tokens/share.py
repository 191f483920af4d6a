"""How much of the separation of categories is that their tokens differ, once the category's own shift is held apart."""

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
    """The share of the separation that is token identity, its interval of 95 % over prompts, and that of each layer.

    None where a layer does not separate the categories.
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

    Separation is the mean product of two signatures within categories less that across. The expected signature of a
    prompt is what its ids get in other prompts once the shift of these prompts' category is taken off: a token that
    one category uses most would else carry that category's context into what is expected of it. Shifts are the
    effects of category in a regression of routing on id and category (within-id estimates, least squares: a token's
    routing is taken as the id's own plus the category's). What chance adds to products is taken off: see
    `moexray.stats.tokens.expected`.

    Parameters
    ----------
    others
        All tokens, of prompts numbered as `labels`; a block is the prompt, or group, that is left out when something is
        expected of a prompt.
    selections
        The counts of each layer ``(rows, experts)``.
    labels
        The category of each prompt.
    least
        How often an id must occur elsewhere.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across, or nothing separates them.
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
        message = "categories do not separate, so there is nothing to share out"
        raise NotComputable(message)
    shares = expected / observed
    return TokenShare(
        share=float(shares[0]),
        ci=jackknife_interval(float(shares[0]), shares[1:][covered], numbers[covered]),
        by_layer=tuple(float(e / o) if o > 0 else None for e, o in separations[:, :, 0]),
    )


def category_shifts(rows: TokenRows, selections: NDArray[np.float64], numbers: NDArray[np.integer]) -> Shifts:
    """Estimate by least squares what each category adds to the routing of any id."""
    categories, own = int(numbers.max()) + 1, rows.occurrences.astype(np.float64)
    marks = np.eye(categories)[numbers[rows.prompts]]
    held = rows.by_id(own[:, None] * marks)
    shares = held / held.sum(axis=1, keepdims=True)
    information = np.diag(held.sum(axis=0)) - shares.T @ held
    weights = (marks - shares[rows.ids]) @ np.linalg.pinv(information, rcond=1e-9, hermitian=True)
    return Shifts(numbers, weights.T @ selections, weights)


def _contrast(numbers: NDArray[np.integer], there: NDArray[np.bool_]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Weights of pairs whose sum with products is mean within less mean across; no prompt is paired with itself."""
    check_pairs(np.bincount(numbers[there]))
    both = there[:, None] & there
    np.fill_diagonal(both, val=False)
    same = numbers[:, None] == numbers
    return np.asarray((both & same) / (both & same).sum() - (both & ~same) / (both & ~same).sum())


def _separations(products: NDArray[np.float64], contrast: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean within less mean across, of all prompts and without each ``(1 + prompts,)``."""
    means = []
    for which in (contrast > 0, contrast < 0):
        sums, pairs = (products * which).sum(axis=1), which.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = (sums.sum() / 2 - sums) / (pairs.sum() / 2 - pairs)
        means.append(np.concatenate([[sums.sum() / pairs.sum()], left]))
    return np.asarray(means[0] - means[1])
