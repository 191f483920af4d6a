"""Similarity under routers that only balance their load."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moexray.errors import NotComputable
from moexray.formats import percent
from moexray.stats.categories.balance import Baseline, load_matched_baseline, uniform_baseline
from moexray.stats.inference.cores import over_cores
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Balance:
    """Two nulls of load balancing.

    Attributes
    ----------
    uniform
        Every token picks its experts uniformly.
    load_matched
        Every expert has the load that it has here; which prompts selected it is random.
    """

    uniform: Baseline
    load_matched: Baseline


def load_balancing(cohort: Cohort, notes: Notes) -> Balance:
    """Compare mean similarity within and across with both nulls."""
    if cohort.weighting == "mass":
        message = "a null of load balancing draws selections: it says nothing of gate mass"
        raise NotComputable(message)
    there = _with_selections(cohort)
    some = _sample(there)
    if len(some) < 2:
        message = "one prompt makes no pair"
        raise NotComputable(message)
    notes.sampled(some, there)
    signatures = some.signatures
    counts, tokens = signatures.loads(cohort.tokens), signatures.lengths(cohort.tokens)
    labels, groups = some.labels, some.groups
    dropped = 1 - counts.sum() / (tokens.sum() * signatures.top_k.sum())
    if dropped > 0:
        notes.add(
            "uniform",
            f"the router dropped {percent(dropped)} of the selections: both nulls make as many as were observed, and "
            "spread those of a prompt evenly over its tokens",
        )

    def uniform() -> Baseline:
        rng = cohort.rng("balance.uniform")
        return uniform_baseline(counts, tokens, signatures.experts, labels=labels, groups=groups, rng=rng)

    def load_matched() -> Baseline:
        return load_matched_baseline(
            counts, tokens, labels=labels, groups=groups, rng=cohort.rng("balance.load_matched")
        )

    def drawn(null: Callable[[], Baseline]) -> Baseline:
        return null()

    return Balance(*over_cores(drawn, [uniform, load_matched]))


def _with_selections(cohort: Cohort) -> Cohort:
    """Leave out prompts all of whose selections the router dropped: they have no signature."""
    selected = cohort.signatures.loads(cohort.tokens).any(axis=(1, 2))
    return cohort if selected.all() else cohort.take(np.flatnonzero(selected))


def _sample(cohort: Cohort) -> Cohort:
    """Draw as many prompts as the nulls can draw anew often enough."""
    picks = int(cohort.signatures.lengths(cohort.tokens).sum()) * int(cohort.signatures.top_k.sum())
    most = max(2, len(cohort) * cohort.limits.balance_picks // max(picks, 1))
    return cohort.sample(min(cohort.limits.balance_prompts, most), "balance")
