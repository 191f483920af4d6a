"""The scale model's architecture, its loss, and an experts kernel that trains fast at this size on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import OlmoeConfig, OlmoeForCausalLM
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

BALANCE_WEIGHT = 0.01
ROUTER_Z_WEIGHT = 0.001


def new_model(*, vocabulary: int, end_of_text: int, window: int) -> OlmoeForCausalLM:
    """OLMoE-1B-7B's class and routing geometry (16 layers, 64 experts, 8 selected), 500 times fewer parameters."""
    config = OlmoeConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=16,
        num_hidden_layers=16,
        num_attention_heads=4,
        num_key_value_heads=4,
        num_experts=64,
        num_experts_per_tok=8,
        max_position_embeddings=window,
        initializer_range=0.06,
        router_aux_loss_coef=BALANCE_WEIGHT,
        bos_token_id=None,
        eos_token_id=end_of_text,
        pad_token_id=end_of_text,
        tie_word_embeddings=False,
    )
    model = OlmoeForCausalLM(config)
    for layer in model.model.layers:
        nn.init.normal_(layer.mlp.gate.weight, std=config.hidden_size**-0.5)
    return model


def use_training_kernels(model: OlmoeForCausalLM) -> None:
    """Select the dense experts and the float32 attention below: about 1.7 times the stock kernels' speed here."""
    ALL_EXPERTS_FUNCTIONS.register("dense", dense_experts)
    ALL_ATTENTION_FUNCTIONS.register("sdpa_float32", _attention_in_float32)
    model.set_experts_implementation("dense")
    model.set_attn_implementation("sdpa_float32")


def training_loss(model: OlmoeForCausalLM, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy plus OLMoE's router losses, and the cross-entropy alone (both in nats a token)."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model.model(input_ids=tokens, use_cache=False, output_router_logits=True)
        logits = model.lm_head(output.last_hidden_state[:, :-1])
    cross_entropy = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
    router_logits = torch.stack(output.router_logits).float()
    return cross_entropy + router_loss(router_logits, model.config.num_experts_per_tok), cross_entropy.detach()


def router_loss(router_logits: Tensor, top_k: int) -> Tensor:
    """OLMoE's router losses, weighted, of router logits ``(layers, tokens, experts)``.

    The balance loss is taken within each layer (experts x sum of load share x mean probability,
    Switch Transformer, arXiv:2101.03961, eq. 4); transformers pools the layers first, which lets one
    layer's overload hide another's neglect. The z-loss is ST-MoE's (arXiv:2202.08906, eq. 5).
    """
    probabilities = router_logits.softmax(-1)
    chosen = probabilities.topk(top_k).indices
    load = torch.zeros_like(probabilities).scatter(-1, chosen, 1.0).mean(1) / chosen.shape[-1]
    balance = probabilities.shape[-1] * (load * probabilities.mean(1)).sum(-1).mean()
    z = router_logits.logsumexp(-1).square().mean()
    return BALANCE_WEIGHT * balance + ROUTER_Z_WEIGHT * z


def dense_experts(module: nn.Module, hidden: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Every expert on every token, then the gates: eight times the arithmetic, but three large products."""
    gate_and_up, down = module.get_parameter("gate_up_proj"), module.get_parameter("down_proj")
    experts, twice_width, size = gate_and_up.shape
    width = twice_width // 2
    gates = torch.zeros(len(hidden), experts, dtype=hidden.dtype).scatter(1, top_k_index, top_k_weights.to(hidden))
    gate_up = gate_and_up.view(experts, 2, width, size)
    gate = F.linear(hidden, gate_up[:, 0].reshape(-1, size))
    up = F.linear(hidden, gate_up[:, 1].reshape(-1, size))
    active = (F.silu(gate) * up).view(-1, experts, width) * gates.unsqueeze(-1)
    return F.linear(active.flatten(1), down.permute(1, 0, 2).reshape(size, -1))


def _attention_in_float32(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **_: object
) -> tuple[Tensor, None]:
    """Causal attention over whole windows; torch's bfloat16 backward is three times slower on a CPU."""
    with torch.autocast("cpu", enabled=False):
        mixed = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=True)
    return mixed.transpose(1, 2).contiguous(), None
