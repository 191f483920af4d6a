"""What a prompt's signature would be if its tokens were routed as the same ids are elsewhere, and what is left."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.stats.tokens.sums import TokenRows, marks_of, sum_at

# An id that occurs less often elsewhere says little of where it goes.
LEAST = 5


@dataclass(frozen=True, eq=False)
class OtherBlocks:
    """Tokens, and the block of each prompt ``(prompts,)``: what can be said without a layer, it computes once.

    A block is a prompt or its group, so that something is expected from all others; or a category, so that it is
    from other categories alone.
    """

    rows: TokenRows
    blocks: NDArray[np.integer]

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows, …)
        """Sum what rows have over the rows of the same id in other blocks."""
        places, inside = self._inside
        return np.asarray(self.rows.by_id(values)[self.rows.ids] - (inside @ values)[places])

    @cached_property
    def occurrences(self) -> NDArray[np.float64]:  # (rows,)
        """How often the id of each row occurs in other blocks."""
        return self.sums(self.rows.occurrences.astype(np.float64))

    @cached_property
    def _inside(self) -> tuple[NDArray[np.int64], Any]:
        """The id and block of each row as a number, and what sums over them: sparse (numbers, rows)."""
        keys = self.rows.ids * (int(self.blocks.max()) + 1) + self.blocks[self.rows.prompts]
        places = np.unique(keys, return_inverse=True)[1]
        return places, marks_of(places, int(places.max(initial=-1)) + 1)


@dataclass(frozen=True)
class ExpectedRouting:
    """One layer's signatures of the tokens whose id occurs often enough elsewhere; zero where a prompt has none.

    Attributes
    ----------
    observed, expected
        Share of each expert ``(prompts, experts)``.
    noise_expected, noise_residual
        What chance alone adds to the products of two prompts' expected signatures, and of their residual ones
        ``(prompts, prompts)``; the diagonal means nothing.
    covered
        How many tokens of each prompt these are ``(prompts,)``.
    moved
        What the contrast of products of expected signatures would change by, if nothing were expected from a prompt
        ``(prompts,)``; zero without a contrast.
    """

    observed: NDArray[np.float64]
    expected: NDArray[np.float64]
    noise_expected: NDArray[np.float64]
    noise_residual: NDArray[np.float64]
    covered: NDArray[np.int64]
    moved: NDArray[np.float64]

    @property
    def residual(self) -> NDArray[np.float64]:  # (prompts, experts)
        """Observed less expected."""
        return self.observed - self.expected


@dataclass(frozen=True)
class Shifts:
    """What categories add to the routing of any id, to be taken off before something is expected.

    Attributes
    ----------
    categories
        The category of each prompt ``(prompts,)``.
    effects
        What each adds to the counts of one occurrence ``(categories, experts)``.
    weights
        What the counts of each row weigh in these estimates ``(rows, categories)``.
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
    """Expect of every token what its id is sent to outside the block of its prompt.

    With S(t,p) the counts of experts over the n(t,p) occurrences of id t in prompt p, the routing expected of them is
    n(t,p) r, with r the mean of S over the occurrences of t in other blocks.

    An expectation is an estimate, and prompts that share tokens share its errors: the residuals of a router that looks
    at tokens alone would be alike, or unlike, by that alone. Whatever is expected of a prompt, and what is left, is a
    sum over prompts u of weights times their counts. Prompts are independent of each other, so what chance adds to the
    product of two such sums is where one and the same u meets itself: the sum over u of the products of their parts
    in the residuals of u, less the id's mean, each over the root of one less its leverage (see
    `moexray.stats.tokens.residual`).

    Parameters
    ----------
    others, selections
        Of all prompts; a layer's counts ``(rows, experts)``.
    least
        How often an id must occur in other blocks to be looked at.
    shifts
        Taken off what other prompts say of an id.
    contrast
        Symmetric weights of pairs of prompts ``(prompts, prompts)``.
    """
    rows, blocks = others.rows, others.blocks
    own, size = rows.occurrences.astype(np.float64), len(blocks)
    donors = selections
    if shifts is not None:
        donors = selections - own[:, None] * shifts.effects[shifts.categories[rows.prompts]]
    kept = others.occurrences >= max(least, 1)
    shares = np.where(kept, own / np.maximum(others.occurrences, 1), 0)
    observed = sum_at(rows.prompts, selections * kept[:, None], size)
    expected = sum_at(rows.prompts, others.sums(donors) * shares[:, None], size)
    totals = observed.sum(axis=1)
    scale = np.divide(1, totals, out=np.zeros(size), where=totals > 0)
    expected *= scale[:, None]
    taken_off = None if shifts is None else _taken_off(others, shares, shifts) @ shifts.weights.T
    residuals = scaled_residuals(rows, donors)
    parts = parts_of(rows, residuals, shares, size)
    parts[blocks[:, None] == blocks] = 0
    if taken_off is not None:
        for prompt, held in enumerate(held_by(rows, size)):
            parts[:, prompt] -= taken_off[:, held] @ residuals[held]
    parts *= scale[:, None, None]
    moved = np.zeros(size) if contrast is None else -np.einsum("pue,pe->u", parts, 2 * contrast @ expected)
    noise_expected = products_of(parts)
    own = sum_at(rows.prompts, residuals * kept[:, None], size) * scale[:, None]
    parts[np.arange(size), np.arange(size)] -= own
    return ExpectedRouting(
        observed=observed * scale[:, None],
        expected=expected,
        noise_expected=noise_expected,
        noise_residual=products_of(parts),
        covered=covered_tokens(others, least=least),
        moved=moved,
    )


def parts_of(
    rows: TokenRows, residuals: NDArray[np.float64], shares: NDArray[np.float64], size: int
) -> NDArray[np.float64]:  # (prompts, prompts, experts)
    """Return the part that each prompt, by column, has in the weighted sum of ids that each prompt, by row, holds."""
    weights = np.zeros((len(rows.token_ids), size))
    weights[rows.ids, rows.prompts] = shares
    parts = np.empty((size, size, residuals.shape[1]))
    for prompt, held in enumerate(held_by(rows, size)):
        parts[:, prompt] = weights[rows.ids[held]].T @ residuals[held]
    return parts


def held_by(rows: TokenRows, size: int) -> list[NDArray[np.int64]]:
    """Return the places of each prompt's rows."""
    order = np.argsort(rows.prompts, kind="stable")
    return np.split(order, np.searchsorted(rows.prompts[order], np.arange(1, size)))


def products_of(parts: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    """Multiply what two prompts are made of, summed over its parts and experts."""
    flat = parts.reshape(len(parts), -1)
    return np.asarray(flat @ flat.T)


def covered_tokens(others: OtherBlocks, *, least: int = LEAST) -> NDArray[np.int64]:  # (prompts,)
    """Count the tokens of each prompt whose id occurs at least so often in other blocks."""
    kept = others.occurrences >= max(least, 1)
    held = others.rows.occurrences * kept
    return np.bincount(others.rows.prompts, held, minlength=len(others.blocks)).astype(np.int64)


def scaled_residuals(rows: TokenRows, selections: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows, experts)
    """Return counts less the mean of their id, over the root of one less the share of it that they are themselves."""
    shares = rows.occurrences / rows.totals
    residuals = selections - shares[:, None] * rows.by_id(selections)[rows.ids]
    return np.asarray(residuals / np.sqrt(np.where(shares < 1, 1 - shares, 1))[:, None])


def _taken_off(
    others: OtherBlocks, shares: NDArray[np.float64], shifts: Shifts
) -> NDArray[np.float64]:  # (prompts, categories)
    """How often each category's shift is taken off what is expected of a prompt."""
    rows = others.rows
    marks = np.eye(len(shifts.effects))[shifts.categories[rows.prompts]] * rows.occurrences[:, None]
    return sum_at(rows.prompts, others.sums(marks) * shares[:, None], len(others.blocks))
