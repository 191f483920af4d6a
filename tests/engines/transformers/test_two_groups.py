"""ERNIE's two groups of experts, for text and for images, are recorded as one layer where prompts hold images."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moexray.engines.rules import FixedK
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.hooks import recorded_selections, recorded_weights
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.special_taps import ernie4_5_vl_with_images
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation

from .image_zoo import image_model, image_processor
from .image_zoo_checks import engine_of, prompts_of, record

ERNIE = "ernie4_5_vl_moe"


class Group(nn.Module):
    """Experts that are handed the row's own number, k times, and its half as weights."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.num_experts = number

    def forward(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> None:
        """Compute nothing: only what arrives matters."""


class Block(nn.Module):
    """A block that hands the rows of each kind of token to its group, as ERNIE's does."""

    def __init__(self, text: int, images: int, k: int = 2, other_k: int = 2) -> None:
        super().__init__()
        self.groups = nn.ModuleList([Group(text), Group(images)])
        self.text_moe = SimpleNamespace(experts=self.groups[0], gate=SimpleNamespace(top_k=k))
        self.vision_moe = SimpleNamespace(experts=self.groups[1], gate=SimpleNamespace(top_k=other_k))

    def forward(self, hidden_states: Tensor, moe_mm_token_type_ids: Tensor | None = None) -> None:
        rows = hidden_states.reshape(-1)
        kinds = torch.zeros(len(rows)) if moe_mm_token_type_ids is None else moe_mm_token_type_ids.reshape(-1)
        for kind, group in enumerate(self.groups):
            own = rows[kinds.bool() == bool(kind)]
            if len(own) or not kind:
                group(own, own.long()[:, None].repeat(1, 2), own[:, None].repeat(1, 2) / 2)


def heard(block: Block, *args: Any, **kwargs: Any) -> tuple[list[list[int]], list[list[float]]]:
    taps = ernie4_5_vl_with_images("mlp", 0, block)
    with recorded_selections(taps) as selections, recorded_weights(taps) as weights:
        block(*args, **kwargs)
    return selections[0][0].tolist(), weights[0][0].tolist()


@pytest.mark.parametrize("by_name", [False, True])
def test_rows_of_both_groups_are_put_in_the_order_of_their_tokens(by_name: bool) -> None:
    """Experts 0 to 2 are for text, and 3 to 7 for images; kind 2 is a video, which ERNIE sends to the latter."""
    rows = torch.tensor([[2.0, 4.0, 0.0], [1.0, 3.0, 1.0]])[..., None]
    kinds = torch.tensor([[0, 1, 1], [2, 1, 0]])
    experts, weights = (
        heard(Block(3, 5), rows, moe_mm_token_type_ids=kinds) if by_name else heard(Block(3, 5), rows, kinds)
    )
    assert experts == [[expert, expert] for expert in (2, 3 + 4, 3 + 0, 3 + 1, 3 + 3, 1)]
    assert weights == [[half, half] for half in (1, 2, 0, 0.5, 1.5, 0.5)]


def test_tokens_of_one_kind_go_to_one_group() -> None:
    rows = torch.tensor([[2.0, 1.0]])[..., None]
    assert heard(Block(3, 5), rows)[0] == [[2, 2], [1, 1]]
    assert heard(Block(3, 5), rows, None)[0] == [[2, 2], [1, 1]]
    assert heard(Block(3, 5), rows, torch.zeros(1, 2))[0] == [[2, 2], [1, 1]]
    assert heard(Block(3, 5), rows, torch.ones(1, 2))[0] == [[5, 5], [4, 4]]


def test_a_pass_that_fails_leaves_nothing_to_the_next() -> None:
    block, rows = Block(3, 5), torch.tensor([[2.0, 1.0]])[..., None]
    taps = ernie4_5_vl_with_images("mlp", 0, block)
    block.groups[0].register_forward_hook(lambda *_: 1 / 0)
    with recorded_selections(taps) as selections:
        with pytest.raises(ZeroDivisionError):
            block(rows, torch.tensor([[0, 1]]))
        block.groups[0]._forward_hooks.clear()
        block(rows, torch.zeros(1, 2))
    assert [one.tolist() for one in selections[0]] == [[[2, 2], [1, 1]]]


def test_groups_of_unequal_k_are_refused() -> None:
    with pytest.raises(ModelError, match="layer 7 sends a token of text to 2 experts and one of an image to 3"):
        ernie4_5_vl_with_images("mlp", 7, Block(3, 5, 2, 3))


def test_image_tokens_use_the_experts_after_those_for_text_and_no_others() -> None:
    with engine_of(image_model(ERNIE), image_processor(ERNIE)) as engine:
        sequences = record(engine, prompts_of(ERNIE), together=True)
        assert engine.layout.experts == (16, 16, 16)
        assert not engine.capabilities & {"rules", "norms", "scores"}
        assert "expert_bytes" not in engine.description, "one of text is twice as large as one of images"
    for sequence in sequences:
        of_image = sequence.segments == 1
        assert (sequence.experts[of_image] >= 8).all()
        assert (sequence.experts[~of_image] < 8).all()


def test_without_images_the_layer_has_the_experts_for_text_alone() -> None:
    model, processor = image_model(ERNIE), image_processor(ERNIE)
    with TransformersEngine(LoadedModel("tiny", model, processor.tokenizer)) as engine:
        assert engine.layout.experts == (8, 8, 8)
        assert engine.description["expert_bytes"] == [12288] * 3
        (text,) = record(engine, prompts_of(ERNIE)[1:2], together=True)
    with engine_of(model, processor) as engine:
        (beside,) = record(engine, prompts_of(ERNIE), together=True)[1:2]
    np.testing.assert_array_equal(text.experts, beside.experts)


def test_both_groups_are_verified() -> None:
    with engine_of(image_model(ERNIE), image_processor(ERNIE)) as engine:
        found = engine.verify([prompts_of(ERNIE)], Generation(2))
    assert found["agreement"] == 1
    assert found["images"] == 2
    assert found["others"] > 0 < found["recorded"]


def test_rules_are_refused_by_name() -> None:
    with (
        engine_of(image_model(ERNIE), image_processor(ERNIE)) as engine,
        pytest.raises(CaptureError, match="rules"),
        engine.ruled(FixedK(1)),
    ):
        pass
