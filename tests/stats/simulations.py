"""Numbers of simulated studies, in every run and nightly, and the rates that they must show."""

import os
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

FIRST = int(os.environ.get("MOEXRAY_FIRST_SEED", "0"))
ASKED = int(os.environ.get("MOEXRAY_SIMULATIONS", "0"))
CHANCE_OF_FAILURE, LEVEL = 0.001, 0.05


def simulated(few: int, *, nightly: int) -> pytest.MarkDecorator:
    """Give a test the parameter `seeds`: of a few studies in every run, and of many with ``-m nightly``.

    Of the many, MOEXRAY_SIMULATIONS gives another number, and MOEXRAY_FIRST_SEED the first seed.
    """
    many = range(FIRST, FIRST + (ASKED or nightly))
    return pytest.mark.parametrize(
        "seeds",
        [
            pytest.param(range(few), id=f"{few} studies", marks=pytest.mark.simulation),
            pytest.param(many, id=f"{len(many)} studies", marks=(pytest.mark.simulation, pytest.mark.nightly)),
        ],
    )


def assert_share(found: np.ndarray, low: float, high: float) -> None:
    """Fail if `found` ``(studies,)`` is true in a share of studies that no true rate in [low, high] explains.

    A product whose rate is in the range fails with a probability of at most 0.001 on either side, in one fixed run.
    """
    count, studies = int(np.count_nonzero(found)), len(found)
    least, most = binom.ppf(CHANCE_OF_FAILURE, studies, low), binom.ppf(1 - CHANCE_OF_FAILURE, studies, high)
    print(f"{count} of {studies} studies, {count / studies:.3f}; true rate between {low} and {high}")
    assert least <= count <= most, f"{count} of {studies} studies: no rate between {low} and {high} explains it"


def assert_level(p_values: Sequence[float] | np.ndarray) -> None:
    """Fail unless p ≤ 0.05 in 3 to 7 % of studies in which nothing is to be found."""
    assert_share(np.asarray(p_values) <= LEVEL + 1e-12, 0.03, 0.07)


def assert_power(p_values: Sequence[float] | np.ndarray) -> None:
    """Fail unless p ≤ 0.05 in at least 80 % of studies in which something is planted."""
    assert_share(np.asarray(p_values) <= LEVEL + 1e-12, 0.8, 1.0)
