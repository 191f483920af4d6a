"""A given output is recorded in one pass, and as the model's own decoding would have recorded it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from moexray.engines.engine import open_engine
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.sharing import sharing_of
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt, bundled_prompts, chat_prompt
from moexray.recording.capture import capture_with
from moexray.routing import RoutedSequence

from ...tiny_models import FAMILIES, loaded, prompts_of_letters, routed, tokenizer_of_letters
from .zoo import tiny_model

NEW_TOKENS = 8


def written_by(engine: TransformersEngine, prompts: Sequence[Prompt], new_tokens: int) -> list[list[int]]:
    """Return the token ids that the model writes, the last one included, whether or not that ends the text."""
    one_more = routed(engine, prompts, Generation(new_tokens + 1, stop_at_eos=False))
    ends = set(engine.description["end_tokens"])
    written = [sequence.token_ids[sequence.prompt_length :].tolist() for sequence in one_more]
    firsts = [next((place for place, token in enumerate(ids) if token in ends), len(ids)) for ids in written]
    return [ids[: first + 1] for ids, first in zip(written, firsts, strict=True)]


def assert_same(found: RoutedSequence, expected: RoutedSequence) -> None:
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)
    np.testing.assert_array_equal(found.segments, expected.segments)
    np.testing.assert_array_equal(found.experts, expected.experts)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_models_own_output_given_back_is_recorded_as_it_was_when_the_model_wrote_it(family: str) -> None:
    """In float64 no two scores tie. The model ends some texts before others."""
    model, prompts = loaded(family, "float64"), prompts_of_letters()
    everything = [token for ids in written_by(TransformersEngine(model), prompts, 4) for token in ids]
    end = max(set(everything), key=everything.count)
    model.model.generation_config = GenerationConfig(eos_token_id=end)
    engine = TransformersEngine(model)
    expected = routed(engine, prompts, Generation(NEW_TOKENS), want={"weights"})
    written = written_by(engine, prompts, NEW_TOKENS)
    assert len({len(ids) for ids in written}) > 1, "all texts end at one step: nothing is tested"
    given = [replace(prompt, output=tuple(ids)) for prompt, ids in zip(prompts, written, strict=True)]
    passes: list[int] = []
    found = routed(engine, given, Generation(1, temperature=2.0), want={"weights"}, on_tokens=passes.append)
    assert passes == [sum(len(one.token_ids) for one in expected)]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
        assert one.output == other.output
        np.testing.assert_allclose(one.gate_weights, other.gate_weights, atol=1e-3)


@pytest.fixture
def model() -> LoadedModel:
    return loaded("mixtral", "float64")


def test_every_token_of_a_text_is_recorded_and_of_token_ids_all_but_the_last(model: LoadedModel) -> None:
    """A text is over, so its end token follows, which passes no router; the last of token ids may be just that."""
    engine = TransformersEngine(model)
    prompts = [Prompt("ab", "c", "p", output=output) for output in ("cde", (2, 3, 4), (2, 3, 4, 9), "", (), (7,))]
    found = [routed(engine, [prompt], Generation(0))[0] for prompt in prompts]
    assert [one.token_ids.tolist() for one in found] == [[0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3, 4]] + 3 * [[0, 1]]
    assert [one.prompt_length for one in found] == [2] * 6
    assert [one.output for one in found[:1] + found[3:5]] == ["cde", "", ""]
    assert_same(found[2], found[0])
    (whole,) = routed(engine, [Prompt("abcde", "c", "p")], Generation(0))
    np.testing.assert_array_equal(found[0].experts, whole.experts)


def test_the_prompts_tokens_are_those_that_it_has_without_an_output(model: LoadedModel) -> None:
    """In a chat template as well, after the model's turn is opened or within the answer that is continued."""
    model.tokenizer.chat_template = (
        "{% for m in messages %}X{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}Y{% endif %}"
    )
    engine = TransformersEngine(model)
    chat = chat_prompt(
        [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}], category="c", id="chat"
    )
    for prompt in (Prompt("ab", "c", "p"), chat):
        alone = engine.tokenize([prompt])[0]
        (found,) = routed(engine, [replace(prompt, output="de")], Generation(0))
        assert found.token_ids.tolist() == [*alone, 3, 4]
        assert found.prompt_length == len(alone)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((1, 99), r"the output of prompt 'p' holds token 99, but the model has embeddings of 52 tokens"),
        ((-1, 2), r"the output of prompt 'p' holds token -1"),
        ("a-b", r"the output of prompt 'p' cannot be read by this model's tokenizer: "),
        ("a" * 127, r"prompt 'p' has 2 tokens: with the 127 of its output it exceeds the model's context of 128"),
    ],
)
def test_an_output_that_cannot_be_run_is_named(model: LoadedModel, output: str | tuple[int, ...], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        capture_with(TransformersEngine(model), [Prompt("ab", "c", "p", output=output)])
    fitting = capture_with(TransformersEngine(model), [Prompt("ab", "c", "p", output="a" * 126)])
    assert fitting.lengths("generated").tolist() == [126]


def test_outputs_come_with_all_prompts_or_with_none(model: LoadedModel) -> None:
    prompts = [Prompt("ab", "c", "without"), Prompt("ab", "c", "with", output="c")]
    with pytest.raises(CaptureError, match="'with' comes with its output and prompt 'without' without"):
        capture_with(TransformersEngine(model), prompts)
    with pytest.raises(CaptureError, match="'without' comes without its output"):
        routed(TransformersEngine(model), prompts, Generation(1))


def test_signatures_of_given_outputs_do_not_depend_on_batches_and_say_what_they_are(model: LoadedModel) -> None:
    prompts = [replace(prompt, output=prompt.text[::-1]) for prompt in prompts_of_letters()]
    engine = TransformersEngine(model)
    alone, together = (capture_with(engine, prompts, batch_tokens=tokens) for tokens in (1, 10_000))
    np.testing.assert_array_equal(alone.counts, together.counts)
    np.testing.assert_array_equal(together.lengths("generated"), together.lengths("prompt"))
    assert list(together.prompts.outputs or ()) == [prompt.output for prompt in prompts]
    settings = ("given_outputs", "max_new_tokens", "stop_at_eos", "do_sample", "temperature")
    assert [together.meta[name] for name in settings] == [True, None, None, False, None]
    assert not capture_with(engine, [Prompt("ab", "c", "p")]).meta["given_outputs"]


def test_a_capture_is_resumed_with_the_same_outputs_only(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    prompts = [Prompt("ab", "c", "p", output="cd"), Prompt("abc", "c", "q", output="d")]
    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            capture_with(TransformersEngine(model), prompts, out=tmp_path / "out.npz")
    with pytest.raises(CaptureError, match="with other prompts"):
        capture_with(TransformersEngine(model), [prompts[0], replace(prompts[1], output="e")], out=tmp_path / "out.npz")
    resumed = capture_with(TransformersEngine(model), prompts, out=tmp_path / "out.npz")
    np.testing.assert_array_equal(resumed.counts, capture_with(TransformersEngine(model), prompts).counts)


@pytest.mark.slow
def test_the_texts_that_a_model_wrote_are_recorded_as_when_it_wrote_them() -> None:
    """Of a text that was cut off, the last token is recorded as well: in decoding it passed no router."""
    prompts = bundled_prompts()[::20]
    with open_engine("transformers", "scale", device="cpu", dtype="float64") as engine:
        written = routed(engine, prompts, Generation(8))
        given = [replace(prompt, output=one.output) for prompt, one in zip(prompts, written, strict=True)]
        found = routed(engine, given, Generation(8))
    for one, other in zip(found, written, strict=True):
        tokens = len(other.token_ids)
        was_cut_off = tokens - other.prompt_length == 8 - 1
        assert len(one.token_ids) == tokens + (1 if was_cut_off else 0)
        np.testing.assert_array_equal(one.token_ids[:tokens], other.token_ids)
        np.testing.assert_array_equal(one.experts[:tokens], other.experts)
        assert one.output == other.output


def test_an_output_is_refused_where_one_pass_would_not_route_it_as_decoding_does() -> None:
    """A model whose written tokens fall out of a window in which prompts do not."""
    texts = tiny_model("unlimited_ocr", torch.float64)
    window = sharing_of(texts.config).written
    assert window is not None
    engine = TransformersEngine(LoadedModel("unlimited_ocr", texts, tokenizer_of_letters()))
    fitting, beyond = (Prompt("abc", "c", "p", output="defg" * (window // 4) + "h" * more) for more in (0, 1))
    assert engine.given_lengths([fitting], np.array([3])).tolist() == [window]
    with pytest.raises(CaptureError, match="would route them otherwise than as it wrote them, because"):
        engine.given_lengths([beyond], np.array([3]))
