"""Share of the category separation explained by token identity alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.units import Units, units_of
from moexray.stats.tokens.expected import LEAST, OtherBlocks, Shifts, covered_tokens, expected_routing
from moexray.stats.tokens.sums import TokenRows


@dataclass(frozen=True)
class TokenShare:
    """The share of the separation that token identity explains: from `low` to `high`, with 95 % intervals over units.

    Observed routing is expected plus residual routing, so a product of two prompts' signatures has three parts: of what
    is expected of both, of the residuals of both, and of either with the other. Token identity alone makes the first.
    The third is there only where what tokens bring and what context brings agree, and belongs to neither alone.

    Attributes
    ----------
    share, ci
        The first part, of all layers together.
    by_layer
        The same of each layer; None where a layer does not separate the categories.
    low
        The same as `share`; its interval is `ci`.
    high, high_ci, high_by_layer
        The first and the third part. Where tokens and context work against each other, `high` lies below `low`. None
        in an analysis that an earlier version computed, and so is `low`.
    """

    share: float
    ci: tuple[float, float] | None
    by_layer: tuple[float | None, ...]
    low: float | None = None
    high: float | None = None
    high_ci: tuple[float, float] | None = None
    high_by_layer: tuple[float | None, ...] | None = None


def token_share(
    others: OtherBlocks,
    selections: Sequence[NDArray[np.float64]],
    labels: Sequence[str],
    *,
    least: int = LEAST,
    groups: Sequence[str] | None = None,
) -> TokenShare:
    """Divide the separation of expected signatures by that of the observed ones.

    Separation is q, the mean inner product of two signatures within categories minus that across, over pairs of
    prompts of different units. With the expected signatures E, the observed ones O and the residuals R = O − E, each
    less the noise in its products (`moexray.stats.tokens.expected`), it is

        q(OO') = q(EE') + q(ER' + RE') + q(RR'),

    and `low` is the first of the three over the whole, `high` the first and the second: one less the third.

    The expected signature of a prompt is the routing of its ids in other prompts, minus the shift of those prompts'
    categories: otherwise an id that one category uses most would carry that category's context into the expectation.
    Shifts are the category effects in a least-squares regression of routing on id and category, which models a token's
    routing as the id's own plus the category's shift.

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
    groups
        The group of each prompt; an empty name is no group.

    Raises
    ------
    NotComputable
        If there is no pair within a category, or none across, or the categories are not separated.
    """
    every = units_of(labels, groups)
    others = replace(others, units=every.units)
    covered = covered_tokens(others, least=least) > 0
    units = every.take(np.flatnonzero(covered))
    contrast = _Contrast.of(every, units, covered)
    found = []
    for counts in selections:
        shifts = category_shifts(others.rows, counts, every.categories)
        one = expected_routing(others, counts, least=least, shifts=shifts, contrast=contrast.weights)
        parts = (
            contrast.separations(one.expected @ one.expected.T - one.noise_expected, one.moved),
            contrast.separations(one.residual @ one.residual.T - one.noise_residual, one.moved_residual),
            contrast.separations(one.observed @ one.observed.T, np.zeros(len(every))),
        )
        found.append(parts)
    separations = np.array(found)  # (layers, 3, 1 + units)
    expected, residual, observed = separations.sum(axis=0)
    if not observed[0] > 0:
        message = "the categories are not separated, so there is no separation to explain"
        raise NotComputable(message)
    low, high = expected / observed, 1 - residual / observed
    by_layer = separations[:, :, 0]
    return TokenShare(
        share=float(low[0]),
        ci=jackknife_interval(float(low[0]), low[1:], units.strata),
        by_layer=tuple(float(e / o) if o > 0 else None for e, _, o in by_layer),
        low=float(low[0]),
        high=float(high[0]),
        high_ci=jackknife_interval(float(high[0]), high[1:], units.strata),
        high_by_layer=tuple(float(1 - r / o) if o > 0 else None for _, r, o in by_layer),
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


@dataclass(frozen=True)
class _Contrast:
    """Mean within minus mean across, over the pairs of covered prompts of different units.

    Attributes
    ----------
    weights
        Of pairs of prompts ``(prompts, prompts)``.
    units, present
        The unit of each prompt, and the units that have a covered prompt.
    """

    weights: NDArray[np.float64]
    units: NDArray[np.int64]
    present: NDArray[np.int64]

    @classmethod
    def of(cls, every: Units, covered: Units, there: NDArray[np.bool_]) -> "_Contrast":
        """Weigh the pairs of the prompts that are `there`, whose units are `covered`."""
        covered.check_pairs()
        both = there[:, None] & there & (every.units[:, None] != every.units)
        same = every.categories[:, None] == every.categories
        weights = (both & same) / (both & same).sum() - (both & ~same) / (both & ~same).sum()
        return cls(weights, every.units, np.unique(every.units[there]))

    def separations(
        self, products: NDArray[np.float64], moved: NDArray[np.float64]
    ) -> NDArray[np.float64]:  # (1 + units present,)
        """Return the contrast of all prompts, and without each unit: as prompts, and, by `moved`, as a source."""
        means = []
        for which in (self.weights > 0, self.weights < 0):
            sums, pairs = (np.bincount(self.units, one) for one in ((products * which).sum(axis=1), which.sum(axis=1)))
            with np.errstate(divide="ignore", invalid="ignore"):
                left = (sums.sum() / 2 - sums) / (pairs.sum() / 2 - pairs)
            means.append(np.concatenate([[sums.sum() / pairs.sum()], left[self.present]]))
        found = np.asarray(means[0] - means[1])
        found[1:] += moved[self.present]
        return found
