"""The test of location: whether categories differ in mean routing."""

from moexray.stats.categories.location import LocationTest, location_test
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes

# However many prompts there are.
_LEAST_PERMUTATIONS = 199


def location(cohort: Cohort, notes: Notes) -> LocationTest:
    """Test the distance between the mean signatures of the categories."""
    permutations = affordable(cohort, notes)
    found = location_test(
        cohort.by_layer, cohort.labels, groups=cohort.groups, permutations=permutations, rng=cohort.rng("location")
    )
    if found.share_of_difference is None:
        notes.add("share_of_difference", "similarity within categories is not above that across, or it is negative")
    return found


def affordable(cohort: Cohort, notes: Notes) -> int:
    """Return how many permutations of the pairs there is time for, and note it where they are fewer, or of a sample."""
    prompts, _, layers, experts = cohort.signatures.shape
    each = prompts * min(prompts, 2 * layers * experts) * len(set(cohort.labels))
    permutations = min(cohort.permutations, max(_LEAST_PERMUTATIONS, cohort.limits.location_products // each))
    if permutations < cohort.permutations:
        notes.add("permutations", f"{permutations:,} of {cohort.permutations:,}, since there are many prompts")
    if not cohort.complete:
        notes.add("", str(cohort.sampled()))
    return permutations
