"""The fastest number format that fits is measured on the machine itself."""

import numpy as np
import pytest
import torch

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.resources import fastest_that_fits, measured_speeds

from ...tiny_models import loaded as tiny

SPEEDS, SIZES = {"float32": 50.0, "bfloat16": 6.0}, {"float32": 28.0, "bfloat16": 14.0}


def test_every_format_is_measured() -> None:
    found = measured_speeds(torch.device("cpu"), ["float32", "bfloat16"])
    assert list(found) == ["float32", "bfloat16"]
    assert all(speed > 0 for speed in found.values())


@pytest.mark.parametrize(("gigabytes", "expected"), [(None, "float32"), (40, "float32"), (20, "bfloat16"), (1, None)])
def test_the_fastest_that_fits_is_advised(gigabytes: int | None, expected: str | None) -> None:
    assert fastest_that_fits(SPEEDS, SIZES, None if gigabytes is None else gigabytes * 10**9) == expected


@pytest.mark.parametrize(("attention", "is_square"), [("sdpa", False), ("eager", True)])
def test_a_long_prompt_costs_more_than_its_tokens_where_its_scores_are_in_memory(
    attention: str, is_square: bool
) -> None:
    loaded = tiny("olmoe", "float32")
    loaded.model.set_attn_implementation(attention)
    short, long = TransformersEngine(loaded).costs_of_prompts(np.array([10, 1000]))
    assert (short, long) == (10, 1000) if not is_square else long / short > 1000 / 10


def test_a_generated_token_costs_less_than_one_of_a_prompt() -> None:
    assert 0 < TransformersEngine(tiny("olmoe", "float32")).cost_of_generated() < 1
