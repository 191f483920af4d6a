"""An engine that records something else than the routing is caught: by the library's own check, and by the zoo's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.engines.transformers.verify import verify
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

from ...tiny_models import routed
from .zoo import tiny_model
from .zoo_checks import TEXTS, check_against_routers, check_causes, check_conservation, letters

LETTERS = ("aQwertyU", "zX")


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use texts that the tokenizer of letters can read."""
    monkeypatch.setattr("moexray.engines.transformers.verify._TEXTS", LETTERS)


@pytest.fixture
def model() -> PreTrainedModel:
    """Return one whose router corrects its choice by a bias that matters."""
    model = tiny_model("deepseek_v3")
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(std=0.5)
    return model


def engine(model: PreTrainedModel) -> TransformersEngine:
    return TransformersEngine(LoadedModel("tiny", model, letters()))


class WithoutBias(TransformersEngine):
    """Takes the greatest logits, ignoring what the router does after them."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded)
        gates = [loaded.model.get_submodule(tap.path.replace("experts", "gate")) for tap in self._taps]
        self._taps = [
            replace(
                tap,
                module=gate,
                experts_of=lambda _args, _kwargs, output: output[0].topk(2).indices,
                weights_of=None,
                after=True,
            )
            for tap, gate in zip(self._taps, gates, strict=True)
        ]


class OneTooMany(TransformersEngine):
    """Takes an expert beside those that ran."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded)
        self._taps = [replace(tap, experts_of=self._more(tap)) for tap in self._taps]
        self.layout = replace(self.layout, top_k=tuple(k + 1 for k in self.layout.top_k))

    @staticmethod
    def _more(tap: Tap):  # type: ignore[no-untyped-def]
        def read(*call):  # type: ignore[no-untyped-def]
            selected = tap.experts_of(*call)
            other = torch.stack([torch.tensor(min(set(range(8)) - set(row.tolist()))) for row in selected])
            return torch.cat([selected, other[:, None]], dim=1)

        return read


class Changed(TransformersEngine):
    """Reads the right selections, and records others."""

    def run(
        self, prompts: Sequence[Prompt], generation: Generation, **options: Any
    ) -> Iterator[tuple[int, RoutedSequence]]:
        return ((place, self.change(sequence)) for place, sequence in super().run(prompts, generation, **options))

    def change(self, sequence: RoutedSequence) -> RoutedSequence:
        raise NotImplementedError


class PaddingCounted(Changed):
    """Counts a token of padding before each prompt."""

    def change(self, sequence: RoutedSequence) -> RoutedSequence:
        return replace(
            sequence,
            token_ids=np.insert(sequence.token_ids, 0, 0),
            experts=np.concatenate([sequence.experts[:1], sequence.experts]),
            segments=np.insert(sequence.segments, 0, 0),
        )


class LastCountedTwice(Changed):
    """Counts the last token that was routed once more."""

    def change(self, sequence: RoutedSequence) -> RoutedSequence:
        return replace(
            sequence,
            token_ids=np.append(sequence.token_ids, sequence.token_ids[-1:]),
            segments=np.append(sequence.segments, sequence.segments[-1:]),
            experts=np.concatenate([sequence.experts, sequence.experts[-1:]]),
        )


class OneTokenLate(Changed):
    """Gives each token the experts of the one before it."""

    def change(self, sequence: RoutedSequence) -> RoutedSequence:
        return replace(sequence, experts=np.roll(sequence.experts, 1, axis=0))


BROKEN = (WithoutBias, OneTooMany, PaddingCounted, LastCountedTwice, OneTokenLate)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_caught_on_the_users_own_model(
    model: PreTrainedModel, broken: type[TransformersEngine]
) -> None:
    with pytest.raises(ModelError):
        verify(broken(LoadedModel("tiny", model, letters())))


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_engine_is_caught_by_the_checks_of_the_zoo(
    model: PreTrainedModel, broken: type[TransformersEngine]
) -> None:
    faulty = broken(LoadedModel("tiny", model, letters()))
    prompts = [Prompt(text, category="c", id=text) for text in TEXTS]
    sequences = routed(faulty, prompts, Generation(4))
    with pytest.raises(AssertionError):
        check_against_routers(model, faulty.layout, sequences)
    if broken in (WithoutBias, OneTooMany):
        with pytest.raises(AssertionError, match=r"takes? (no )?part"):
            check_causes(model, faulty.layout, sequences[1])
    if broken in (PaddingCounted, LastCountedTwice):
        with pytest.raises((AssertionError, ModelError)):
            check_conservation(faulty.layout, sequences)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["deepseek_v3", "gpt_oss", "jetmoe", "llama4", "longcat_flash", "zaya", "dbrx"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_true_engine_passes_and_every_weight_comes_back(model_type: str, dtype: torch.dtype) -> None:
    model = tiny_model(model_type, dtype)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = verify(engine(model))
    assert found.others > 0
    assert found.recorded > 0
    assert found.tokens == len("".join(LETTERS)) + 2 * 3
    assert found.agreement > (0.8 if dtype == torch.bfloat16 else 0.99)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(("given", "new_tokens", "routed_after"), [(True, 32, 20), (False, 1, 0), (False, 0, 0)])
def test_given_outputs_and_prompts_alone_are_tried_as_they_are_captured(
    model: PreTrainedModel, given: bool, new_tokens: int, routed_after: int
) -> None:
    outputs = ("ghijklmnopqrstuvwxyz", "xyz") if given else (None, None)
    prompts = [Prompt("abcdef", "c", "1", output=outputs[0]), Prompt("ab", "c", "2", output=outputs[1])]
    found = verify(engine(model), [prompts], Generation(new_tokens))
    assert (found.prompts, found.longest, found.new_tokens) == (2, 6, routed_after)
    assert found.agreement == 1


def test_weights_come_back_when_the_check_is_interrupted(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("moexray.engines.transformers.verify._differs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify(engine(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.float8_e4m3fn, torch.bfloat16])
def test_scrambling_changes_every_number_and_twice_is_as_before(dtype: torch.dtype) -> None:
    from moexray.engines.transformers.verify import _flip

    bits = torch.arange(1, 97, dtype=torch.uint8)
    tensor = bits.clone().view(dtype)
    _flip(tensor)
    assert not torch.eq(tensor.view(torch.uint8).view(-1, dtype.itemsize), bits.view(-1, dtype.itemsize)).all(1).any()
    _flip(tensor)
    assert torch.equal(tensor.view(torch.uint8), bits)


@pytest.mark.slow
def test_the_embedded_model_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = verify(TransformersEngine(load_model("scale", device="cpu", dtype="float32")))
    assert found.agreement > 0.99
    assert found.others > 1000
