"""How many experts a prompt's tokens would reach, were each token routed as the tokens of other prompts are."""

import numpy as np
from numpy.typing import NDArray


def expected_reached(
    load: NDArray[np.number],
    tokens: int,
    own: NDArray[np.number],
    lengths: NDArray[np.integer],
) -> NDArray[np.float64]:  # (prompts, layers)
    """Return how many experts of a layer independent tokens reach that select experts as other prompts' tokens do.

    For a prompt of T tokens this is the sum over experts of 1 − (1 − p)^T, where p is the share of all other prompts'
    tokens that selected the expert. Tokens of one prompt are not independent: they repeat, and have a subject. So a
    prompt reaches fewer experts than this where its tokens are routed alike.

    Parameters
    ----------
    load
        Selections of each expert by all prompts ``(layers, experts)``.
    tokens
        Tokens of all prompts.
    own, lengths
        Selections by each prompt alone ``(prompts, layers, experts)``, and its tokens ``(prompts,)``.

    Returns
    -------
    NDArray
        NaN where there is no other prompt with a token.

    Examples
    --------
    >>> load, own = np.array([[10, 10, 0]]), np.array([[[2, 0, 0]]])
    >>> expected_reached(load, 12, own, np.array([2])).round(2).tolist()  # 0.8 and 1 of the other tokens; 1 - 0.2² + 1
    [[1.96]]
    """
    others = (tokens - lengths).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip((load - own) / others[:, None, None], 0.0, 1.0)
    reached = 1.0 - (1.0 - share) ** lengths[:, None, None]
    return np.where(others[:, None] > 0, reached.sum(axis=2), np.nan)
