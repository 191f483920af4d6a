"""The toy: LLaVA's class with a text model of OLMoE's, made small, its processor, and its loss."""

from typing import Any

import torch
import torch.nn.functional as F
from scale_training.model import BALANCE_WEIGHT, dense_experts, router_loss
from torch import Tensor
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    OlmoeConfig,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from toy_images.batches import Batch
from toy_images.questions import CHAT_TEMPLATE, IMAGE
from toy_images.scenes import SIDE

PATCH = 8
TOKENS_OF_A_PICTURE = (SIDE // PATCH) ** 2


def new_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Return a processor that needs Pillow alone: it has no part for videos."""
    pictures = SiglipImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
    )


def new_model(
    tokenizer: PreTrainedTokenizerFast, *, layers: int, size: int, experts: int
) -> LlavaForConditionalGeneration:
    """Return a random model: a vision tower of two layers, and a text model in which every layer has experts."""
    text = OlmoeConfig(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=size // 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        num_experts=experts,
        num_experts_per_tok=2,
        max_position_embeddings=512,
        initializer_range=0.06,
        router_aux_loss_coef=BALANCE_WEIGHT,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    vision = SiglipVisionConfig(
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            text_config=text,
            vision_config=vision,
            image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
            image_seq_length=TOKENS_OF_A_PICTURE,
            vision_feature_select_strategy="full",
            vision_feature_layer=-1,
        )
    )
    for gate in _gates(model):
        torch.nn.init.normal_(gate.weight, std=size**-0.5)
    return model


def training_loss(model: LlavaForConditionalGeneration, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the loss and the cross-entropy of the answers alone, in nats a token.

    The router losses are of every token of text and pictures, padding excepted, as where such models are trained.
    """
    router_logits: list[Tensor] = []

    def keep(_gate: object, _inputs: object, output: tuple[Tensor, ...]) -> None:
        router_logits.append(output[0])

    hooks = [gate.register_forward_hook(keep) for gate in _gates(model)]
    output = model(input_ids=batch.tokens, pixel_values=batch.pixels, use_cache=False)
    for hook in hooks:
        hook.remove()
    cross_entropy = F.cross_entropy(output.logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten())
    kept = batch.kept.flatten()
    of_tokens = torch.stack([logits[kept] for logits in router_logits])
    loss = router_loss(of_tokens, model.config.text_config.num_experts_per_tok)
    return cross_entropy + loss, cross_entropy.detach()


def use_experts(model: LlavaForConditionalGeneration, implementation: str) -> str:
    """Choose how experts run, and return how they ran before; ``dense`` is the fastest way to train at this size."""
    ALL_EXPERTS_FUNCTIONS.register("dense", dense_experts)
    text = model.model.language_model
    before = str(text.config._experts_implementation)
    text.set_experts_implementation(implementation)
    return before


def _gates(model: LlavaForConditionalGeneration) -> list[Any]:
    return [layer.mlp.gate for layer in model.model.language_model.layers]
