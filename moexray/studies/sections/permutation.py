"""The permutation test of the category effect."""

from moexray.stats.inference.permutation import PermutationTest, permutation_result
from moexray.stats.pairs.shuffled import permutation_test
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


def label_permutation(cohort: Cohort, _notes: Notes) -> PermutationTest:
    """Test mean similarity within minus across under permuted labels."""
    if cohort.streamed:
        return permutation_result(cohort.permuted.whole)
    rng = cohort.rng("permutation")
    return permutation_test(
        cohort.vectors, cohort.labels, permutations=cohort.permutations, rng=rng, groups=cohort.groups
    )
