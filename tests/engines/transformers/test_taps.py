"""A model is recorded whole, or refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.hooks import recorded_selections
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.taps import find_taps, selections_per_token
from moexray.errors import ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import TWO_FAMILIES, routed


class Experts(nn.Module):
    """An experts module as transformers writes them."""

    num_experts = 4

    def forward(self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor) -> None:
        """Compute nothing: only what arrives matters."""


class Untold(nn.Module):
    """Experts that are not told which of them were selected."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states


def test_experts_are_found_in_the_order_of_their_layers_whatever_the_order_of_the_modules() -> None:
    model = nn.ModuleDict({"10": nn.ModuleDict({"experts": Experts()}), "9": nn.ModuleDict({"experts": Experts()})})
    assert [tap.layer for tap in find_taps(model)] == [9, 10]


def test_experts_that_are_not_handed_the_selection_are_named() -> None:
    model = nn.ModuleDict({"0": nn.ModuleDict({"experts": Untold()})})
    with pytest.raises(ModelError, match=r"0\.experts is not told which are selected"):
        find_taps(model)


def test_two_experts_modules_in_one_layer_are_refused() -> None:
    model = nn.ModuleDict({"0": nn.ModuleDict({"left": Experts(), "right": Experts()})})
    with pytest.raises(ModelError, match="two experts modules claim layer 0"):
        find_taps(model)


@pytest.mark.parametrize("by_name", [False, True])
def test_selections_are_recorded_whether_passed_by_name_or_by_position(by_name: bool) -> None:
    experts = Experts()
    selected = torch.tensor([[2, 0], [1, 3]])
    with recorded_selections(find_taps(nn.ModuleDict({"0": experts}))) as recorded:
        if by_name:
            experts(torch.zeros(2, 1), top_k_weights=torch.ones(2, 2), top_k_index=selected)
        else:
            experts(torch.zeros(2, 1), selected, torch.ones(2, 2))
    assert recorded[0][0].tolist() == selected.tolist()


@TWO_FAMILIES
def test_hooks_are_removed_even_when_the_model_fails(in_float32: LoadedModel) -> None:
    taps = find_taps(in_float32.model)
    before = [len(tap.module._forward_pre_hooks) for tap in taps]

    def fail_while_recorded_selections() -> None:
        with recorded_selections(taps):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_recorded_selections()
    assert [len(tap.module._forward_pre_hooks) for tap in taps] == before


class Router(nn.Module):
    """Runs its experts as often, and on as many rows at a time, as it is told."""

    def __init__(self, *, times: int = 1, rows: int = 1000) -> None:
        super().__init__()
        self.experts = Experts()
        self.times, self.rows = times, rows

    def forward(self, tokens: torch.Tensor) -> None:
        for _ in range(self.times):
            for part in tokens.flatten().split(self.rows):
                self.experts(part[:, None], part[:, None] % 4, torch.ones(len(part), 1))


class Model(nn.Module):
    """A text decoder beside a tower for images that has experts too."""

    def __init__(self, **router: int) -> None:
        super().__init__()
        self.vision = nn.ModuleList([Router()])
        self.router = Router(**router)
        self.text = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(1, 1), self.router])})

    def get_decoder(self) -> nn.Module:
        return self.text

    def forward(self, input_ids: torch.Tensor, **_: object) -> None:
        self.router(input_ids)


def test_experts_outside_the_text_decoder_are_left_alone() -> None:
    (tap,) = find_taps(Model())
    assert (tap.layer, tap.path) == (1, "text.layers.1.experts")


@pytest.mark.parametrize("router", [{"times": 2}, {"rows": 2}, {"times": 0}])
def test_tokens_that_pass_the_experts_in_parts_or_not_once_are_refused(router: dict[str, int]) -> None:
    model = Model(**router)
    with pytest.raises(ModelError, match=r"6 tokens passed text\.layers\.1\.experts as .* rows instead of once each"):
        selections_per_token(model, find_taps(model), 0)


def test_several_passes_through_a_layer_are_joined() -> None:
    model = Model(times=3)
    (tap,) = find_taps(model)
    assert selections_per_token(model, [replace(tap, calls=3)], 0) == (3,)


def test_a_model_of_whose_experts_only_some_have_a_tap_is_refused() -> None:
    class UntoldExperts(Untold):
        """Named as what it is."""

    model = nn.ModuleDict({"0": nn.ModuleDict({"a": Experts()}), "1": nn.ModuleDict({"b": UntoldExperts()})})
    with pytest.raises(ModelError, match=r"1\.b does not take its selected experts as top_k_index"):
        find_taps(model)


@pytest.mark.parametrize("wrong", [torch.ones(2, 1), torch.ones(2, 1, 4, dtype=torch.long), torch.ones(2, 1) > 0])
def test_what_is_not_a_table_of_indices_is_refused(wrong: torch.Tensor) -> None:
    experts = Experts()
    taps = find_taps(nn.ModuleDict({"0": experts}))
    with (
        recorded_selections(taps),
        pytest.raises(ModelError, match=r"where .tokens, k. expert indices are expected"),
    ):
        experts(torch.zeros(2, 1), wrong, torch.ones(2, 1))


@TWO_FAMILIES
def test_an_index_that_no_expert_has_is_refused_before_it_is_counted(in_float32: LoadedModel) -> None:
    """It would be taken for an expert of the next layer."""
    engine = TransformersEngine(in_float32)
    engine._taps = [replace(tap, experts=1) for tap in engine.taps]
    with pytest.raises(ModelError, match="was handed expert"):
        routed(engine, [Prompt("abcdefgh", category="c", id="p")], Generation(1))
