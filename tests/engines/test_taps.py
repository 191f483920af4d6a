"""A model whose routing would not be heard whole is refused, not half recorded."""

import pytest
import torch
from torch import nn

from moexray.engines.hearing import listening
from moexray.engines.loading import LoadedModel
from moexray.engines.taps import find_taps
from moexray.errors import ModelError


class Experts(nn.Module):
    """An experts module as transformers writes them."""

    num_experts = 4

    def forward(self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor) -> None:
        """Compute nothing: only what arrives matters."""


class Unheard(nn.Module):
    """Experts that are not told which of them were selected."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states


def test_experts_are_found_in_the_order_of_their_layers_whatever_the_order_of_the_modules() -> None:
    model = nn.ModuleDict({"10": nn.ModuleDict({"experts": Experts()}), "9": nn.ModuleDict({"experts": Experts()})})
    assert [tap.layer for tap in find_taps(model)] == [9, 10]


def test_experts_that_are_not_handed_the_selection_are_named() -> None:
    model = nn.ModuleDict({"0": nn.ModuleDict({"experts": Unheard()})})
    with pytest.raises(ModelError, match=r"0\.experts is not told which are selected"):
        find_taps(model)


def test_two_experts_modules_in_one_layer_are_refused() -> None:
    model = nn.ModuleDict({"0": nn.ModuleDict({"left": Experts(), "right": Experts()})})
    with pytest.raises(ModelError, match="two experts modules claim layer 0"):
        find_taps(model)


@pytest.mark.parametrize("by_name", [False, True])
def test_selections_are_heard_however_they_are_handed_over(by_name: bool) -> None:
    experts = Experts()
    selected = torch.tensor([[2, 0], [1, 3]])
    with listening(find_taps(nn.ModuleDict({"0": experts}))) as heard:
        if by_name:
            experts(torch.zeros(2, 1), top_k_weights=torch.ones(2, 2), top_k_index=selected)
        else:
            experts(torch.zeros(2, 1), selected, torch.ones(2, 2))
    assert heard[0][0].tolist() == selected.tolist()


def test_hooks_are_gone_after_listening_even_when_the_model_fails(in_float32: LoadedModel) -> None:
    taps = find_taps(in_float32.model)
    before = [len(tap.module._forward_pre_hooks) for tap in taps]

    def fail_while_listening() -> None:
        with listening(taps):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_listening()
    assert [len(tap.module._forward_pre_hooks) for tap in taps] == before
