"""Power: how many prompts, groups or tokens a study needs to find a difference between categories."""

from collections.abc import Callable

import numpy as np

from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.centred_layers import LEAST_UNITS
from moexray.stats.categories.location import LocationTest, location_test
from moexray.stats.categories.population import (
    Population,
    estimated_population,
    population_of_effect,
)
from moexray.stats.categories.power import LEVEL, PERMUTATIONS, NeededNumber, PowerPoint, needed_number, power_curve
from moexray.stats.inference.units import Units
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cohort import Cohort, stream
from moexray.studies.limits import Limits
from moexray.studies.power_result import IfOtherwise, Pilot, Power
from moexray.studies.study_sizes import NUMBERS, HeldSizes, Vary, prompts_of_part, units_of_category

TARGET, STUDIES = 0.8, 200
# A pilot of more prompts is sampled.
_MOST_PROMPTS, _PERMUTATIONS = 500, 999

# Of `power_of_effect`.
_LARGEST_EFFECT, _MOST_CATEGORIES = 5, 24
# Units of a category below which a note warns.
_FEW = 5

Announce = Callable[[str], None]


def power_of_pilot(
    signatures: Signatures,
    *,
    tokens: str = "all",
    vary: Vary | None = None,
    groups: int | None = None,
    prompts: int | None = None,
    target: float = TARGET,
    studies: int = STUDIES,
    most: int = NUMBERS[-1],
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
    population, test = _estimated(cohort, tokens)
    units = cohort.units
    held = _held(cohort, tokens, vary=vary, groups=groups, prompts=prompts)
    interval = _interval(test.squared_distance, test.error, len(units) - len(set(units.strata.tolist())))

    def curve(of: Population, name: str, number: int) -> tuple[PowerPoint, ...]:
        def announce(size: int) -> None:
            if on_step is not None:
                on_step(f"{name}: {size:,} {held.varied}")

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
        varied=held.varied,
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
    most: int = NUMBERS[-1],
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

    held = HeldSizes(varied="prompts", independent=True, units=0, prompts=1, tokens=1.0)
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


def _estimated(cohort: Cohort, tokens: str) -> tuple[Population, LocationTest]:
    """Return the population that a pilot is a sample of, and its test of location."""
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
    return population, test


def _held(cohort: Cohort, tokens: str, *, vary: Vary | None, groups: int | None, prompts: int | None) -> HeldSizes:
    """Return what is varied and what is held, as the pilot or the user has it; refuse what the pilot does not allow."""
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
    return HeldSizes(
        varied=varied,
        independent=units.design == "independent",
        units=units_of_category(units) if groups is None else groups,
        prompts=prompts_of_part(units) if prompts is None else prompts,
        tokens=float(1 / np.mean(1 / lengths)),
    )


def _check(*, target: float, studies: int, most: int) -> None:
    if not 0 < target < 1 or studies < 1 or most < NUMBERS[0]:
        message = (
            f"`target` is {target:g}, `studies` is {studies} and `most` is {most}: a power is between 0 and 1, one "
            f"study is the least, and {NUMBERS[0]} the least size"
        )
        raise AnalysisError(message)


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
