"""A module that holds experts is heard or named, whatever it is called; what only looks like one is left alone."""

from typing import Any

import pytest
import torch
from torch import nn

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.experts import bytes_of_expert, is_built_as_experts
from moexray.engines.transformers.loading import build_skeleton
from moexray.engines.transformers.taps import find_taps
from moexray.errors import ModelError

from .test_taps import Experts
from .zoo import tiny_config

RECORDED = sorted(architecture.model_type for architecture in moe_architectures() if architecture.tap != "refused")
NUMBER, WIDTH = 6, 8


class Part(nn.Module):
    """One expert, or something built like it."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 3, bias=False), nn.Linear(3, WIDTH, bias=False)


class Block(nn.Module):
    """Holds whatever modules and parameters it is given, under their names."""

    def __init__(self, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def parts(number: int = NUMBER) -> nn.ModuleList:
    return nn.ModuleList(Part() for _ in range(number))


def router(number: int = NUMBER) -> nn.Linear:
    return nn.Linear(WIDTH, number, bias=False)


def stack() -> nn.Parameter:
    return nn.Parameter(torch.zeros(NUMBER, WIDTH, 3))


def matrices() -> nn.ParameterList:
    return nn.ParameterList(nn.Parameter(torch.zeros(WIDTH, 3)) for _ in range(NUMBER))


UNHEARD: dict[str, tuple[nn.Module, str]] = {
    "a list called experts, without a router beside it": (Block(mlp=Block(experts=parts())), "mlp.experts"),
    "a list called mlp, looped over by its block": (Block(gate=router(), mlp=parts()), "mlp"),
    "a dictionary": (Block(ffn=Block(choose=router(), bank=nn.ModuleDict(dict(parts().named_children())))), "ffn.bank"),
    "stacked parameters": (Block(ffn=Block(w1=stack(), w2=stack(), gate=router())), "ffn"),
    "stacked parameters beside the router": (Block(ffn=Block(bank=Block(w=stack()), gate=router())), "ffn.bank"),
    "a router's own parameter": (
        Block(ffn=Block(bank=parts(), route=nn.Parameter(torch.zeros(NUMBER, WIDTH)))),
        "ffn.bank",
    ),
    "numbered attributes": (Block(ffn=Block(**{f"net_{i}": Part() for i in range(NUMBER)}, gate=router())), "ffn"),
    "a list of parameters": (Block(ffn=Block(w1=matrices(), w2=matrices(), gate=router())), "ffn.w1"),
}
ALIKE: dict[str, nn.Module] = {
    "heads of attention with a gate for each": Block(self_attn=Block(heads=parts(), gate=router())),
    "stacked heads with a gate for each": Block(linear_attn=Block(q=stack(), gate=router())),
    "shared experts": Block(mlp=Block(shared_experts=parts(), gate=router(9))),
    "one shared expert": Block(mlp=Block(shared_expert=Part(), shared_expert_gate=router(1))),
    "two dense networks, as LongCat Flash has": Block(mlps=parts(2), mlp=Block(router=router())),
    "different parts": Block(gate=router(2), mlp=nn.ModuleList([Part(), router()])),
    "norms without matrices": Block(gate=router(), norms=nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(NUMBER))),
    "a convolution": Block(gate=router(WIDTH), conv=nn.Conv1d(WIDTH, WIDTH, 3, groups=WIDTH)),
    "layers within a layer": Block(steps=parts(3), gate=router()),
}


def model(*layers: nn.Module) -> nn.Module:
    return Block(layers=nn.ModuleList(layers), mtp=parts(), gate=router())


@pytest.mark.parametrize("case", UNHEARD)
def test_experts_that_cannot_be_heard_are_named_where_others_are_heard(case: str) -> None:
    layer, path = UNHEARD[case]
    first, last = (Block(mlp=Block(experts=Experts(), gate=router(4))) for _ in range(2))
    with pytest.raises(ModelError, match=rf"layers\.1\.{path} does not take .*, though 2 other experts modules do"):
        find_taps(model(first, layer, last))


@pytest.mark.parametrize("case", UNHEARD)
def test_a_model_none_of_whose_experts_can_be_heard_is_not_said_to_have_none(case: str) -> None:
    layer, path = UNHEARD[case]
    with pytest.raises(ModelError, match=rf"layers\.0\.{path} does not take its selected experts as"):
        find_taps(model(layer))


@pytest.mark.parametrize("case", ALIKE)
def test_what_only_looks_like_experts_does_not_keep_a_model_from_being_recorded(case: str) -> None:
    heard: Any = Block(mlp=Block(experts=Experts(), gate=router(4)), beside=ALIKE[case])
    assert [tap.path for tap in find_taps(model(ALIKE[case], heard))] == ["layers.1.mlp.experts"]


def test_a_dense_model_has_no_experts() -> None:
    with pytest.raises(ModelError, match="it has no experts"):
        find_taps(model(Block(mlp=Part())))


@pytest.mark.slow
def test_nearly_every_architecture_shows_its_experts_by_structure_alone() -> None:
    """Were their experts not heard, they would be named: but for three that stack or choose in ways of their own."""
    unseen = []
    for model_type in RECORDED:
        skeleton = build_skeleton(tiny_config(model_type))
        names = {module: name for name, module in skeleton.named_modules()}
        first = [tap.holders[0] for tap in find_taps(skeleton)]
        if not all(is_built_as_experts(skeleton, names[holder], holder) for holder in first):
            unseen.append(model_type)
    assert unseen == ["dbrx", "inkling_mm_model", "zaya"]


def test_an_expert_takes_the_bytes_of_its_matrices() -> None:
    """Two stacked float32 matrices of eight experts: (8, 2·16, 32) and (8, 32, 16)."""
    holder = nn.Module()
    holder.up = nn.Parameter(torch.zeros(8, 32, 32))
    holder.down = nn.Parameter(torch.zeros(8, 32, 16))
    assert bytes_of_expert([holder], 8) == 4 * (32 * 32 + 32 * 16)
    listed = nn.ModuleList([nn.Linear(32, 16, bias=False, dtype=torch.bfloat16) for _ in range(4)])
    assert bytes_of_expert([listed], 4) == 2 * 32 * 16


def test_experts_without_weights_do_not_make_the_others_smaller() -> None:
    """A router that chooses among eight experts and one that computes nothing: the eight share the bytes."""
    holder = nn.Module()
    holder.up = nn.Parameter(torch.zeros(8, 32, 32))
    assert bytes_of_expert([holder], 9) == 4 * 32 * 32
