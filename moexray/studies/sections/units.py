"""The units of an analysis: prompts, or the groups that they are declared to have."""

from dataclasses import dataclass

from moexray.formats import number
from moexray.stats.inference.units import Design, units_of
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class UnitsOfAnalysis:
    """What tests permute and intervals leave out: see `moexray.stats.inference.units`.

    Attributes
    ----------
    units
        Number of units.
    design
        How groups and categories lie: `independent` without groups, `nested` or `crossed`.
    pairs_left_out
        Number of pairs of prompts inside units, which are in no mean.
    least_p
        The smallest p-value that permutations of the labels can give.
    """

    units: int
    design: Design
    pairs_left_out: int
    least_p: float


def units_of_analysis(cohort: Cohort, notes: Notes) -> UnitsOfAnalysis:
    """Count the units, and note where they are too few for a small p-value."""
    units = units_of(cohort.all_labels) if cohort.streamed else cohort.units
    least = max(units.least_p, 1 / (1 + cohort.permutations))
    if least > LEVEL and len(units.names) > 1:
        of = "prompts" if units.design == "independent" else "groups"
        notes.add("least_p", f"so few {of} allow no p-value below {number(least, 3)}, whatever their routing")
    return UnitsOfAnalysis(len(units), units.design, units.pairs_left_out, least)
