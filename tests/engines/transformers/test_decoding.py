"""Sequences that have ended leave the batch, and nothing that is recorded shows it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache
from transformers.generation import utils as generation

from moexray.engines.transformers import hearing
from moexray.engines.transformers.decoding import Stretch, select_sequences, stretches
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

from ...tiny_models import TWO_FAMILIES, routed
from .test_zoo import RECORDED
from .zoo import VOCABULARY, tiny_model
from .zoo_checks import HALF_PRECISION, letters

TEXTS = ("aQwertyU", "zX", "mnbvC", "K", "plokijuh", "qaz")
# A fifth of the tokens end a text: after 1 to 16 drawn ones, and in some not at all.
ENDS = list(range(0, VOCABULARY, 5))
DRAWN = Generation(16, temperature=1.0)
# One for each kind of cache and of attention; the others run nightly.
KINDS = (
    "bailing_hybrid",
    "deepseek_v32",
    "ernie4_5_vl_moe",
    "gpt_oss",
    "granitemoehybrid",
    "jamba",
    "lfm2_moe",
    "llama4",
    "minimax",
    "mixtral",
    "nemotron_h",
    "olmoe",
    "qwen3_next",
    "qwen3_vl_moe",
)
EVERY = [
    pytest.param(name, marks=pytest.mark.slow if name in KINDS else pytest.mark.nightly) for name in sorted(RECORDED)
]


@pytest.fixture
def heard_stretches(monkeypatch: pytest.MonkeyPatch) -> list[Stretch]:
    """Return the list of the stretches of every batch that runs."""
    kept: list[Stretch] = []

    def noted(*args: Any, **options: Any) -> Iterator[Stretch]:
        for stretch in stretches(*args, **options):
            kept.append(stretch)
            yield stretch

    monkeypatch.setattr(hearing, "stretches", noted)
    return kept


def ending(model: Any) -> tuple[TransformersEngine, list[Prompt]]:
    model.generation_config.eos_token_id = ENDS
    engine = TransformersEngine(LoadedModel("tiny", model, letters()))
    return engine, [Prompt(text, category="c", id=text) for text in TEXTS]


def assert_equal(one: RoutedSequence, other: RoutedSequence) -> None:
    np.testing.assert_array_equal(other.token_ids, one.token_ids)
    np.testing.assert_array_equal(other.experts, one.experts)
    np.testing.assert_allclose(other.gate_weights, one.gate_weights, **HALF_PRECISION)
    assert other.output == one.output


def rows_that_ran(heard: list[Stretch]) -> int:
    return sum(len(stretch.rows) * stretch.ran for stretch in heard)


def test_the_kinds_are_recorded_architectures() -> None:
    assert set(KINDS) <= set(RECORDED)


@pytest.mark.parametrize("model_type", EVERY)
def test_texts_that_end_early_leave_the_batch_of_any_architecture(
    model_type: str, heard_stretches: list[Stretch]
) -> None:
    engine, prompts = ending(tiny_model(model_type))
    alone = [routed(engine, [prompt], DRAWN, want={"weights"})[0] for prompt in prompts]
    lengths = {len(sequence.token_ids) - sequence.prompt_length for sequence in alone}
    assert len(lengths) > 2, "the texts end at the same place, so that nothing is shown"
    shared = engine.groups(engine.lengths(prompts, DRAWN), DRAWN)
    if (shared < 0).any():  # each of its texts ends by itself
        return
    heard_stretches.clear()
    for one, other in zip(alone, routed(engine, prompts, DRAWN, want={"weights"}), strict=True):
        assert_equal(one, other)
    needed = sum(len(sequence.token_ids) for sequence in alone)
    width, most = max(map(len, TEXTS)), max(len(one.token_ids) - one.prompt_length for one in alone)
    assert rows_that_ran(heard_stretches) < len(TEXTS) * (width + most), "no text left the batch"
    assert needed <= rows_that_ran(heard_stretches)
    for one, without_text in zip(alone, routed(engine, prompts, Generation(0)), strict=True):
        np.testing.assert_array_equal(without_text.experts, one.experts[: one.prompt_length])


@TWO_FAMILIES
def test_a_cache_that_cannot_be_selected_keeps_its_sequences(
    in_float64: LoadedModel, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch, heard_stretches: list[Stretch]
) -> None:
    engine = TransformersEngine(in_float64)
    plain = routed(engine, prompts[:6], Generation(12))
    engine._end_tokens = frozenset(int(one.token_ids[one.prompt_length + 2 + i]) for i, one in enumerate(plain[:3]))
    leaving = routed(engine, prompts[:6], Generation(12), want={"weights"})
    monkeypatch.setattr("moexray.engines.transformers.decoding.select_sequences", lambda _cache, _places: False)
    heard_stretches.clear()
    for one, other in zip(leaving, routed(engine, prompts[:6], Generation(12), want={"weights"}), strict=True):
        assert_equal(one, other)
    assert {len(stretch.rows) for stretch in heard_stretches} == {6}


def test_a_cache_of_unknown_kind_is_left_as_it_is() -> None:
    class Own(DynamicCache):  # type: ignore[misc]  # transformers publishes no types
        pass

    def filled(cache: Any) -> Any:
        cache.update(torch.arange(6.0).view(3, 1, 2, 1), torch.zeros(3, 1, 2, 1), 0)
        return cache

    known, own = filled(DynamicCache()), filled(Own())
    assert select_sequences(known, torch.tensor([2]))
    assert known.layers[0].keys.flatten().tolist() == [4.0, 5.0]
    assert not select_sequences(own, torch.tensor([2]))
    assert len(own.layers[0].keys) == 3
    assert not select_sequences(object(), torch.tensor([0]))


@TWO_FAMILIES
def test_a_pass_after_the_last_token_is_left_out(
    in_float64: LoadedModel, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On some devices `generate` looks one pass late whether all texts have ended."""
    engine = TransformersEngine(in_float64)
    before = routed(engine, prompts[:3], Generation(5), want={"weights"})
    whole = in_float64.model.generate

    def late(**options: Any) -> Any:
        found = whole(**{**options, "max_new_tokens": options["max_new_tokens"] + 1})
        found.sequences = found.sequences[:, :-1]
        return found

    monkeypatch.setattr(in_float64.model, "generate", late)
    for one, other in zip(before, routed(engine, prompts[:3], Generation(5), want={"weights"}), strict=True):
        assert_equal(one, other)


def test_a_model_that_generates_by_code_of_its_own_is_refused_where_it_returns_tokens_alone(
    in_float64: LoadedModel, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(in_float64)
    whole = in_float64.model.generate
    monkeypatch.setattr(in_float64.model, "generate", lambda **options: whole(**options).sequences)
    with pytest.raises(ModelError, match="own `generate` returns tokens without a cache"):
        routed(engine, prompts[:2], Generation(2))


@pytest.fixture
def stopping_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `generate` stop as it does on MPS: one pass late, of which only the recording remains."""
    deferred = getattr(generation, "DeferredStopCheck", None)
    if deferred is None:
        pytest.skip("this transformers stops in time on all devices")

    class Event:
        """A CPU has none, and needs none."""

        def __init__(self, **_options: Any) -> None:
            pass

        def record(self) -> None:
            pass

        def synchronize(self) -> None:
            pass

    def is_supported(_device: Any, cache: Any, _returned: bool, is_assistant: bool) -> bool:
        return not is_assistant and (cache is None or cache.is_croppable)

    monkeypatch.setattr(deferred, "is_supported", staticmethod(is_supported))
    monkeypatch.setattr(torch, "Event", Event)


@TWO_FAMILIES
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_are_the_same_where_generation_stops_a_pass_late(
    in_float64: LoadedModel, prompts: list[Prompt], temperature: float, request: pytest.FixtureRequest
) -> None:
    engine = TransformersEngine(in_float64)
    engine._end_tokens = frozenset(ENDS)
    drawn = Generation(12, temperature=temperature)
    in_time = [routed(engine, [prompt], drawn, want={"weights"})[0] for prompt in prompts]
    assert len({len(sequence.token_ids) - sequence.prompt_length for sequence in in_time}) > 2
    request.getfixturevalue("stopping_late")
    for one, other in zip(in_time, routed(engine, prompts, drawn, want={"weights"}), strict=True):
        assert_equal(one, other)
