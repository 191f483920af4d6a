"""The fastest number format that fits is measured on the machine itself."""

import pytest
import torch

from moexray.engines.transformers.resources import fastest_that_fits, measured_speeds

SPEEDS, SIZES = {"float32": 50.0, "bfloat16": 6.0}, {"float32": 28.0, "bfloat16": 14.0}


def test_every_format_is_measured() -> None:
    found = measured_speeds(torch.device("cpu"), ["float32", "bfloat16"])
    assert list(found) == ["float32", "bfloat16"]
    assert all(speed > 0 for speed in found.values())


@pytest.mark.parametrize(("gigabytes", "expected"), [(None, "float32"), (40, "float32"), (20, "bfloat16"), (1, None)])
def test_the_fastest_that_fits_is_advised(gigabytes: int | None, expected: str | None) -> None:
    assert fastest_that_fits(SPEEDS, SIZES, None if gigabytes is None else gigabytes * 10**9) == expected
