"""What grouping prompts into batches saves: at random, by category, by prefill, by decoding itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.pairs.summaries import Interval
from moexray.stats.workloads.distinct import uniform
from moexray.studies.batch_pool import Pool
from moexray.studies.batch_ways import Batches, Mean

SIZE = 8


@dataclass(frozen=True)
class Grouped:
    """Mean distinct experts of a batch, over batches, steps and layers.

    Attributes
    ----------
    experts, ci
        The mean, and its 95 % interval over units.
    difference, difference_ci
        That minus the mean of random batches of the same prompts, with its interval; None for random batches.
    """

    experts: float
    ci: Interval | None
    difference: float | None
    difference_ci: Interval | None


@dataclass(frozen=True)
class Grouping:
    """What batches of one size read, by how they are made of the same prompts.

    Attributes
    ----------
    size
        Prompts of a batch.
    prompts, steps
        Prompts that are grouped: those with so many generated tokens, which they are compared at.
    uniform
        The closed form with even load.
    random
        All batches of these prompts, exactly.
    category
        All batches of prompts of one category, exactly.
    signature
        The first prompt without a batch and the most similar ones by the cosine of their counts in the prompt phase.
    hamming
        Two random batches at a time, whose tokens are split anew at every step by 2-means on the Hamming distance of
        what they select then: what a predictor that is never wrong would allow.
    oracle
        As `signature`, by how many experts two prompts share while they decode.
    """

    size: int
    prompts: int
    steps: int
    uniform: float
    random: Grouped
    category: Grouped | None
    signature: Grouped | None
    hamming: Grouped | None
    oracle: Grouped | None


def grouping(
    batches: Batches,
    pool: Pool,
    *,
    signatures: Signatures,
    loads: NDArray[np.number],
    note: Callable[[str, str], None],
) -> Grouping:
    """Return what batches of the pool's prompts read, by how they are made.

    Parameters
    ----------
    batches
        Of the pool's prompts.
    pool
        The prompts and what they select.
    signatures
        Of all prompts.
    loads
        Selections of each expert in the prompt phase, of the pool's prompts ``(prompts, layers, experts)``.
    note
        Called with a part's name and a reason where the part is None or leaves prompts out.
    """
    ways: dict[str, Callable[[], Mean]] = {
        "category": lambda: batches.category(lambda text: note("grouping.category", text)),
        "signature": lambda: batches.greedy(_cosines(loads)),
        "hamming": batches.hamming,
        "oracle": lambda: batches.greedy(batches.shared.sum(axis=0)),
    }
    parts: dict[str, Grouped | None] = {}
    bounds = (0.0, float(signatures.experts.mean()))
    for name, mean in ways.items():
        try:
            parts[name] = _grouped(batches, mean(), bounds)
        except NotComputable as reason:
            note(f"grouping.{name}", str(reason))
            parts[name] = None
        if (found := parts[name]) is not None and found.ci is None and batches.units.can_be_left_out:
            note(f"grouping.{name}.ci", "no interval: without some of the prompts there are too few for a batch")
    random, k = batches.random, pool.chosen.sum(axis=3).mean(axis=(0, 1))
    of_random = batches.units.interval(random.experts, random.without, bounds=bounds)
    return Grouping(
        size=batches.size,
        prompts=len(pool.rows),
        steps=len(pool.steps),
        uniform=float(uniform(k, signatures.experts, batches.size).mean()),
        random=Grouped(random.experts, of_random, None, None),
        **parts,
    )


def _grouped(batches: Batches, mean: Mean, bounds: tuple[float, float]) -> Grouped:
    random = batches.random if mean.random is None else mean.random
    difference = mean.experts - random.experts
    return Grouped(
        experts=mean.experts,
        ci=batches.units.interval(mean.experts, mean.without, bounds=bounds),
        difference=difference,
        difference_ci=batches.units.interval(difference, mean.without - random.without),
    )


def _cosines(loads: NDArray[np.number]) -> NDArray[np.float64]:  # (prompts, prompts)
    rows = loads.reshape(len(loads), -1).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        message = "a prompt has no selections in its prompt phase, so it has no signature to be grouped by"
        raise NotComputable(message)
    unit = rows / lengths
    return np.asarray(unit @ unit.T)
