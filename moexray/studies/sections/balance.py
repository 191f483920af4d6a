"""Similarity under routers that only balance their load."""

from dataclasses import dataclass

from moexray.errors import NotComputable
from moexray.stats.categories.balance import Baseline, load_matched_baseline, uniform_baseline
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
    some = cohort.sample(cohort.limits.balance_prompts, "balance")
    if len(some) < 2:
        message = "one prompt makes no pair"
        raise NotComputable(message)
    notes.sampled(some, cohort)
    signatures, observed = some.signatures, cohort.similarity
    if signatures.meta.get("router_may_drop"):
        notes.add("uniform", "the router may drop tokens: the null lets each pick k experts all the same")
    return Balance(
        uniform=uniform_baseline(
            signatures.lengths(cohort.tokens),
            signatures.top_k,
            signatures.experts,
            observed=observed,
            rng=cohort.rng("balance.uniform"),
        ),
        load_matched=load_matched_baseline(
            signatures.loads(cohort.tokens), observed=observed, rng=cohort.rng("balance.load_matched")
        ),
    )
