"""Tiny random models that vLLM runs on a CPU: its attention there takes heads of 32 and more."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.prompts import Prompt, bundled_prompts

_COMMON: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "bos_token_id": None,
    "tie_word_embeddings": False,
}
_OWN: dict[str, dict[str, Any]] = {
    "olmoe": {
        "intermediate_size": 32,
        "num_hidden_layers": 4,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "norm_topk_prob": False,
    },
    "qwen3_moe": {  # layers 0 and 3 are dense
        "head_dim": 32,
        "intermediate_size": 64,
        "moe_intermediate_size": 32,
        "num_hidden_layers": 5,
        "num_experts": 16,
        "num_experts_per_tok": 4,
        "norm_topk_prob": True,
        "mlp_only_layers": [0, 3],
        "decoder_sparse_step": 1,
    },
    "qwen2_moe": {  # with an expert that all tokens share
        "intermediate_size": 64,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_experts": 12,
        "num_experts_per_tok": 3,
        "norm_topk_prob": False,
        "mlp_only_layers": [],
    },
}
FAMILIES = tuple(_OWN)


def save(folder: Path, family: str) -> str:
    """Write a checkpoint in float32; its end token is one that it often writes, so that some texts end early."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **_COMMON, **_OWN[family])).float().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.12)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SCALE_MODEL / name, folder / name)
    model.generation_config.eos_token_id = _often_written(model, AutoTokenizer.from_pretrained(folder))
    model.save_pretrained(folder)
    return str(folder)


def texts(number: int = 12) -> list[Prompt]:
    """Return prompts of 4 to some 190 tokens, with one as long as a cached block of 128 and more."""
    found = [prompt.text for prompt in bundled_prompts()[:number]]
    found = [text[: 20 + 37 * place] for place, text in enumerate(found)]
    found[-1] = " ".join(prompt.text for prompt in bundled_prompts()[:8])[:560]
    return [Prompt(text, "ab"[place % 2], id=f"p{place}") for place, text in enumerate(found)]


def _often_written(model: Any, tokenizer: Any) -> int:
    written: Counter[int] = Counter()
    for prompt in texts():
        ids = torch.tensor([tokenizer(prompt.text)["input_ids"]])
        new = model.generate(ids, max_new_tokens=10, do_sample=False, eos_token_id=None)[0, ids.shape[1] :]
        written.update(set(new[2:].tolist()))
    return written.most_common(1)[0][0]
