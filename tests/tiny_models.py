"""Five families of MoE models at tiny random sizes, a tokenizer of letters, and prompts of unequal length."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    GptOssConfig,
    MixtralConfig,
    OlmoeConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3MoeConfig,
)

from moexray.engines.engine import Engine
from moexray.engines.transformers.loading import LoadedModel
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.routing import RoutedSequence

VOCABULARY = len(string.ascii_letters)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def olmoe() -> PreTrainedConfig:
    return OlmoeConfig(**SHAPE, num_hidden_layers=3, num_experts=12, num_experts_per_tok=3)


def mixtral() -> PreTrainedConfig:
    return MixtralConfig(**SHAPE, num_hidden_layers=2, num_local_experts=8, num_experts_per_tok=2, sliding_window=None)


def qwen3_moe() -> PreTrainedConfig:
    """Its second layer is dense, so the layers of its signatures are 0 and 2."""
    return Qwen3MoeConfig(
        **SHAPE,
        num_hidden_layers=3,
        mlp_only_layers=[1],
        moe_intermediate_size=16,
        head_dim=8,
        num_experts=10,
        num_experts_per_tok=3,
    )


def deepseek_v3() -> PreTrainedConfig:
    """Return one with a dense first layer, shared experts, groups, and a bias that decides but does not weigh."""
    return DeepseekV3Config(
        **{**SHAPE, "num_key_value_heads": 4},
        num_hidden_layers=3,
        first_k_dense_replace=1,
        moe_intermediate_size=16,
        n_routed_experts=12,
        n_shared_experts=1,
        n_group=4,
        topk_group=2,
        num_experts_per_tok=3,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=8,
        v_head_dim=8,
    )


def gpt_oss() -> PreTrainedConfig:
    """Attention windows of four tokens in every other layer, attention sinks, and biases in its router."""
    return GptOssConfig(
        **SHAPE, num_hidden_layers=2, head_dim=8, sliding_window=4, num_local_experts=8, num_experts_per_tok=2
    )


FAMILIES = {builder.__name__: builder for builder in (olmoe, mixtral, qwen3_moe, deepseek_v3, gpt_oss)}


# Two families that differ most: one with expert groups, shared experts and a bias, one with attention windows.
TWO_FAMILIES = pytest.mark.parametrize("family", ["deepseek_v3", "gpt_oss"], indirect=True, scope="session")


def random_model(config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Weights large enough that tokens scatter over experts and that attention matters."""
    torch.manual_seed(20260311)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    if dtype == torch.float64:
        model.set_experts_implementation("eager")  # torch's grouped product refuses float64
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.ndim >= 2:
                tensor.normal_(std=tensor.shape[-1] ** -0.5)
            elif name.endswith(("bias", "sinks")):
                tensor.normal_(std=0.2)
    return model


def tokenizer_of_letters() -> PreTrainedTokenizerFast:
    """Each letter is a token, and its id is its place in the alphabet."""
    letters = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(string.ascii_letters)}))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=letters)


def loaded(family: str, dtype: str) -> LoadedModel:
    """Return a random model of a family with the tokenizer, as if read from a checkpoint."""
    return LoadedModel(family, random_model(FAMILIES[family](), getattr(torch, dtype)), tokenizer_of_letters())


def save_olmoe(folder: Path) -> None:
    """Write a checkpoint in bfloat16."""
    random_model(olmoe(), torch.bfloat16).save_pretrained(folder)
    tokenizer_of_letters().save_pretrained(folder)


def routed(engine: Engine, prompts: Sequence[Prompt], generation: Generation, **options: Any) -> list[RoutedSequence]:
    """Run prompts as one batch and return their sequences in the order of the prompts."""
    found = dict(engine.run(prompts, generation, **options))
    return [found[place] for place in range(len(prompts))]


def prompts_of_letters() -> list[Prompt]:
    """Seventeen prompts of 1 to 33 tokens, long beside short."""
    generator = torch.Generator().manual_seed(7)
    lengths = [5, 33, 1, 12, 2, 21, 8, 3, 17, 30, 1, 9, 26, 4, 14, 6, 11]
    texts = ["".join(string.ascii_letters[i] for i in torch.randint(52, (n,), generator=generator)) for n in lengths]
    return [Prompt(text, category="ab"[i % 2], id=f"p{i}") for i, text in enumerate(texts)]
