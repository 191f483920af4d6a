"""Every architecture that sees images and follows rules follows one for image tokens, beside a text in one batch."""

import numpy as np
import pytest
import torch

from moexray.engines.rules import ByKind, FixedK, LeaveOutRanks, Skip, Without
from moexray.errors import CaptureError

from .image_zoo import image_model, image_processor
from .image_zoo_checks import engine_of, prompts_of, record
from .test_image_zoo import NAMES

# Two experts modules a layer, each of which gets the tokens of its kind alone.
NOT_WRITTEN = "ernie4_5_vl_moe"


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in NAMES if name != NOT_WRITTEN])
def test_image_tokens_follow_their_rule_and_texts_beside_them_do_not(name: str) -> None:
    with engine_of(image_model(name, torch.float32), image_processor(name)) as engine:
        prompts = prompts_of(name)
        whole = record(engine, prompts, together=True)
        last, top_k = engine.layout.layers[-1], np.array(engine.layout.top_k)
        rules = [FixedK(1), FixedK(1, normalisation="kept"), Skip(0.99, normalisation="kept")]
        for rule in [*rules, Without({last: (0, 1)}, "replaced")]:
            with engine.ruled(ByKind({"image": rule})):
                found = record(engine, prompts, together=True)
            for prompt, one, other in zip(prompts, found, whole, strict=True):
                image = np.array([segment.kind == "image" for segment in one.segment_names])[one.segments]
                number = (one.experts >= 0).sum(2)
                np.testing.assert_array_equal(number[~image], np.broadcast_to(top_k, number[~image].shape))
                if isinstance(rule, FixedK):
                    passes = np.array(engine.layout.passes)
                    np.testing.assert_array_equal(number[image], np.broadcast_to(passes, number[image].shape))
                if isinstance(rule, Without):
                    assert not np.isin(one.experts[image, -1], [0, 1]).any()
                if not prompt.images:
                    np.testing.assert_array_equal(one.experts, other.experts)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in NAMES if name != NOT_WRITTEN])
def test_a_layer_goes_without_its_experts_and_predictions_move(name: str) -> None:
    with engine_of(image_model(name, torch.float32), image_processor(name)) as engine:
        k = engine.layout.top_k[0] // engine.layout.passes[0]
        rules = [
            LeaveOutRanks(tuple(range(k)), normalisation="kept", layers=(layer,)) for layer in engine.layout.layers
        ]
        for prompt in prompts_of(name):
            ((_, found),) = engine.divergences([prompt], rules)
            there = ~np.isnan(found[0])
            assert there.sum() >= 1
            assert (found[:, there] >= 0).all()
            assert (found[:, there].max(axis=1) > 0).all()


def test_an_architecture_with_experts_of_each_kind_follows_no_rule() -> None:
    engine = engine_of(image_model(NOT_WRITTEN), image_processor(NOT_WRITTEN))
    with engine, pytest.raises(CaptureError, match="does not offer rules for this model"), engine.ruled(FixedK(1)):
        pass
