"""Expected routing of a prompt, from the routing of its token ids in other prompts, and the residual that is left.

An id's routing is estimated from other blocks of prompts. The estimates have errors, and prompts that share ids share
these errors; `ExpectedRouting` says how much they add to products of signatures.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.tokens.sums import TokenRows, joined_rows, marks_of, sum_at

# An id that occurs less often in other blocks has no reliable estimate of its routing.
LEAST = 5


@dataclass(frozen=True, eq=False)
class OtherBlocks:
    """Token counts with prompts grouped into blocks; caches everything that does not depend on the layer.

    A block is a prompt or its group, so that routing is expected from all other prompts; or a category, so that it is
    expected from other categories alone.

    Attributes
    ----------
    rows
        Token counts of all prompts.
    blocks
        The block of each prompt ``(prompts,)``.
    units
        The unit of each prompt ``(prompts,)``, whose errors depend on each other; None where it is the prompt. No two
        prompts of a unit are of different blocks, unless blocks are categories.
    """

    rows: TokenRows
    blocks: NDArray[np.integer]
    units: NDArray[np.integer] | None = None

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows, …)
        """Sum values of rows over the rows of the same id in other blocks."""
        places, inside = self._inside
        return np.asarray(self.rows.by_id(values)[self.rows.ids] - (inside @ values)[places])

    @cached_property
    def occurrences(self) -> NDArray[np.float64]:  # (rows,)
        """Occurrences of each row's id in other blocks."""
        return self.sums(self.rows.occurrences.astype(np.float64))

    @cached_property
    def _inside(self) -> tuple[NDArray[np.int64], Any]:
        """The id and block of each row as one number, and the sparse matrix that sums by it: (numbers, rows)."""
        keys = self.rows.ids * (int(self.blocks.max()) + 1) + self.blocks[self.rows.prompts]
        places = np.unique(keys, return_inverse=True)[1]
        return places, marks_of(places, int(places.max(initial=-1)) + 1)


@dataclass(frozen=True)
class ExpectedRouting:
    """One layer's observed and expected signatures, of the tokens whose id occurs often enough in other blocks.

    Attributes
    ----------
    observed, expected
        Share of each expert ``(prompts, experts)``; zero where a prompt has no such token.
    noise_expected, noise_residual
        What estimation errors add to the products of two prompts' expected signatures, and of their residual ones
        ``(prompts, prompts)``; entries of two prompts of one unit have no meaning.
    covered
        Number of such tokens of each prompt ``(prompts,)``.
    moved, moved_residual
        The change of the contrast of products of expected signatures, and of residual ones, if each unit in turn were
        not used as a source of estimates ``(units,)``; zero without a contrast.
    """

    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    noise_expected: NDArray[np.float64]
    noise_residual: NDArray[np.float64]
    covered: NDArray[np.int64]
    moved: NDArray[np.float64]
    moved_residual: NDArray[np.float64]

    @property
    def residual(self) -> NDArray[np.float64]:  # (prompts, experts)
        """Observed minus expected."""
        return self.observed - self.expected


@dataclass(frozen=True)
class Shifts:
    """The effects of categories on the routing of any id, subtracted before routing is estimated from other prompts.

    Attributes
    ----------
    categories
        The category of each prompt ``(prompts,)``.
    effects
        What a category adds to the counts of one occurrence ``(categories, experts)``.
    weights
        The weight of each row's counts in these estimates ``(rows, categories)``.
    """

    categories: NDArray[np.integer]
    effects: NDArray[np.float64]
    weights: NDArray[np.float64]


def expected_routing(
    others: OtherBlocks,
    selections: NDArray[np.float64],
    *,
    least: int = LEAST,
    shifts: Shifts | None = None,
    contrast: NDArray[np.float64] | None = None,
) -> ExpectedRouting:
    """Estimate each prompt's routing from the routing of its token ids in other blocks.

    With S(t,p) the expert counts of the n(t,p) occurrences of id t in prompt p, their expected counts are n(t,p) r(t),
    with r(t) the mean of S over the occurrences of t in other blocks.

    The expectation of a prompt, and its residual, are weighted sums of the counts of units u: prompts, or groups of
    them. Units are independent of each other, so the errors of two such sums are correlated only through a u that both
    contain: the noise in the product of two prompts' sums is the sum over u of the products of u's leverage-adjusted
    residuals in either (see `moexray.stats.tokens.residual`). Without subtracting it, prompts that share tokens would
    seem similar, or dissimilar, under a router that looks at tokens alone.

    Parameters
    ----------
    others
        Token counts of all prompts, and their blocks.
    selections
        One layer's expert counts ``(rows, experts)``.
    least
        An id must occur this often in other blocks; the other ids are left out.
    shifts
        Effects of category to subtract from the counts of other prompts.
    contrast
        Symmetric weights of pairs of prompts ``(prompts, prompts)``, for `ExpectedRouting.moved`.
    """
    rows, size = others.rows, len(others.blocks)
    occurrences = rows.occurrences.astype(np.float64)
    sources = selections
    if shifts is not None:
        sources = selections - occurrences[:, None] * shifts.effects[shifts.categories[rows.prompts]]
    kept = others.occurrences >= max(least, 1)
    weights = np.where(kept, occurrences / np.maximum(others.occurrences, 1), 0)
    observed = sum_at(rows.prompts, selections * kept[:, None], size)
    expected = sum_at(rows.prompts, others.sums(sources) * weights[:, None], size)
    totals = observed.sum(axis=1)
    scale = np.divide(1, totals, out=np.zeros(size), where=totals > 0)
    expected *= scale[:, None]

    observed *= scale[:, None]

    residuals = scaled_residuals(rows, sources, others.units)
    errors = summed_by_unit(_errors(others, residuals, weights, shifts), others.units) * scale[:, None, None]
    moved = [np.zeros(errors.shape[1])] * 2
    if contrast is not None:
        signatures = (-expected, observed - expected)
        moved = [np.einsum("pue,pe->u", errors, 2 * contrast @ one) for one in signatures]
    noise_expected = products_of(errors)
    # The residual of a prompt is its own counts minus the expectation.
    own = sum_at(rows.prompts, residuals * kept[:, None], size) * scale[:, None]
    errors[np.arange(size), np.arange(size) if others.units is None else others.units] -= own
    return ExpectedRouting(
        observed=observed,
        expected=expected,
        noise_expected=noise_expected,
        noise_residual=products_of(errors),
        covered=covered_tokens(others, least=least),
        moved=moved[0],
        moved_residual=moved[1],
    )


def covered_tokens(others: OtherBlocks, *, least: int = LEAST) -> NDArray[np.int64]:  # (prompts,)
    """Count the tokens of each prompt whose id occurs at least `least` times in other blocks."""
    kept = others.occurrences >= max(least, 1)
    held = others.rows.occurrences * kept
    return np.bincount(others.rows.prompts, held, minlength=len(others.blocks)).astype(np.int64)


def scaled_residuals(
    rows: TokenRows, selections: NDArray[np.float64], units: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:  # (rows, experts)
    """Leverage-adjusted (HC2) residuals: counts minus their token id's mean, divided by √(1 − leverage).

    The leverage is the share of the id's occurrences that are in the row's unit.

    Parameters
    ----------
    rows
        Token counts of all prompts.
    selections
        The expert counts of each row ``(rows, experts)``.
    units
        The unit of each prompt ``(prompts,)``; None where it is the prompt.
    """
    shares = rows.occurrences / rows.totals
    leverages = shares
    if units is not None:
        joined, places = joined_rows(rows, units)
        leverages = (joined.occurrences / joined.totals)[places]
    residuals = selections - shares[:, None] * rows.by_id(selections)[rows.ids]
    return np.asarray(residuals / np.sqrt(np.where(leverages < 1, 1 - leverages, 1))[:, None])


def summed_by_unit(
    parts: NDArray[np.float64], units: NDArray[np.integer] | None
) -> NDArray[np.float64]:  # (prompts, units, experts)
    """Sum the parts ``(prompts, prompts u, experts)`` over the prompts u of each unit; None where it is the prompt."""
    if units is None or np.array_equal(units, np.arange(len(units))):
        return parts
    marks = marks_of(units, int(units.max()) + 1)
    return np.stack([marks @ of_prompt for of_prompt in parts])


def parts_of(
    rows: TokenRows, residuals: NDArray[np.float64], weights: NDArray[np.float64], size: int
) -> NDArray[np.float64]:  # (prompts p, prompts u, experts)
    """Sum the residuals of the ids of prompt u, weighted by the weights of the same ids in prompt p.

    Parameters
    ----------
    rows
        Token counts of all prompts.
    residuals, weights
        Of each row ``(rows, experts)`` and ``(rows,)``.
    size
        Number of prompts.
    """
    by_prompt = np.zeros((len(rows.token_ids), size))
    by_prompt[rows.ids, rows.prompts] = weights
    parts = np.empty((size, size, residuals.shape[1]))
    for prompt, held in enumerate(rows_of_prompts(rows, size)):
        parts[:, prompt] = by_prompt[rows.ids[held]].T @ residuals[held]
    return parts


def rows_of_prompts(rows: TokenRows, size: int) -> list[NDArray[np.int64]]:
    """Return the places of each prompt's rows."""
    order = np.argsort(rows.prompts, kind="stable")
    return np.split(order, np.searchsorted(rows.prompts[order], np.arange(1, size)))


def products_of(parts: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Multiply the parts ``(prompts, prompts u, experts)`` of every two prompts, summed over u and experts."""
    flat = parts.reshape(len(parts), -1)
    return np.asarray(flat @ flat.T)


def _errors(
    others: OtherBlocks, residuals: NDArray[np.float64], weights: NDArray[np.float64], shifts: Shifts | None
) -> NDArray[np.float64]:  # (prompts p, prompts u, experts)
    """Return the part of prompt u's residuals in the error of what is expected of prompt p."""
    rows, size = others.rows, len(others.blocks)
    errors = parts_of(rows, residuals, weights, size)
    errors[others.blocks[:, None] == others.blocks] = 0
    if shifts is not None:
        subtracted = _subtracted_shifts(others, weights, shifts) @ shifts.weights.T
        for prompt, held in enumerate(rows_of_prompts(rows, size)):
            errors[:, prompt] -= subtracted[:, held] @ residuals[held]
    return errors


def _subtracted_shifts(
    others: OtherBlocks, weights: NDArray[np.float64], shifts: Shifts
) -> NDArray[np.float64]:  # (prompts, categories)
    """Return how often each category's shift is subtracted in the expectation of a prompt."""
    rows = others.rows
    marks = np.eye(len(shifts.effects))[shifts.categories[rows.prompts]] * rows.occurrences[:, None]
    return sum_at(rows.prompts, others.sums(marks) * weights[:, None], len(others.blocks))
