"""The similarity of pairs of prompts within and across categories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from moexray.formats import count
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.stats.pairs.balanced import LEAST_BALANCED, BalancedEffect
from moexray.stats.pairs.histogram import PairHistograms, pair_histograms
from moexray.stats.pairs.similarity import unit_rows
from moexray.stats.pairs.summaries import LEAST_WITHIN, Interval, PairSummary
from moexray.studies.codec import Pair
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class PairSimilarity:
    """Cosine similarity of pairs of prompts of different units. Intervals are of 95 %, over units.

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
    balanced
        The effect with equal weights of categories: see `moexray.stats.pairs.balanced`.
    histogram
        How many pairs within and across have which similarity; of a sample above 5,000 prompts.
    """

    within: PairSummary
    across: PairSummary
    cohens_d: float | None
    cohens_d_ci: Interval | None
    auc: float | None
    auc_ci: Interval | None
    by_category: Mapping[str, PairSummary]
    by_pair: Mapping[Pair, PairSummary]
    balanced: BalancedEffect | None = None  # files of earlier versions lack it, and the next one
    histogram: PairHistograms | None = None

    def counts_every_pair(self) -> bool:
        """Whether the histograms, if there are any, hold as many pairs as there are."""
        if self.histogram is None:
            return True
        both = ((self.histogram.within, self.within), (self.histogram.across, self.across))
        return all((0 if one is None else sum(one.pairs)) == summary.pairs for one, summary in both)

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield what too few pairs leave out."""
        summaries = {"within": self.within, "across": self.across}
        summaries |= {f"by_category.{name}": summary for name, summary in self.by_category.items()}
        for name, summary in summaries.items():
            if summary.pairs < 2:
                yield name, f"{count(summary.pairs, 'pair')}: a mean needs one, a standard deviation two"
        for name, value in (("cohens_d", self.cohens_d), ("auc", self.auc)):
            if value is None:
                yield name, "it needs pairs within and across categories that vary"
        if self.cohens_d is not None and self.cohens_d_ci is None:
            yield "cohens_d_ci", f"an interval needs {LEAST_UNITS} prompts, or groups, in each category"
        if self.within.pairs > 1 and self.within.ci is None:
            yield "within.ci", f"an interval needs {LEAST_WITHIN} prompts, or groups, in each category"
        if self.balanced is None:
            yield "balanced", "it needs pairs within each category, and between each two"
        elif self.balanced.difference_ci is None:
            yield "balanced.ci", f"an interval needs {LEAST_BALANCED} prompts, or groups, in each category"


def pair_similarity(cohort: Cohort, notes: Notes) -> PairSimilarity:
    """Summarise the similarity of all pairs."""
    found = cohort.similarity
    auc = found.auc
    if auc is not None and auc.error is not None:
        note = f"estimated from pairs drawn at random: off by at most {auc.error:.3f} with a probability of 95 %"
        notes.add("auc", note)
    partly = int(np.count_nonzero(cohort.by_layer.any(axis=2).sum(axis=1) < len(cohort.layers)))
    if partly:
        note = (
            f"{count(partly, 'prompt')} without a selection in some layer: there a whole signature is empty, which "
            "lowers its similarity to all that are not; `location` and `layers` leave such pairs out"
        )
        notes.add("prompts", note)
    if cohort.streamed:
        notes.add("histogram", str(cohort.sampled()))
    return PairSimilarity(
        within=found.within,
        across=found.across,
        cohens_d=found.cohens_d,
        cohens_d_ci=found.cohens_d_ci,
        auc=None if auc is None else auc.value,
        auc_ci=None if auc is None else auc.ci,
        by_category=found.by_category,
        by_pair=found.by_pair,
        balanced=found.balanced,
        histogram=pair_histograms(unit_rows(cohort.vectors), cohort.units),
    )
