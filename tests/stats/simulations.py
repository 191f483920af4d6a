"""Numbers of simulated studies: few in every run, all of them nightly, and others on request."""

import os

import pytest

FIRST = int(os.environ.get("MOEXRAY_FIRST_SEED", "0"))
ASKED = int(os.environ.get("MOEXRAY_SIMULATIONS", "0"))


def simulated(few: int, *, nightly: int) -> pytest.MarkDecorator:
    """Give a test the parameter `seeds`: of a few studies in every run, and of many with ``-m nightly``.

    Of the many, MOEXRAY_SIMULATIONS gives another number, and MOEXRAY_FIRST_SEED the first seed.
    """
    many = range(FIRST, FIRST + (ASKED or nightly))
    return pytest.mark.parametrize(
        "seeds",
        [
            pytest.param(range(few), id=f"{few} studies"),
            pytest.param(many, id=f"{len(many)} studies", marks=pytest.mark.nightly),
        ],
    )
