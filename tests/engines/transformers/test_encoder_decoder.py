"""Why encoder–decoder models are refused: what transformers does with their routers' selections."""

from typing import Any

import torch
from transformers import (
    NllbMoeConfig,
    NllbMoeForConditionalGeneration,
    PreTrainedModel,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
)
from transformers.modeling_outputs import MoEModelOutput
from transformers.models.auto import modeling_auto

from moexray.engines.transformers.architectures import moe_architectures, refusal

PROMPT, OUTPUT = torch.arange(3, 15)[None], torch.arange(20, 29)[None]


def test_both_that_have_experts_are_refused_with_their_reasons() -> None:
    two_stacks = "it encodes the prompt with one stack and writes with another, so no layer sees all tokens"
    for name, more in (
        ("switch_transformers", "a full expert drops tokens, by how many pass it at a time"),
        ("nllb-moe", "transformers runs experts 0 and 1 for every token, whatever the router selects"),
    ):
        assert refusal(name) == f"{two_stacks}; and {more}"
    assert refusal("t5") == two_stacks
    types = set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
    found = {one.model_type: one.tap for one in moe_architectures() if one.model_type in types}
    assert found == {"nllb-moe": "refused", "switch_transformers": "refused"}


def test_nllb_runs_experts_0_and_1_whatever_its_router_selects() -> None:
    """Once this fails, transformers has repaired it: its reason goes."""
    torch.manual_seed(0)
    shape = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sparse = {"num_experts": 6, "encoder_sparse_step": 1, "decoder_sparse_step": 1}
    config = NllbMoeConfig(vocab_size=32, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **shape, **sparse)
    model = NllbMoeForConditionalGeneration(config).eval()
    selected = selections(model, "NllbMoeTop2Router")
    ran: set[str] = set()
    for name, module in model.named_modules():
        if name.split(".")[-1].startswith("expert_"):
            module.register_forward_hook(lambda *_, name=name: ran.add(name.split("_")[-1]))
    with torch.no_grad():
        model(input_ids=PROMPT, decoder_input_ids=OUTPUT)
    assert len({expert for mask in selected["model.encoder.layers.0.ffn.router"] for expert in mask.argmax(-1)}) > 2
    assert ran == {"0", "1"}


def test_switch_drops_tokens_of_a_pass_that_it_keeps_one_by_one() -> None:
    torch.manual_seed(0)
    layers = {"num_layers": 1, "num_decoder_layers": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 2}
    config = SwitchTransformersConfig(
        vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_heads=2, num_experts=2, expert_capacity=3, **layers
    )
    model = SwitchTransformersForConditionalGeneration(config).eval()
    selected = selections(model, "SwitchTransformersTop1Router")
    last = "decoder.block.1.layer.2.mlp.router"
    with torch.no_grad():
        encoded = model.encoder(input_ids=PROMPT).last_hidden_state
        prompt = MoEModelOutput(last_hidden_state=encoded, router_logits=None)
        model(encoder_outputs=prompt, decoder_input_ids=OUTPUT)
        together = selected[last][0].sum(-1)[0].tolist()
        alone = []
        for end in range(1, OUTPUT.shape[1] + 1):
            selected[last].clear()
            model(encoder_outputs=prompt, decoder_input_ids=OUTPUT[:, end - 1 : end])
            alone += selected[last][0].sum(-1)[0].tolist()
    assert alone == [1] * 9
    assert sum(together) == 6  # of 9 tokens, since two experts take three each


def selections(model: PreTrainedModel, router: str) -> dict[str, list[torch.Tensor]]:
    """Return what every router of a class will select, by name: masks of the experts."""
    found: dict[str, list[torch.Tensor]] = {}

    def keep(name: str) -> Any:
        return lambda _router, _inputs, output: found.setdefault(name, []).append(output[0])

    for name, module in model.named_modules():
        if type(module).__name__ == router:
            module.register_forward_hook(keep(name))
    return found
