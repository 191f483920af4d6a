"""A reproducible capture records of a prompt what it records of the prompt alone, in every number format."""

import numpy as np
import pytest

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture_with

from .made_engine import MadeEngine

PROMPTS = bundled_prompts()[::9]
DRAWN = Generation(6, temperature=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_prompt_is_recorded_as_alone_in_half_precision(dtype: str) -> None:
    engine = TransformersEngine(load_model("scale", device="cpu", dtype=dtype))
    together = capture_with(engine, PROMPTS, DRAWN, reproducible=True)
    assert together.meta["reproducible"]
    for prompt, counts in zip(PROMPTS, together.counts, strict=True):
        np.testing.assert_array_equal(capture_with(engine, [prompt], DRAWN).counts[0], counts)


def test_every_prompt_runs_by_itself() -> None:
    engine = MadeEngine("tokens")
    found = capture_with(engine, PROMPTS, Generation(2), reproducible=True)
    assert sorted(engine.ran) == sorted([prompt.id] for prompt in PROMPTS)
    assert not capture_with(engine, PROMPTS, Generation(2)).meta["reproducible"]
    assert found.meta["batch_tokens"] == 1


def test_it_cannot_be_had_with_batches_or_where_the_engine_makes_them() -> None:
    with pytest.raises(CaptureError, match="`reproducible` runs every prompt alone: leave out `batch_tokens`"):
        capture_with(MadeEngine("tokens"), PROMPTS, Generation(2), reproducible=True, batch_tokens=100)
    with pytest.raises(CaptureError, match="decides what runs together: leave out `reproducible`"):
        capture_with(MadeEngine("own"), PROMPTS, Generation(2), reproducible=True)
