"""Power: how many prompts, groups or tokens a study needs to find a difference between categories."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.centred_layers import LEAST_UNITS
from moexray.stats.categories.location import location_test
from moexray.stats.categories.population import (
    Population,
    StudyDesign,
    estimated_population,
    population_of_effect,
)
from moexray.stats.categories.power import LEVEL, PERMUTATIONS, NeededNumber, PowerPoint, needed_number, power_curve
from moexray.stats.inference.units import Design, Units
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort, stream
from moexray.studies.limits import Limits
from moexray.studies.results import Result, rows_of

TARGET, STUDIES = 0.8, 200
# Each size is about 1.4 times the one before it.
_NUMBERS = (3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160)
_TOKENS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
# A pilot of more prompts is sampled.
_MOST_PROMPTS, _PERMUTATIONS = 500, 999

# Of `power_of_effect`.
_LARGEST_EFFECT, _MOST_CATEGORIES = 5, 24
# Units of a category below which a note warns.
_FEW = 5

Vary = Literal["prompts", "groups", "tokens"]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of its population.

    Attributes
    ----------
    model, phase
        The model, and which tokens.
    prompts, units, design
        Prompts, units and how they go with categories: see `moexray.stats.inference.units`.
    squared_distance, ci, p_value
        The squared distance between mean signatures, its 95 % interval, and p of the test of location.
    group_share
        The share of the variance within categories that prompts of one group have in common.
    token_share
        The share that the number of tokens makes, as if tokens were independent.
    tokens
        Harmonic mean of the prompts' tokens.
    """

    model: str | None
    phase: str
    prompts: int
    units: int
    design: Design
    squared_distance: float
    ci: Interval
    p_value: float
    group_share: float
    token_share: float
    tokens: int


@dataclass(frozen=True)
class IfOtherwise:
    """What would be needed if the difference were as at the ends of its interval.

    Attributes
    ----------
    smaller, larger
        At the lower and at the upper end; at a lower end of zero or less no size is enough.
    """

    smaller: NeededNumber
    larger: NeededNumber


@dataclass(frozen=True, repr=False, kw_only=True)
class Power(Result):
    """Power of the test of location by the size of a study.

    Attributes
    ----------
    effect
        The stated Cohen's d of pairs of prompts; None where a pilot says how large the difference is.
    pilot
        The pilot, if there is one.
    categories
        Number of categories.
    varied
        What the numbers of `curve` and `needed` count: prompts of a category (or of a group and category), groups
        (of a category; of all where groups hold several categories), or tokens of a prompt.
    groups, prompts, tokens
        What is held: groups of a category, prompts of a category or of a group and category, tokens of a prompt; None
        for what is varied, or is not known.
    level, target
        p is to be at most `level` in a share of `target` of all studies.
    studies, permutations, seed
        Simulated studies of each size, permutations of each test, and the seed.
    curve
        Power at each size.
    needed
        The smallest size with enough power.
    needed_if
        The same at the ends of the interval of the pilot's difference.
    notes
        What limits the answer.
    """

    WHAT: ClassVar[str] = "a power analysis"
    MADE_BY: ClassVar[str] = "moexray power --json"
    MARK: ClassVar[str] = "needed"

    effect: float | None = optional()
    pilot: Pilot | None = optional()
    categories: int
    varied: Vary
    groups: int | None = optional()
    prompts: int | None = optional()
    tokens: int | None = optional()
    level: float
    target: float
    studies: int
    permutations: int
    seed: int
    curve: tuple[PowerPoint, ...]
    needed: NeededNumber
    needed_if: IfOtherwise | None = optional()
    fingerprint: str | None = optional()
    notes: Mapping[str, str] = field(default_factory=dict)

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the pilot."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return what is needed, and the largest size that was simulated."""
        found = "more than were simulated" if self.needed.number is None else f"{self.needed.number:,}"
        last = self.curve[-1]
        return [
            f"{found} {self.varied} for a power of {self.target:.0%}",
            f"power {last.power:.2f} at {last.number:,} {self.varied}, {last.prompts:,} prompts in all",
        ]

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.curve)


def power_of_pilot(
    signatures: Signatures,
    *,
    tokens: str = "all",
    vary: Vary | None = None,
    groups: int | None = None,
    prompts: int | None = None,
    target: float = TARGET,
    studies: int = STUDIES,
    most: int = _NUMBERS[-1],
    seed: int = 0,
    on_step: Announce | None = None,
) -> Power:
    """Simulate larger and smaller studies like a pilot: see docs/power.md.

    Parameters
    ----------
    signatures
        The pilot.
    tokens
        Which tokens: see `moexray.segments.places`.
    vary
        ``prompts``, ``groups`` or ``tokens``; by default groups where the pilot has groups, and else prompts.
    groups, prompts
        Groups of a category, and prompts of a category (of a group and category where there are groups), where they
        are not varied; by default as in the pilot.
    target
        The power that is wanted.
    studies
        Simulated studies of each size.
    most
        The largest number of prompts or groups that is simulated.
    seed
        Of all draws.
    on_step
        Called with the name of each step.

    Raises
    ------
    AnalysisError
        If an option cannot be used, or the pilot has one category only, or fewer than three units in one.
    """
    _check(target=target, studies=studies, most=most)
    whole = Cohort.of(
        signatures, tokens=tokens, seed=seed, limits=Limits(in_memory=_MOST_PROMPTS, sample=_MOST_PROMPTS)
    )
    cohort = whole.take(np.flatnonzero(whole.signatures.loads(tokens).any(axis=(1, 2))))
    try:
        population = estimated_population(
            cohort.signatures.loads(tokens), cohort.signatures.lengths(tokens), cohort.labels, cohort.groups
        )
        test = location_test(
            cohort.by_layer,
            cohort.labels,
            groups=cohort.groups,
            permutations=_PERMUTATIONS,
            rng=cohort.rng("power.pilot"),
        )
    except NotComputable as reason:
        message = f"the pilot says nothing of power: {reason}"
        raise AnalysisError(message) from reason
    units = cohort.units
    varied = vary or ("prompts" if units.design == "independent" else "groups")
    if units.design == "independent" and (varied == "groups" or groups is not None):
        message = f"`{'vary' if varied == 'groups' else 'groups'}` needs groups, and the prompts of the pilot have none"
        raise AnalysisError(message)
    least = LEAST_UNITS if units.design == "independent" else 1
    if (prompts is not None and prompts < least) or (groups is not None and groups < LEAST_UNITS):
        message = f"`prompts` must be at least {least}, and `groups` at least {LEAST_UNITS}"
        raise AnalysisError(message)
    lengths = cohort.signatures.lengths(tokens)
    held = _Held(
        varied=varied,
        independent=units.design == "independent",
        units=_units_of_category(units) if groups is None else groups,
        prompts=_prompts_of_part(units) if prompts is None else prompts,
        tokens=float(1 / np.mean(1 / lengths)),
    )
    interval = _interval(test.squared_distance, test.error, len(units) - len(set(units.strata.tolist())))

    def curve(of: Population, name: str, number: int) -> tuple[PowerPoint, ...]:
        def announce(size: int) -> None:
            if on_step is not None:
                on_step(f"{name}: {size:,} {varied}")

        rng = stream(seed, f"power.{name}")
        return power_curve(of, held.designs(most), studies=number, rng=rng, announce=announce)

    points = curve(population, "as in the pilot", studies)
    ends = [
        needed_number(curve(population.at_distance(end), name, max(50, studies // 2)), target)
        if end > 0
        else NeededNumber(None, None, None)
        for end, name in zip(interval, ("smallest difference", "largest difference"), strict=True)
    ]
    return Power(
        pilot=Pilot(
            model=signatures.meta.get("model"),
            phase=tokens,
            prompts=len(cohort),
            units=len(units),
            design=units.design,
            squared_distance=test.squared_distance,
            ci=interval,
            p_value=test.p_value,
            group_share=population.part_share,
            token_share=population.token_share,
            tokens=round(held.tokens),
        ),
        categories=len(units.names),
        varied=varied,
        **held.kept(),
        level=LEVEL,
        target=target,
        studies=studies,
        permutations=PERMUTATIONS,
        seed=seed,
        curve=points,
        needed=needed_number(points, target),
        needed_if=IfOtherwise(*ends),
        fingerprint=signatures.fingerprint,
        notes=_notes(interval, units, cohort, signatures),
    )


def power_of_effect(
    effect: float,
    *,
    categories: int = 4,
    target: float = TARGET,
    studies: int = STUDIES,
    most: int = _NUMBERS[-1],
    seed: int = 0,
    on_step: Announce | None = None,
) -> Power:
    """Simulate studies of a population whose pairs of prompts have this Cohen's d: see docs/power.md.

    Parameters
    ----------
    effect
        Cohen's d of pairs of prompts within and across categories, zero or more.
    categories
        Number of categories, from 2 to 24.
    target, studies, most, seed, on_step
        See `power_of_pilot`.

    Raises
    ------
    AnalysisError
        If an option cannot be used.
    """
    _check(target=target, studies=studies, most=most)
    if not 0 <= effect <= _LARGEST_EFFECT or not 2 <= categories <= _MOST_CATEGORIES:
        message = (
            f"`effect` is {effect:g} and `categories` is {categories}: an effect is from 0 to {_LARGEST_EFFECT}, and "
            f"there are from 2 to {_MOST_CATEGORIES} categories"
        )
        raise AnalysisError(message)
    if on_step is not None:
        on_step("looking for the distance of means")
    population = population_of_effect(effect, categories, rng=stream(seed, "power.effect"))

    def announce(size: int) -> None:
        if on_step is not None:
            on_step(f"{size:,} prompts")

    held = _Held(varied="prompts", independent=True, units=0, prompts=1, tokens=1.0)
    points = power_curve(
        population, held.designs(most), studies=studies, rng=stream(seed, "power.curve"), announce=announce
    )
    return Power(
        effect=effect,
        categories=categories,
        varied="prompts",
        level=LEVEL,
        target=target,
        studies=studies,
        permutations=PERMUTATIONS,
        seed=seed,
        curve=points,
        needed=needed_number(points, target),
    )


@dataclass(frozen=True)
class _Held:
    """The sizes of a study that are not varied: units of a category, prompts of a part, and tokens in the pilot."""

    varied: Vary
    independent: bool
    units: int
    prompts: int
    tokens: float

    def designs(self, most: int) -> Iterator[tuple[int, StudyDesign]]:
        """Yield the designs of all sizes, ascending."""
        if self.varied == "tokens":
            units, prompts = (self.prompts, 1) if self.independent else (self.units, self.prompts)
            for number in _TOKENS:
                yield number, StudyDesign(units, prompts, number / self.tokens)
            return
        over_units = self.independent or self.varied == "groups"
        for number in (one for one in ((1, 2) if not over_units else ()) + _NUMBERS if one <= most):
            prompts = 1 if self.independent else self.prompts
            yield number, StudyDesign(number, prompts) if over_units else StudyDesign(self.units, number)

    def kept(self) -> dict[str, int]:
        """Return the sizes that are held, by the names of `Power`."""
        sizes = {"groups": self.units, "prompts": self.prompts, "tokens": round(self.tokens)}
        return {
            name: size
            for name, size in sizes.items()
            if name != self.varied and not (name == "groups" and self.independent)
        }


def _check(*, target: float, studies: int, most: int) -> None:
    if not 0 < target < 1 or studies < 1 or most < _NUMBERS[0]:
        message = (
            f"`target` is {target:g}, `studies` is {studies} and `most` is {most}: a power is between 0 and 1, one "
            f"study is the least, and {_NUMBERS[0]} the least size"
        )
        raise AnalysisError(message)


def _units_of_category(units: Units) -> int:
    return max(LEAST_UNITS, int(np.median(units.units_of_category)))


def _prompts_of_part(units: Units) -> int:
    """Return the prompts of a category, where there are no groups, and else of a group and category: the median."""
    numbers = np.bincount(units.categories if units.design == "independent" else units.parts)
    return max(LEAST_UNITS if units.design == "independent" else 1, int(np.median(numbers)))


def _interval(estimate: float, error: float, freedom: int) -> Interval:
    from scipy.special import stdtrit

    half = float(stdtrit(max(freedom, 1), 0.975)) * error
    return estimate - half, estimate + half


def _notes(interval: Interval, units: Units, cohort: Cohort, signatures: Signatures) -> dict[str, str]:
    notes = {}
    if interval[0] <= 0:
        notes["pilot"] = (
            "the pilot does not show a difference: the 95 % interval of the squared distance holds zero, so that no "
            "number of prompts may be enough"
        )
    if interval[1] <= 0:
        notes["needed_if"] = "even the largest difference that the pilot allows is none"
    smallest = int(units.units_of_category.min())
    if smallest < _FEW:
        of = "prompts" if units.design == "independent" else "groups"
        notes["pilot.units"] = f"a category has {smallest} {of}: the variance is known roughly only"
    if len(cohort) < int(signatures.has_tokens(cohort.tokens).sum()):
        notes["pilot.prompts"] = f"the pilot is summarised by {len(cohort):,} of its prompts"
    return notes
