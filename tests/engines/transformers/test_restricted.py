"""Prompts that a model would change beside each other run apart; the check before a capture finds if they do not."""

import string
from collections.abc import Collection, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with

from ...tiny_models import routed
from .restricted import RESTRICTED, Restricted
from .zoo import tiny_model
from .zoo_checks import letters

pytestmark = pytest.mark.slow

CASES = pytest.mark.parametrize("case", RESTRICTED)
APART = pytest.mark.parametrize("case", [name for name, one in RESTRICTED.items() if one.lengths])
TOGETHER = pytest.mark.parametrize("case", [name for name, one in RESTRICTED.items() if one.together])


class LetsAllShare(TransformersEngine):
    """Ignores what its model says."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded)
        self.batching = "tokens"

    def groups(self, lengths: NDArray[np.integer], generation: Generation) -> NDArray[np.integer]:
        return np.zeros(len(lengths), dtype=np.int32)


def engine_of(case: str, kind: type[TransformersEngine] = TransformersEngine) -> TransformersEngine:
    return kind(LoadedModel("tiny", model_of(RESTRICTED[case]), letters()))


def model_of(restricted: Restricted) -> PreTrainedModel:
    return tiny_model(restricted.model_type, restricted.dtype, **restricted.sizes)


def prompts_of(lengths: Collection[int]) -> list[Prompt]:
    generator = torch.Generator().manual_seed(11)
    texts = ["".join(string.ascii_letters[i] for i in torch.randint(52, (n,), generator=generator)) for n in lengths]
    return [Prompt(text, category="c", id=f"{i} of {len(text)}") for i, text in enumerate(texts)]


def generation_of(case: str) -> Generation:
    return Generation(RESTRICTED[case].new_tokens, stop_at_eos=False)


def alone(engine: TransformersEngine, prompts: Sequence[Prompt], generation: Generation) -> NDArray[np.int64]:
    """Return counts ``(prompts, experts)`` over layers and tokens, each prompt by itself."""
    sequences = [routed(engine, [prompt], generation)[0] for prompt in prompts]
    return np.array([np.bincount(sequence.experts[sequence.experts >= 0], minlength=64) for sequence in sequences])


@CASES
def test_a_capture_records_each_prompt_as_alone(case: str) -> None:
    one = RESTRICTED[case]
    engine, prompts, generation = engine_of(case), prompts_of((*one.lengths, *one.together)), generation_of(case)
    found = capture_with(engine, prompts, generation, batch_tokens=10**6, verify=True)
    counts = found.counts.sum(axis=(1, 2))
    np.testing.assert_array_equal(counts, alone(engine, prompts, generation)[:, : counts.shape[1]])
    assert found.meta["verified"]["agreement"] > 0.99
    assert found.meta["verified"]["longest"] == max(len(prompt.text) for prompt in prompts)
    assert found.meta["verified"]["new_tokens"] == one.new_tokens - 1


@TOGETHER
def test_prompts_within_the_limit_share_a_batch(case: str) -> None:
    one = RESTRICTED[case]
    engine, generation = engine_of(case), generation_of(case)
    assert len(set(engine.groups(np.array(one.together), generation).tolist())) == 1
    sequences = routed(engine, prompts_of(one.together), generation)
    for sequence, prompt in zip(sequences, prompts_of(one.together), strict=True):
        np.testing.assert_array_equal(sequence.experts, routed(engine, [prompt], generation)[0].experts)


@APART
def test_prompts_beyond_it_are_refused_as_one_batch(case: str) -> None:
    prompts = prompts_of(RESTRICTED[case].lengths)
    with pytest.raises(
        CaptureError, match=r"^prompts '\d of \d+' and '\d of \d+' cannot share a batch of this model: \w+"
    ):
        routed(engine_of(case), prompts, generation_of(case))


@APART
def test_the_check_before_a_capture_finds_prompts_that_share_a_batch_and_should_not(case: str) -> None:
    """The negative control: its own short prompts and four tokens would not show most of it."""
    prompts = prompts_of(RESTRICTED[case].lengths)
    with pytest.raises(ModelError, match=r"^prompt '\d of \d+'( is routed by NaN|: of \d+ recorded selections only)"):
        capture_with(engine_of(case, LetsAllShare), prompts, generation_of(case), batch_tokens=10**6, verify=True)
