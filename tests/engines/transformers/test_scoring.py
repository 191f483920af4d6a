"""The loss of a given text is that of its tokens alone, by the definition of cross-entropy, in any batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from moexray.engines.engine import Engine
from moexray.engines.rules import FixedK
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.scoring import losses_of
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import ScoredSequence

from ...tiny_models import loaded, prompts_of_letters, routed


@pytest.fixture(scope="module", params=["olmoe", "deepseek_v3", "gpt_oss"])
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    return TransformersEngine(loaded(request.param, "float64"))


def scored(engine: Engine, prompts: list[Prompt]) -> list[ScoredSequence]:
    found = dict(engine.loss(prompts))
    return [found[place] for place in range(len(prompts))]


def by_definition(engine: TransformersEngine, ids: list[int]) -> np.ndarray:
    """Return −log of each token's share of the exponentials of the logits before it, one prefix at a time."""
    losses = [np.nan]
    for place in range(1, len(ids)):
        with torch.inference_mode():
            logits = engine.model(input_ids=torch.tensor([ids[:place]]), use_cache=False).logits[0, -1]
        shares = np.exp(logits.numpy() - logits.numpy().max())
        losses.append(-np.log(shares[ids[place]] / shares.sum()))
    return np.array(losses)


def test_each_token_has_the_loss_of_the_definition_in_a_batch_of_unequal_lengths(engine: TransformersEngine) -> None:
    prompts = prompts_of_letters()[:4]
    for prompt, found in zip(prompts, scored(engine, prompts), strict=True):
        ids = engine.tokenize([prompt])[0]
        assert found.token_ids.tolist() == ids
        np.testing.assert_allclose(found.losses, by_definition(engine, ids), rtol=1e-5)
        assert (found.segments == 0).all()
        assert len(found.routed.experts) == len(ids)


def test_outputs_are_scored_after_their_prompts_the_last_of_given_tokens_as_well(engine: TransformersEngine) -> None:
    texts = [replace(prompt, output="hello") for prompt in prompts_of_letters()[:3]]
    ids = [replace(prompt, output=(7, 4, 11, 11, 14)) for prompt in prompts_of_letters()[:3]]
    for prompt, text, tokens in zip(texts, scored(engine, texts), scored(engine, ids), strict=True):
        whole = [*engine.tokenize([prompt])[0], 7, 4, 11, 11, 14]
        assert text.token_ids.tolist() == tokens.token_ids.tolist() == whole
        np.testing.assert_allclose(text.losses, by_definition(engine, whole), rtol=1e-5)
        np.testing.assert_allclose(tokens.losses, text.losses, rtol=1e-6)
        assert text.segments.tolist() == [0] * (len(whole) - 5) + [1] * 5
        assert len(text.routed.token_ids) == len(whole)
        assert len(tokens.routed.token_ids) == len(whole) - 1


def test_scoring_records_what_a_run_records_also_under_a_rule(engine: TransformersEngine) -> None:
    prompts = prompts_of_letters()[:3]
    whole = scored(engine, prompts)
    with engine.ruled(FixedK(1)):
        found, recorded = scored(engine, prompts), routed(engine, prompts, Generation(0))
    for one, other, before in zip(found, recorded, whole, strict=True):
        np.testing.assert_array_equal(one.routed.experts, other.experts)
        assert ((one.routed.experts >= 0).sum(2) == 1).all()
        assert len(one.losses) == 1 or (one.losses[1:] != before.losses[1:]).any()


def test_the_loss_in_single_precision_is_that_in_double(engine: TransformersEngine) -> None:
    prompts = [Prompt("abcdefghijklmnop", category="c", id="p")]
    before = scored(engine, prompts)[0].losses
    model = engine.model.float()
    try:
        single = TransformersEngine(LoadedModel("m", model, loaded("olmoe", "float32").tokenizer))
        (found,) = scored(single, prompts)
    finally:
        engine.model.double()
    np.testing.assert_allclose(found.losses, before, rtol=1e-3)


def test_logits_of_fewer_tokens_are_refused() -> None:
    ids = np.arange(4, dtype=np.int32)
    for logits in ([torch.zeros(1, 1, 9)], [], [torch.zeros(1, 4, 9)] * 2):
        with pytest.raises(ModelError, match="given text cannot be scored"):
            losses_of(logits, 0, ids, ran=4)
    np.testing.assert_allclose(losses_of([torch.zeros(1, 6, 9)], 0, ids, ran=4)[1:], np.log(9), rtol=1e-6)


def test_what_cannot_be_scored_is_refused() -> None:
    engine = TransformersEngine(loaded("olmoe", "float32"))
    with pytest.raises(CaptureError, match="comes without its output"):
        list(engine.loss([Prompt("a", category="c", id="p", output="b"), Prompt("a", category="c", id="q")]))
    with torch.no_grad():
        engine.model.lm_head.weight[3] = torch.nan
    with pytest.raises(ModelError, match="NaN or infinity"):
        list(engine.loss([Prompt("abc", category="c", id="p")]))
    engine.close()
    with pytest.raises(CaptureError, match="closed"):
        list(engine.loss([Prompt("abc", category="c", id="p")]))
