"""Neither a longer neighbour nor one that ended earlier changes what is counted for a prompt."""

import numpy as np
import pytest
from transformers import GenerationConfig

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.routing import RoutedSequence

from ...tiny_models import TWO_FAMILIES, routed

pytestmark = pytest.mark.slow

NEW_TOKENS = 8


def run(loaded: LoadedModel, prompts: list[Prompt], batch_size: int) -> list[RoutedSequence]:
    engine = TransformersEngine(loaded)
    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    return [sequence for batch in batches for sequence in routed(engine, batch, Generation(NEW_TOKENS))]


@pytest.fixture
def ending(in_float64: LoadedModel, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """Return the model with an end token that some prompts reach first, some later and some never."""
    written = [in_float64.tokenizer(text)["input_ids"] for text in outputs(in_float64, prompts)]
    tokens = sorted({token for ids in written for token in ids})
    firsts = {ids[0] for ids in written}

    def spread(token: int) -> tuple[bool, int]:
        places = [ids.index(token) if token in ids else NEW_TOKENS for ids in written]
        return token in firsts, len(set(places))

    best = max(tokens, key=spread)
    monkeypatch.setattr(in_float64.model, "generation_config", GenerationConfig(eos_token_id=best))
    return in_float64


def outputs(loaded: LoadedModel, prompts: list[Prompt]) -> list[str]:
    return [sequence.output.replace(" ", "") for sequence in run(loaded, prompts, 1)]


@TWO_FAMILIES
def test_a_short_prompt_is_counted_the_same_beside_a_much_longer_one(in_float64: LoadedModel) -> None:
    short = Prompt("ab", category="c", id="short")
    long = Prompt("xyzuvwrst" * 8, category="c", id="long")
    (alone,) = run(in_float64, [short], 1)
    beside = run(in_float64, [short, long], 2)[0]
    np.testing.assert_array_equal(beside.experts, alone.experts)
    np.testing.assert_array_equal(beside.token_ids, alone.token_ids)


@TWO_FAMILIES
@pytest.mark.parametrize("batch_size", [3, 16, 64])
def test_prompts_that_outlast_their_batch_or_end_before_it_are_counted_as_alone(
    ending: LoadedModel, prompts: list[Prompt], batch_size: int
) -> None:
    alone = run(ending, prompts, 1)
    together = run(ending, prompts, batch_size)
    assert len({len(s.token_ids) - s.prompt_length for s in alone}) > 1, (
        "all prompts end at the same step: nothing is tested"
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.token_ids, other.token_ids)
        np.testing.assert_array_equal(one.experts, other.experts)
        assert one.output == other.output


@TWO_FAMILIES
def test_the_token_that_ends_a_sequence_passes_no_router(ending: LoadedModel, prompts: list[Prompt]) -> None:
    end = ending.model.generation_config.eos_token_id
    for sequence in run(ending, prompts, 16):
        generated = sequence.token_ids[sequence.prompt_length :]
        assert end not in generated
        assert len(generated) <= NEW_TOKENS - 1


@TWO_FAMILIES
def test_a_prompt_that_ends_at_once_has_no_generated_phase_and_stays(
    ending: LoadedModel, prompts: list[Prompt]
) -> None:
    signatures = capture_with(TransformersEngine(ending), prompts, Generation(NEW_TOKENS))
    at_once = ~signatures.has_tokens("generated")
    assert at_once.any(), "no prompt ends at once: nothing is tested"
    assert not at_once.all()
    assert len(signatures) == len(prompts)
    assert signatures.has_tokens("prompt").all()
    assert (signatures.counts[at_once, 1] == 0).all()


@TWO_FAMILIES
def test_a_prompt_that_looks_like_padding_is_counted_whole(in_float64: LoadedModel) -> None:
    """Padding is told from tokens by the mask, never by its id: a prompt may hold the padding token."""
    padding = in_float64.tokenizer.decode([0])
    prompts = [Prompt(padding * 3, category="c", id="padding"), Prompt("bcdefgh", category="c", id="other")]
    alone = run(in_float64, prompts[:1], 1)[0]
    beside = run(in_float64, prompts, 2)[0]
    assert beside.prompt_length == 3
    np.testing.assert_array_equal(beside.experts, alone.experts)


@TWO_FAMILIES
def test_an_end_token_ends_nothing_where_texts_are_to_go_on(ending: LoadedModel, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(ending)
    going_on = routed(engine, prompts, Generation(NEW_TOKENS, stop_at_eos=False))
    assert {len(sequence.token_ids) - sequence.prompt_length for sequence in going_on} == {NEW_TOKENS - 1}
    stopped = run(ending, prompts, 1)
    assert any(len(sequence.token_ids) < len(one.token_ids) for sequence, one in zip(stopped, going_on, strict=True))
