"""The test of location: whether categories differ in mean routing."""

from moexray.stats.categories.location import LocationTest, location_test
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes

# However many prompts there are.
_LEAST_PERMUTATIONS = 199


def location(cohort: Cohort, notes: Notes) -> LocationTest:
    """Test the distance between the mean signatures of the categories."""
    permutations = _affordable(cohort)
    found = location_test(
        cohort.by_layer, cohort.labels, groups=cohort.groups, permutations=permutations, rng=cohort.rng("location")
    )
    if permutations < cohort.permutations:
        notes.add("permutations", f"{permutations:,} of {cohort.permutations:,}, for time: see `location_products`")
    if not cohort.complete:
        notes.add("", str(cohort.sampled()))
    if found.share_of_difference is None:
        notes.add("share_of_difference", "similarity within categories is not above that across, or it is negative")
    return found


def _affordable(cohort: Cohort) -> int:
    """Return how many permutations there is time for."""
    prompts, _, layers, experts = cohort.signatures.shape
    each = prompts * min(prompts, 2 * layers * experts) * len(set(cohort.labels))
    return min(cohort.permutations, max(_LEAST_PERMUTATIONS, cohort.limits.location_products // each))
