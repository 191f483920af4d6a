"""What a prompt's signature would be if its tokens were routed as the same ids are elsewhere, and what is left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.token_sums import TokenRows, sum_at

# An id that occurs less often elsewhere says little of where it goes.
LEAST = 5


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
    rows: TokenRows,
    selections: NDArray[np.float64],
    *,
    blocks: NDArray[np.integer],
    least: int = LEAST,
    shifts: Shifts | None = None,
    contrast: NDArray[np.float64] | None = None,
) -> ExpectedRouting:
    """Expect of every token what its id is sent to outside the block of its prompt.

    With S(t,p) the counts of experts over the n(t,p) occurrences of id t in prompt p, the routing expected of them is
    n(t,p) r, with r the mean of S over the occurrences of t in other blocks. A block is a prompt or its group, so
    that the expectation is from all others; or a category, so that it is from other categories alone.

    An expectation is an estimate, and prompts that share tokens share its errors: the residuals of a router that looks
    at tokens alone would be alike, or unlike, by that alone. Whatever is expected of a prompt, and what is left, is a
    sum over prompts u of weights times their counts. Prompts are independent of each other, so what chance adds to the
    product of two such sums is where one and the same u meets itself: the sum over u of the products of their parts
    in the residuals of u, less the id's mean, each over the root of one less its leverage (see
    `moexray.stats.residual_test`).

    Parameters
    ----------
    rows, selections
        Of all prompts; a layer's counts ``(rows, experts)``.
    blocks
        The block of each prompt ``(prompts,)``.
    least
        How often an id must occur in other blocks to be looked at.
    shifts
        Taken off what other prompts say of an id.
    contrast
        Symmetric weights of pairs of prompts ``(prompts, prompts)``.
    """
    own, size = rows.occurrences.astype(np.float64), len(blocks)
    donors = selections
    if shifts is not None:
        donors = selections - own[:, None] * shifts.effects[shifts.categories[rows.prompts]]
    others = elsewhere(rows, own, blocks)
    kept = others >= max(least, 1)
    shares = np.where(kept, own / np.maximum(others, 1), 0)
    observed = sum_at(rows.prompts, selections * kept[:, None], size)
    expected = sum_at(rows.prompts, elsewhere(rows, donors, blocks) * shares[:, None], size)
    totals = observed.sum(axis=1)
    scale = np.divide(1, totals, out=np.zeros(size), where=totals > 0)
    expected *= scale[:, None]
    along = np.zeros_like(expected) if contrast is None else 2 * contrast @ expected
    taken_off = None if shifts is None else _taken_off(rows, shares, blocks, shifts) @ shifts.weights.T
    residuals = scaled_residuals(rows, donors)
    parts = _parts(rows, residuals, shares, blocks=blocks, taken_off=taken_off) * scale[:, None, None]
    moved = -np.einsum("pue,pe->u", parts, along)
    noise_expected = _products(parts)
    own = sum_at(rows.prompts, residuals * kept[:, None], size) * scale[:, None]
    parts[np.arange(size), np.arange(size)] -= own
    return ExpectedRouting(
        observed=observed * scale[:, None],
        expected=expected,
        noise_expected=noise_expected,
        noise_residual=_products(parts),
        covered=covered_tokens(rows, blocks=blocks, least=least),
        moved=moved,
    )


def _parts(
    rows: TokenRows,
    residuals: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    blocks: NDArray[np.integer],
    taken_off: NDArray[np.float64] | None,
) -> NDArray[np.float64]:  # (prompts, prompts, experts)
    """Return the part that each prompt, by column, has in what is expected of each prompt, by row."""
    size = len(blocks)
    weights = np.zeros((len(rows.token_ids), size))
    weights[rows.ids, rows.prompts] = shares
    parts = np.empty((size, size, residuals.shape[1]))
    order = np.argsort(rows.prompts, kind="stable")
    ends = np.searchsorted(rows.prompts[order], np.arange(size + 1))
    for prompt in range(size):
        held = order[ends[prompt] : ends[prompt + 1]]
        part = weights[rows.ids[held]].T @ residuals[held]
        part[blocks == blocks[prompt]] = 0
        if taken_off is not None:
            part -= taken_off[:, held] @ residuals[held]
        parts[:, prompt] = part
    return parts


def _products(parts: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, prompts)
    flat = parts.reshape(len(parts), -1)
    return np.asarray(flat @ flat.T)


def covered_tokens(
    rows: TokenRows, *, blocks: NDArray[np.integer], least: int = LEAST
) -> NDArray[np.int64]:  # (prompts,)
    """Count the tokens of each prompt whose id occurs at least so often in other blocks."""
    kept = elsewhere(rows, rows.occurrences.astype(np.float64), blocks) >= max(least, 1)
    return np.bincount(rows.prompts, rows.occurrences * kept, minlength=len(blocks)).astype(np.int64)


def scaled_residuals(rows: TokenRows, selections: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows, experts)
    """Return counts less the mean of their id, over the root of one less the share of it that they are themselves."""
    shares = rows.occurrences / rows.totals
    residuals = selections - shares[:, None] * rows.by_id(selections)[rows.ids]
    return np.asarray(residuals / np.sqrt(np.where(shares < 1, 1 - shares, 1))[:, None])


def elsewhere(rows: TokenRows, values: NDArray[np.float64], blocks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sum what rows have over the rows of the same id in other blocks."""
    _, cells = np.unique(rows.ids * (int(blocks.max()) + 1) + blocks[rows.prompts], return_inverse=True)
    inside = sum_at(cells, values, int(cells.max()) + 1)
    return np.asarray(rows.by_id(values)[rows.ids] - inside[cells])


def _taken_off(
    rows: TokenRows, shares: NDArray[np.float64], blocks: NDArray[np.integer], shifts: Shifts
) -> NDArray[np.float64]:  # (prompts, categories)
    """How often each category's shift is taken off what is expected of a prompt."""
    marks = np.eye(len(shifts.effects))[shifts.categories[rows.prompts]] * rows.occurrences[:, None]
    return sum_at(rows.prompts, elsewhere(rows, marks, blocks) * shares[:, None], len(blocks))
