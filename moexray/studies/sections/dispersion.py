"""The dispersion of categories, and the test that it differs."""

from moexray.stats.categories.dispersion import DispersionTest, dispersion_test
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.sections.location import affordable


def dispersion(cohort: Cohort, notes: Notes) -> DispersionTest:
    """Measure how far the prompts of each category lie from its mean, and test whether categories differ in that."""
    permutations = affordable(cohort, notes)
    return dispersion_test(
        cohort.by_layer, cohort.labels, groups=cohort.groups, permutations=permutations, rng=cohort.rng("dispersion")
    )
