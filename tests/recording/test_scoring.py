"""Texts are scored, and written, in batches that memory holds, each prompt once and as it would be alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, OutOfMemory
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.scoring import score, write

from ..tiny_models import loaded, prompts_of_letters


class Small(TransformersEngine):
    """Takes two prompts at most."""

    most = 2

    def loss(self, prompts: Sequence[Prompt], **options: Any) -> Iterator[Any]:
        if len(prompts) > self.most:
            message = "too many"
            raise OutOfMemory(message)
        return super().loss(prompts, **options)


@pytest.fixture(scope="module")
def engine() -> Small:
    return Small(loaded("olmoe", "float64"))


def test_every_prompt_is_scored_once_whatever_the_batches(engine: Small) -> None:
    prompts = prompts_of_letters()
    alone = dict(score(engine, prompts, batch_tokens=1))
    assert sorted(alone) == list(range(len(prompts)))
    told: list[int] = []
    together = dict(score(engine, prompts, want={"weights"}, on_tokens=told.append))
    for place, prompt in enumerate(prompts):
        assert together[place].token_ids.tolist() == engine.tokenize([prompt])[0]
        np.testing.assert_allclose(together[place].losses, alone[place].losses, rtol=1e-6)
        assert together[place].routed.gate_weights is not None
    assert sum(told) >= sum(len(one.token_ids) for one in alone.values())


def test_outputs_are_scored_after_their_prompts(engine: Small) -> None:
    prompts = [replace(prompt, output="xyz") for prompt in prompts_of_letters()[:5]]
    for place, found in score(engine, prompts):
        assert found.segments.tolist() == [0] * len(prompts[place].text) + [1] * 3


def test_texts_are_written_in_batches(engine: Small) -> None:
    prompts = prompts_of_letters()
    alone = dict(write(engine, prompts, Generation(3), batch_tokens=1))
    together = dict(write(engine, prompts, Generation(3)))
    assert sorted(together) == list(range(len(prompts)))
    assert [alone[place].output for place in sorted(alone)] == [together[place].output for place in sorted(alone)]


def test_a_prompt_that_does_not_fit_alone_is_refused(engine: Small) -> None:
    engine.most = 0
    try:
        with pytest.raises(CaptureError, match="not even one prompt"):
            list(score(engine, prompts_of_letters()))
    finally:
        engine.most = 2


def test_an_empty_list_gives_nothing(engine: Small) -> None:
    assert list(score(engine, [])) == []
    assert list(write(engine, [], Generation(2))) == []
