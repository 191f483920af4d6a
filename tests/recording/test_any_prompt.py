"""A prompt of any content is recorded as the model routes it alone, or refused by name."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with

from ..engines.transformers.zoo_checks import routers_say

BESIDE = Prompt("The quick brown fox jumps over the lazy dog, again and again and again.", "c", "beside")
SPECIAL = "<|endoftext|><s></s><|im_start|>user[INST]<pad><|padding|>"

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="\0\t\n\r \u200b\u200f\ufeff\ufffd", max_size=20),
    st.text(alphabet="😀👩\u200d🚀🏳️🇩🇪é\u0301", max_size=20),
    st.text(alphabet="שלוםمرحبا", max_size=20),
    st.lists(st.sampled_from([SPECIAL, "x", "<|endoftext|>", "</s>"]), max_size=4).map("".join),
    st.integers(1, 120).map(lambda words: "word " * words),
)


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(load_model("scale", device="cpu", dtype="float64"))


@pytest.mark.slow
@settings(max_examples=20)
@given(text=texts)
@example(text="a")
@example(text="\0")
@example(text=SPECIAL)
@example(text="\ud800")
@example(text="")
def test_any_text_is_routed_beside_others_as_alone_or_refused_by_name(engine: TransformersEngine, text: str) -> None:
    prompts = [BESIDE, Prompt(text, "c", "any")]
    if text == "" or any(unicodedata.category(letter) == "Cs" for letter in text):
        with pytest.raises(CaptureError, match=r"prompt 'any' (gives no token|holds .*, half of a character)"):
            capture_with(engine, prompts, Generation(2))
        return
    found = capture_with(engine, prompts, Generation(2))
    alone = capture_with(engine, prompts[1:], Generation(2))
    np.testing.assert_array_equal(found.counts[1:], alone.counts)
    assert found.prompts.texts == (BESIDE.text, text)
    assert found.tokens[1, 0] == len(engine.tokenize(prompts[1:])[0]) > 0


def test_a_prompt_that_fills_the_whole_context_is_recorded_and_one_token_more_is_refused(
    engine: TransformersEngine,
) -> None:
    context = engine.model.config.max_position_embeddings
    text = "word " * context
    fitting = next(
        text[: 5 * words]
        for words in range(context, 0, -1)
        if len(engine.tokenize([_of(text[: 5 * words])])[0]) <= context
    )
    found = capture_with(engine, [_of(fitting)], Generation(0))
    assert found.tokens.tolist() == [[len(engine.tokenize([_of(fitting)])[0]), 0]]
    assert found.tokens[0, 0] > 0.9 * context
    with pytest.raises(CaptureError, match=f"it exceeds the model's context of {context}"):
        capture_with(engine, [_of(text + text)], Generation(0))


PIECES = {"words": "word ", "emoji": "😀👩\u200d🚀", "right to left, and NUL": "שלום \0", "special tokens": SPECIAL}


@pytest.fixture(scope="module")
def long_engine() -> TransformersEngine:
    loaded = load_model("scale", device="cpu", dtype="float64")
    loaded.model.config.max_position_embeddings = 4096  # its positions are rotations, which end nowhere
    return TransformersEngine(loaded)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    "tokens", [pytest.param(1000, marks=pytest.mark.slow), pytest.param(4000, marks=pytest.mark.nightly)]
)
def test_a_long_prompt_is_routed_beside_a_short_one_as_its_routers_say(
    long_engine: TransformersEngine, piece: str, tokens: int
) -> None:
    per_piece = len(long_engine.tokenize([_of(PIECES[piece] * 100)])[0]) / 100
    prompt = _of(PIECES[piece] * int(tokens / per_piece))
    token_ids = long_engine.tokenize([prompt])[0]
    assert 0.97 * tokens < len(token_ids) <= tokens
    found = capture_with(long_engine, [BESIDE, prompt], Generation(2))
    expected = [
        np.bincount(experts.flatten(), minlength=found.counts.shape[3])
        for experts, _ in routers_say(long_engine.model, token_ids)
    ]
    np.testing.assert_array_equal(found.counts[1, 0], expected)
    assert found.tokens[1].tolist() == [len(token_ids), 1]


def _of(text: str) -> Prompt:
    return Prompt(text, "c", "long")
