"""Batch-aware routing replayed from router scores: what it would read, and how far it departs from the model's own."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.workloads.distinct import distinct_experts
from moexray.stats.workloads.opportunistic import opportunistic, score_order
from moexray.studies.batch_curves import Intervals, Values, values
from moexray.studies.batch_pool import Pool
from moexray.studies.batch_ways import Batches
from moexray.studies.cohort import stream

# Tokens of the batches that are drawn of each size, and how many batches at least and at most.
_TOKENS, _FEWEST, _MOST = 4096, 100, 400


@dataclass(frozen=True)
class Policy:
    """Opportunistic expert activation (arXiv:2511.02237) in batches of several sizes, the mean of layers.

    Attributes
    ----------
    name, k0
        ``oea``, and how many experts each token keeps in any case.
    prompts, steps, draws
        Prompts and steps that are looked at, and how many batches of each size are drawn.
    sizes
        Prompts of a batch.
    model, distinct, distinct_ci
        Distinct experts with the model's own routing, and under the rule, over all batches, exactly.
    difference, difference_ci
        `distinct` minus `model`.
    experts
        Mean experts of a token, over drawn batches.
    kept
        Share of a token's own experts that it still selects, over drawn batches.
    mass
        Share of router probability that its experts keep, over drawn batches; None where scores are no probabilities.
    """

    name: str
    k0: int
    prompts: int
    steps: int
    draws: tuple[int, ...]
    sizes: tuple[int, ...]
    model: Values
    distinct: Values
    distinct_ci: Intervals
    difference: Values
    difference_ci: Intervals
    experts: Values
    kept: Values
    mass: Values | None


def parsed_policy(text: str, signatures: Signatures) -> int:
    """Return k0 of a rule that is written ``oea:k0=3``.

    Raises
    ------
    AnalysisError
        If it is another, or k0 is not from 1 to the least k of the model's layers.
    """
    found = re.fullmatch(r"oea:k0=(\d{1,4})", text)
    if found is None:
        message = f"`policy` is {text!r}: write oea:k0=3, opportunistic expert activation with three experts kept"
        raise AnalysisError(message)
    k0, most = int(found[1]), int(signatures.top_k.min())
    if not 1 <= k0 <= most:
        message = f"`policy` is {text!r}: a token keeps from 1 to {most} experts, as many as the model selects"
        raise AnalysisError(message)
    return k0


def batch_policy(pool: Pool, batches: Batches, signatures: Signatures, *, k0: int, sizes: tuple[int, ...]) -> Policy:
    """Return what batches of the pool's prompts read under the rule.

    Distinct experts are the union of what each token keeps, since everything else is taken from it. Their mean over
    all batches is exact. What a token takes depends on its batch, so that is averaged over drawn ones.

    Parameters
    ----------
    pool
        The prompts, what they select, and their router scores.
    batches
        Of the same prompts: their units and seed.
    signatures
        Of all prompts.
    k0
        Experts that each token keeps.
    sizes
        Prompts of a batch.

    Raises
    ------
    NotComputable
        If the router dropped selections.
    """
    assert pool.scores is not None
    if (pool.chosen.sum(axis=-1) != signatures.top_k).any():
        message = "a token has fewer than k experts, and the rule is for routers that select k of every token"
        raise NotComputable(message)
    order = score_order(pool.scores, pool.chosen)
    first = np.zeros(pool.chosen.shape, dtype=bool)
    np.put_along_axis(first, order[..., :k0], values=True, axis=-1)
    (model, own), (distinct, left_out) = (_exact(one, batches, signatures, sizes) for one in (pool.chosen, first))
    drawn = np.array([_drawn(pool, order, signatures, k0=k0, size=size, seed=batches.seed) for size in sizes])
    probabilities = signatures.meta.get("router_scores") in ("probabilities", ["probabilities"])
    units = batches.units
    return Policy(
        name="oea",
        k0=k0,
        prompts=len(pool.rows),
        steps=len(pool.steps),
        draws=tuple(map(_draws, sizes)),
        sizes=sizes,
        model=values(model),
        distinct=values(distinct),
        distinct_ci=units.intervals(distinct, left_out, bounds=(0.0, float(signatures.experts.mean()))),
        difference=values(distinct - model),
        difference_ci=units.intervals(distinct - model, left_out - own),
        experts=values(drawn[:, 0]),
        kept=values(drawn[:, 1]),
        mass=values(drawn[:, 2]) if probabilities else None,
    )


def _exact(
    chosen: NDArray[np.bool_], batches: Batches, signatures: Signatures, sizes: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (sizes,), (blocks, sizes)
    """Return distinct experts over all batches, the mean of steps and layers; then without each block."""

    def mean(selected: NDArray[np.int64], prompts: int) -> NDArray[np.float64]:
        steps = np.full(len(selected), prompts)
        found = distinct_experts(selected, steps, experts=signatures.experts, sizes=sizes)
        return np.asarray(found.observed.mean(axis=1))

    selected = chosen.sum(axis=0)
    blocks = batches.units.blocks
    without = [
        mean(selected - chosen[blocks == block].sum(axis=0), int((blocks != block).sum()))
        for block in range(len(batches.units))
    ]
    return mean(selected, len(chosen)), np.array(without).reshape(-1, len(sizes))


def _drawn(
    pool: Pool, order: NDArray[np.int64], signatures: Signatures, *, k0: int, size: int, seed: int
) -> NDArray[np.float64]:  # experts of a token, kept, mass
    """Return means over drawn batches and layers; not a number where there are too few prompts."""
    assert pool.scores is not None
    prompts, steps = pool.chosen.shape[:2]
    if size > prompts:
        return np.full(3, np.nan)
    rng, found = stream(seed, f"batch.policy.{size}"), np.zeros(3)
    draws = _draws(size)
    for _ in range(draws):
        some, step = rng.choice(prompts, size, replace=False), int(rng.integers(steps))
        one = opportunistic(
            order[some, step], pool.scores[some, step], pool.chosen[some, step], k0=k0, top_k=signatures.top_k
        )
        found += (one.experts.mean(), one.kept.mean(), one.mass.mean())
    return found / draws


def _draws(size: int) -> int:
    return min(_MOST, max(_FEWEST, _TOKENS // size))
