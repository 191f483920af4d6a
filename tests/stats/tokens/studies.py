"""Simulated studies of tokens: groups with words and preferences of their own, and contents posed in every category.

A token selects the k experts of the largest score plus standard Gumbel noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IDS, EXPERTS, K = 120, 16, 4


@dataclass(frozen=True)
class TokenStudy:
    """Tokens of some prompts, one after the other, and the experts that each layer selected for them.

    Attributes
    ----------
    token_ids, prompts, experts
        ``(tokens,)``, ``(tokens,)`` and ``(tokens, layers, k)``.
    labels, groups
        Of each prompt; `groups` is None where every prompt is its own.
    """

    token_ids: np.ndarray
    prompts: np.ndarray
    experts: np.ndarray
    labels: list[str]
    groups: list[str] | None


def token_router(
    rng: np.random.Generator,
    *,
    groups: Sequence[int] = (2, 3) * 8,
    categories: int = 4,
    tokens: int = 40,
    own_words: float = 0.6,
    group: float = 0.5,
    prompt: float = 0.2,
    category: float = 0.0,
) -> TokenStudy:
    """Draw groups of these sizes, each of one category, with words and with a preference of their own."""
    of_group = np.repeat(np.arange(len(groups)), groups)
    labels = of_group % categories
    words = _words(rng, len(groups), own_words)[of_group]
    preferences = group * rng.normal(size=(len(groups), EXPERTS))[of_group]
    preferences += category * rng.normal(size=(categories, EXPERTS))[labels]
    preferences += prompt * rng.normal(size=(len(of_group), EXPERTS))
    return _routed(rng, words, preferences, tokens, labels=labels, groups=of_group)


def crossed_tokens(
    rng: np.random.Generator,
    *,
    contents: int = 12,
    categories: int = 4,
    tokens: int = 40,
    own_words: tuple[float, float] = (0.3, 0.4),
    content: float = 0.5,
    prompt: float = 0.2,
    category: float = 0.0,
    cell: float = 0.0,
    repeats: int = 1,
) -> TokenStudy:
    """Draw contents that are each posed in every category.

    Of a prompt's words, shares `own_words` are of its content and of its category. Contents, prompts and categories
    have preferences of their own, and so has a content in a category (`cell`), where it is posed several times.
    """
    of_content, of_category = (part.ravel() for part in np.indices((contents, categories, repeats))[:2])
    by_content, by_category = own_words
    words = _words(rng, contents, 1)[of_content] * by_content + _words(rng, categories, 1)[of_category] * by_category
    words += (1 - by_content - by_category) * _COMMON
    preferences = content * rng.normal(size=(contents, EXPERTS))[of_content]
    preferences += category * rng.normal(size=(categories, EXPERTS))[of_category]
    preferences += cell * rng.normal(size=(contents, categories, EXPERTS))[of_content, of_category]
    preferences += prompt * rng.normal(size=(len(of_content), EXPERTS))
    return _routed(rng, words, preferences, tokens, labels=of_category, groups=of_content)


_COMMON = np.arange(1, IDS + 1) ** -0.8 / (np.arange(1, IDS + 1) ** -0.8).sum()


def _words(rng: np.random.Generator, number: int, share: float) -> np.ndarray:  # (number, ids)
    """Draw distributions of words, each a mixture of its own and the common one."""
    own = rng.gamma(0.3, size=(number, IDS)) * _COMMON
    return np.asarray(share * own / own.sum(axis=1, keepdims=True) + (1 - share) * _COMMON)


def _routed(
    rng: np.random.Generator,
    words: np.ndarray,
    preferences: np.ndarray,
    tokens: int,
    *,
    labels: np.ndarray,
    groups: np.ndarray,
) -> TokenStudy:
    affinity = 1.5 * rng.normal(size=(IDS, EXPERTS))
    token_ids = np.array([rng.choice(IDS, tokens, p=likely) for likely in words])
    scores = affinity[token_ids] + preferences[:, None] + rng.gumbel(size=(*token_ids.shape, EXPERTS))
    chosen = np.argpartition(-scores, K - 1, axis=2)[:, :, :K].reshape(-1, 1, K)
    return TokenStudy(
        token_ids.ravel(),
        np.repeat(np.arange(len(words)), tokens),
        chosen.astype(np.int16),
        [f"kind {one}" for one in labels],
        [f"group {one}" for one in groups],
    )


def word_order(
    rng: np.random.Generator, mixtures: Sequence[float], *, ids: int = 40, prompts: int = 40, tokens: int = 50
) -> TokenStudy:
    """Draw prompts of a Markov chain of ids, routed by the token and the one before it.

    A category's chain mixes two transition matrices, by its number of `mixtures`.
    """
    chains = rng.dirichlet(np.full(ids, 0.05), size=(2, ids))
    of_token, of_previous = rng.normal(size=(2, ids, EXPERTS))
    labels = np.arange(prompts) % len(mixtures)
    steps = np.array([one * chains[0] + (1 - one) * chains[1] for one in mixtures]).cumsum(axis=2)
    token_ids = np.empty((prompts, tokens), dtype=np.int64)
    token_ids[:, 0] = rng.integers(ids, size=prompts)
    for place in range(1, tokens):
        likely = steps[labels, token_ids[:, place - 1]]
        token_ids[:, place] = (rng.random((prompts, 1)) > likely).sum(axis=1).clip(0, ids - 1)
    scores = of_token[token_ids] + rng.gumbel(size=(*token_ids.shape, EXPERTS))
    scores[:, 1:] += of_previous[token_ids[:, :-1]]
    chosen = np.argpartition(-scores, K - 1, axis=2)[:, :, :K].reshape(-1, 1, K)
    which = np.repeat(np.arange(prompts), tokens)
    return TokenStudy(token_ids.ravel(), which, chosen.astype(np.int16), [f"kind {one}" for one in labels], None)


def frequent_words(
    rng: np.random.Generator, *, k: int, prompts: int, tokens: int, category: float = 0.0, router: int | None = None
) -> TokenStudy:
    """Draw prompts of 20 ids, which 4 categories use unlike often, routed to k of 32 experts by id and prompt.

    With `router` the words and what ids and categories prefer stay the same whatever the generator.
    """
    ids, experts, categories = 20, 32, 4
    of_router = rng if router is None else np.random.default_rng(router)
    words = of_router.gamma(1.0, size=(categories, ids)) / np.arange(1, ids + 1)
    words /= words.sum(axis=1, keepdims=True)
    by_id, by_category = of_router.normal(size=(ids, experts)), category * of_router.normal(size=(categories, experts))
    labels = np.arange(prompts) % categories
    token_ids = np.array([rng.choice(ids, tokens, p=words[label]) for label in labels])
    preferences = by_category[labels] + 0.4 * rng.normal(size=(prompts, experts))
    scores = by_id[token_ids] + preferences[:, None] + rng.gumbel(size=(prompts, tokens, experts))
    chosen = np.argpartition(-scores, k - 1, axis=2)[:, :, :k].reshape(-1, 1, k)
    which = np.repeat(np.arange(prompts), tokens)
    return TokenStudy(token_ids.ravel(), which, chosen.astype(np.int16), [f"kind {one}" for one in labels], None)
