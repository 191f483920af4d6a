"""Tokens routed by made-up routers whose dependence on token, category and prompt is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Routed:
    """Tokens of some prompts, one after the other, and the experts that each layer selected for them."""

    token_ids: np.ndarray  # (tokens,)
    prompts: np.ndarray  # (tokens,)
    experts: np.ndarray  # (tokens, layers, k)
    labels: list[str]


Planted = Callable[..., Routed]


@pytest.fixture(scope="session")
def planted() -> Planted:
    """Return a function that draws prompts and routes them by token, category and prompt, each as strongly as asked."""
    return routed


def routed(
    seed: int,
    *,
    token: float = 0.0,
    category: float = 0.0,
    prompt: float = 0.0,
    own_words: float = 0.5,
    prompts: int = 40,
    vocabulary: int = 120,
    experts: int = 16,
    k: int = 4,
    layers: int = 2,
    length: tuple[int, int] = (15, 40),
    router: int | None = None,
) -> Routed:
    """Send each token to the k experts of the highest score: what token, category and prompt like, and chance.

    A share `own_words` of a prompt's tokens is from its category's own vocabulary, the rest from a common one.
    With `router` the vocabularies and what token and category like stay the same whatever the seed.
    """
    rng = np.random.default_rng([seed, 20260311])
    of_router = rng if router is None else np.random.default_rng(router)
    labels = [f"kind {i % 4}" for i in range(prompts)]
    common, *own = of_router.dirichlet(np.full(vocabulary, 0.1), size=5)
    preferences = [of_router.normal(size=(number, layers, experts)) for number in (vocabulary, 4, prompts)]
    token_ids, chosen = [], []
    for number in range(prompts):
        likely = own_words * own[number % 4] + (1 - own_words) * common
        drawn = rng.choice(vocabulary, rng.integers(*length), p=likely)
        scores = rng.gumbel(size=(len(drawn), layers, experts)) + token * preferences[0][drawn]
        scores += category * preferences[1][number % 4] + prompt * preferences[2][number]
        token_ids.append(drawn)
        chosen.append(np.argsort(-scores, axis=2)[:, :, :k].astype(np.int16))
    which = np.repeat(np.arange(prompts), [len(ids) for ids in token_ids])
    return Routed(np.concatenate(token_ids), which, np.concatenate(chosen), labels)


@pytest.fixture(scope="session")
def mixed() -> Callable[..., tuple[Routed, float]]:
    """Return a function that routes a known share of tokens by id and the rest by category."""
    return routed_by_either


def routed_by_either(seed: int, of_tokens: float, *, prompts: int = 40) -> tuple[Routed, float]:
    """Send each token where its id goes with the probability `of_tokens`, and else where its category goes; k = 1.

    Returned with it: the share of the separation of categories that their tokens make, from the probabilities that
    the experts were drawn with.
    """
    of_router, rng = np.random.default_rng(20260311), np.random.default_rng(seed)
    common, *own = of_router.dirichlet(np.full(120, 0.1), size=5)
    by_id, by_category = (of_router.dirichlet(np.full(16, 0.3), size=number) for number in (120, 4))
    token_ids, chosen, likely = [], [], []
    for number in range(prompts):
        drawn = rng.choice(120, rng.integers(15, 40), p=(own[number % 4] + common) / 2)
        token_ids.append(drawn)
        by_token = rng.random(len(drawn)) < of_tokens
        probabilities = np.where(by_token[:, None], by_id[drawn], by_category[number % 4])
        chosen.append((rng.random((len(drawn), 1)) > probabilities.cumsum(axis=1)).sum(axis=1))
        of_ids = of_tokens * by_id[drawn].mean(axis=0)
        likely.append((of_ids, of_ids + (1 - of_tokens) * by_category[number % 4]))
    same = np.equal.outer(np.arange(prompts) % 4, np.arange(prompts) % 4)
    apart = ~np.eye(prompts, dtype=bool)
    products = [np.array(part) @ np.array(part).T for part in zip(*likely, strict=True)]
    separations = [product[same & apart].mean() - product[~same].mean() for product in products]
    which = np.repeat(np.arange(prompts), [len(ids) for ids in token_ids])
    experts = np.concatenate(chosen).clip(0, 15).astype(np.int16)[:, None, None]
    found = Routed(np.concatenate(token_ids), which, experts, [f"kind {i % 4}" for i in range(prompts)])
    return found, float(separations[0] / separations[1])
