"""Power of the test of location: how often it finds the difference of a population in studies of some size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from moexray.stats.categories.location import location_test
from moexray.stats.categories.population import Population, StudyDesign
from moexray.stats.inference.intervals import wilson_interval
from moexray.stats.pairs.summaries import Interval

# p ≤ 0.05 has a probability of 5 % under the null with 99 permutations: five of a hundred places.
LEVEL, PERMUTATIONS = 0.05, 99
# A curve ends where power is this high at two sizes.
_ENOUGH, _TIMES = 0.95, 2


@dataclass(frozen=True)
class PowerPoint:
    """Power at one size of study.

    Attributes
    ----------
    number
        The size: whatever is varied.
    prompts
        Prompts of the whole study.
    power, ci
        Share of simulated studies with p ≤ 0.05, and its 95 % interval for the number of simulated studies.
    """

    number: int
    prompts: int
    power: float
    ci: Interval


@dataclass(frozen=True)
class NeededNumber:
    """The smallest size with enough power.

    Attributes
    ----------
    number
        None where no size of the curve is enough.
    least, most
        The same for the upper and the lower end of the interval of power at each size: what the number of simulated
        studies leaves open.
    """

    number: int | None
    least: int | None
    most: int | None


def simulated_power(
    population: Population,
    design: StudyDesign,
    *,
    studies: int,
    rng: int | Generator,
    permutations: int = PERMUTATIONS,
) -> float:
    """Return the share of studies of this design in which the test of location has p ≤ 0.05.

    Parameters
    ----------
    population, design
        What studies draw, and how many.
    studies
        How many are simulated.
    rng
        Seed or generator.
    permutations
        Of each test.
    """
    generator, found = np.random.default_rng(rng), 0
    for _ in range(studies):
        vectors, labels, groups = population.draw(design, generator)
        test = location_test(vectors[:, None], labels, groups=groups, permutations=permutations, rng=generator)
        found += test.p_value <= LEVEL
    return found / studies


def power_curve(
    population: Population,
    designs: Iterable[tuple[int, StudyDesign]],
    *,
    studies: int,
    rng: int | Generator,
    announce: Callable[[int], None] = lambda _: None,
) -> tuple[PowerPoint, ...]:
    """Return the power at each size, in order, up to the second with a power of 95 %.

    Parameters
    ----------
    population
        What studies draw.
    designs
        Sizes, ascending, and the design of each.
    studies
        How many are simulated for each.
    rng
        Seed or generator.
    announce
        Called with each size before it is simulated.
    """
    generator = np.random.default_rng(rng)
    points: list[PowerPoint] = []
    for number, design in designs:
        announce(number)
        power = simulated_power(population, design, studies=studies, rng=generator)
        prompts = len(population.means) * design.units * design.prompts
        points.append(PowerPoint(number, prompts, power, wilson_interval(round(power * studies), studies)))
        if sum(one.power >= _ENOUGH for one in points) >= _TIMES:
            break
    return tuple(points)


def needed_number(points: Sequence[PowerPoint], target: float) -> NeededNumber:
    """Return the smallest number with this power, on a line between the points of a curve that never falls.

    Power grows with the size of a study: where a point lies below one before it, by the chance of simulation, both are
    averaged (isotonic regression: R. Barlow et al., *Statistical Inference under Order Restrictions*, 1972).
    """
    numbers = np.array([one.number for one in points], dtype=np.float64)
    powers = (
        np.array([one.power for one in points]),
        np.array([one.ci[1] for one in points]),
        np.array([one.ci[0] for one in points]),
    )
    found = [_reached(numbers, _rising(power), target) for power in powers]
    return NeededNumber(number=found[0], least=found[1], most=found[2])


def _reached(numbers: NDArray[np.float64], power: NDArray[np.float64], target: float) -> int | None:
    enough = np.flatnonzero(power >= target)
    if not len(enough):
        return None
    place = int(enough[0])
    if place == 0:
        return int(numbers[0])
    low, high = power[place - 1], power[place]
    between = np.log(numbers[place - 1]) + (target - low) / (high - low) * np.log(numbers[place] / numbers[place - 1])
    return int(np.ceil(np.exp(between) - 1e-9))


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values).x)
