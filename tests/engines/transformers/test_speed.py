"""Which number format suits a machine is measured on it."""

import pytest
import torch

from moexray.engines.transformers.speed import measured_speeds, suiting

SPEEDS, SIZES = {"float32": 50.0, "bfloat16": 6.0}, {"float32": 28.0, "bfloat16": 14.0}


def test_every_format_is_measured() -> None:
    found = measured_speeds(torch.device("cpu"), ["float32", "bfloat16"])
    assert list(found) == ["float32", "bfloat16"]
    assert all(speed > 0 for speed in found.values())


@pytest.mark.parametrize(("free", "expected"), [(None, "float32"), (40e9, "float32"), (20e9, "bfloat16"), (1e9, None)])
def test_the_fastest_that_fits_is_advised(free: float | None, expected: str | None) -> None:
    assert suiting(SPEEDS, SIZES, free) == expected
