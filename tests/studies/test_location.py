"""The tests of location and dispersion in an analysis: of the prompts in memory, by their groups, in bounded time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from moexray.stats.categories.dispersion import DispersionTest, dispersion_test
from moexray.stats.categories.location import LocationTest, location_test
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LIMITS
from moexray.studies.notes import Notes
from moexray.studies.sections.dispersion import dispersion
from moexray.studies.sections.location import location

from .. import made

Section = Callable[[Cohort, Notes], LocationTest | DispersionTest]


def test_they_are_those_of_the_signatures_and_their_groups() -> None:
    groups = [f"content {i // 4}" for i in range(24)]
    signatures = made.signatures(24, categories="ab", groups=groups)
    cohort, notes = Cohort.of(signatures, permutations=49), Notes()
    shares, labels = signatures.vectors().reshape(24, 3, 8), signatures.prompts.categories
    for compute, test in ((location, location_test), (dispersion, dispersion_test)):
        found = test(shares, labels, groups=groups, permutations=49, rng=cohort.rng(compute.__name__))
        assert compute(cohort, notes) == found
    assert not notes.found


@pytest.mark.parametrize("compute", [location, dispersion])
def test_many_prompts_get_fewer_permutations_and_a_note(compute: Section) -> None:
    limits = replace(LIMITS, location_products=1)
    notes = Notes()
    found = compute(Cohort.of(made.signatures(24, categories="ab"), permutations=500, limits=limits), notes)
    assert found.permutations == 199
    assert notes.found == {"permutations": "199 of 500, since there are many prompts"}


@pytest.mark.parametrize("compute", [location, dispersion])
def test_of_more_prompts_than_fit_memory_a_sample_is_looked_at(compute: Section) -> None:
    limits = replace(LIMITS, in_memory=20, sample=12)
    notes = Notes()
    compute(Cohort.of(made.signatures(24, categories="ab"), permutations=9, limits=limits), notes)
    assert notes.found == {"": "of 12 of the 24 prompts, drawn at random"}
