"""The permutation test of the category effect."""

from typing import Any

from moexray.stats.inference.permutation import PermutationTest, permutation_result
from moexray.stats.pairs.cell_shuffles import shuffled_differences
from moexray.stats.pairs.shuffled import permutation_test
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


def label_permutation(cohort: Cohort, _notes: Notes) -> PermutationTest:
    """Test mean similarity within minus across under permuted labels."""
    options: dict[str, Any] = {"permutations": cohort.permutations, "rng": cohort.rng("permutation")}
    if cohort.streamed:
        return permutation_result(shuffled_differences(cohort.blocks(), cohort.all_labels, **options))
    return permutation_test(cohort.vectors, cohort.labels, groups=cohort.groups, **options)
