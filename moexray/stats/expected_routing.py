"""What a prompt's signature would be if its tokens were routed as the same ids are elsewhere, and what is left."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.stats.token_sums import TokenRows

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
    observed = by_prompt(rows, selections * kept[:, None], size)
    expected = by_prompt(rows, elsewhere(rows, donors, blocks) * shares[:, None], size)
    totals = observed.sum(axis=1)
    scale = np.divide(1, totals, out=np.zeros(size), where=totals > 0)
    expected *= scale[:, None]
    along = np.zeros_like(expected) if contrast is None else 2 * contrast @ expected
    taken_off = None if shifts is None else _taken_off(rows, shares, blocks, shifts) @ shifts.weights.T
    noise_expected, noise_residual = np.zeros((2, size, size))
    moved = np.zeros(size)
    residuals = scaled_residuals(rows, donors)
    for prompt, part in _parts(rows, residuals, shares, blocks=blocks, taken_off=taken_off):
        part *= scale[:, None]  # noqa: PLW2901  # it is nobody else's
        noise_expected += part @ part.T
        moved[prompt] = -np.vdot(part, along)
        own_part = residuals[(rows.prompts == prompt) & kept].sum(axis=0)
        part[prompt] -= own_part * scale[prompt]
        noise_residual += part @ part.T
    return ExpectedRouting(
        observed=observed * scale[:, None],
        expected=expected,
        noise_expected=noise_expected,
        noise_residual=noise_residual,
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
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield every prompt and its part in what is expected of all ``(prompts, experts)``."""
    weights = np.zeros((len(blocks), len(rows.token_ids)))
    weights[rows.prompts, rows.ids] = shares
    for prompt in range(len(blocks)):
        held = np.flatnonzero(rows.prompts == prompt)
        part = weights[:, rows.ids[held]] @ residuals[held]
        part[blocks == blocks[prompt]] = 0
        if taken_off is not None:
            part -= taken_off[:, held] @ residuals[held]
        yield prompt, part


def covered_tokens(
    rows: TokenRows, *, blocks: NDArray[np.integer], least: int = LEAST
) -> NDArray[np.int64]:  # (prompts,)
    """Count the tokens of each prompt whose id occurs at least so often in other blocks."""
    kept = elsewhere(rows, rows.occurrences.astype(np.float64), blocks) >= max(least, 1)
    return np.bincount(rows.prompts, rows.occurrences * kept, minlength=len(blocks)).astype(np.int64)


def scaled_residuals(rows: TokenRows, selections: NDArray[np.float64]) -> NDArray[np.float64]:  # (rows, experts)
    """Return counts less the mean of their id, over the root of one less the share of it that they are themselves."""
    shares = rows.occurrences / rows.by_id(rows.occurrences.astype(np.float64))[rows.ids]
    residuals = selections - shares[:, None] * rows.by_id(selections)[rows.ids]
    return np.asarray(residuals / np.sqrt(np.where(shares < 1, 1 - shares, 1))[:, None])


def by_prompt(rows: TokenRows, values: NDArray[np.float64], prompts: int) -> NDArray[np.float64]:  # (prompts, …)
    """Sum what each row has over the rows of a prompt."""
    sums = np.zeros((prompts, *values.shape[1:]))
    np.add.at(sums, rows.prompts, values)
    return sums


def elsewhere(rows: TokenRows, values: NDArray[np.float64], blocks: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sum what rows have over the rows of the same id in other blocks."""
    _, cells = np.unique(rows.ids * (int(blocks.max()) + 1) + blocks[rows.prompts], return_inverse=True)
    inside = np.zeros((int(cells.max()) + 1, *values.shape[1:]))
    np.add.at(inside, cells, values)
    return np.asarray(rows.by_id(values)[rows.ids] - inside[cells])


def _taken_off(
    rows: TokenRows, shares: NDArray[np.float64], blocks: NDArray[np.integer], shifts: Shifts
) -> NDArray[np.float64]:  # (prompts, categories)
    """How often each category's shift is taken off what is expected of a prompt."""
    marks = np.eye(len(shifts.effects))[shifts.categories[rows.prompts]] * rows.occurrences[:, None]
    return by_prompt(rows, elsewhere(rows, marks, blocks) * shares[:, None], len(blocks))
