"""The similarity of pairs of prompts within and across categories."""

from collections.abc import Mapping
from dataclasses import dataclass

from moexray.stats.pairs.summaries import Interval, PairSummary
from moexray.studies.codec import Pair


@dataclass(frozen=True)
class PairSimilarity:
    """Cosine similarity of pairs of prompts. Intervals are of 95 %, over prompts.

    Attributes
    ----------
    within, across
        Pairs of the same, and of different categories.
    cohens_d, cohens_d_ci
        Effect size between the two.
    auc, auc_ci
        Probability that a pair within is more similar than a pair across.
    by_category, by_pair
        Pairs within each category, and across each two categories.
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    cohens_d_ci: Interval | None
    auc: float | None
    auc_ci: Interval | None
    by_category: Mapping[str, PairSummary]
    by_pair: Mapping[Pair, PairSummary]
