"""Every image-text architecture of the installed transformers with routed experts: a tiny model and its own processor.

The text decoders are those of `zoo`. Beside them stand a vision tower of a layer or two and the architecture's own
processor: see `image_zoo_processors`.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import model_type_to_module_name

from moexray.engines.transformers.configuration import text_config

from .image_zoo_processors import (
    ProcessorRecipe,
    flat_patches,
    inkling2_patches,
    inkling_patches,
    llama4_tiles,
    processor_of,
    tokenizer_of,
    views,
)
from .zoo import OVERRIDES, folders, merged, model_of, small_sizes, tiny_config

VOCABULARY = 80

_QWEN = {"patch_size": 16, "num_position_embeddings": 64, "spatial_merge_size": 2, "temporal_patch_size": 2}
_PATCH_14 = {"patch_size": 14, "spatial_merge_size": 2}
_MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
_SAM = {
    "hidden_size": 32,
    "output_channels": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "global_attn_indexes": [],
    "downsample_channels": [16, 32],
}
_ENCODER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}

_SIZES_16 = {"patch_size": 16, "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64 * 4}}
_SIZES_14 = {"merge_size": 2, "size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 16}}
_QWEN_PROCESSOR = ProcessorRecipe(
    "Qwen3VLProcessor", "Qwen2VLImageProcessorPil", _SIZES_16, video="Qwen3VLVideoProcessor"
)
_PIXTRAL = ProcessorRecipe(
    "PixtralProcessor",
    "PixtralImageProcessorPil",
    {"patch_size": 16, "size": {"longest_edge": 96}},
    {"patch_size": 16, "spatial_merge_size": 2},
    {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"},
    "[IMG]",
)


@dataclass(frozen=True)
class Recipe:
    """How an architecture is built tiny, beside the sizes of `zoo`.

    Attributes
    ----------
    processor
        Its processor.
    vision, text, more
        Values of its vision and text configurations, and of the whole.
    """

    processor: ProcessorRecipe
    vision: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {
    "aria": Recipe(
        ProcessorRecipe(
            "AriaProcessor", "AriaImageProcessorPil", {"max_image_size": 980}, {"size_conversion": {980: 4}}
        ),
        {"hidden_size": 16, "image_size": 980, "patch_size": 140},
        more={"projector_patch_to_query_dict": {49: 4}},
    ),
    "deepseek_ocr2": Recipe(
        ProcessorRecipe(
            "DeepseekOcr2Processor",
            "DeepseekOcr2ImageProcessorPil",
            {"size": {"height": 96, "width": 96}, "tile_size": 96},
            {"patch_size": 2},
        ),
        {
            "sam_config": {**_SAM, "image_size": 96, "patch_size": 2, "window_size": 7},
            "encoder_config": {**_ENCODER, "num_key_value_heads": 4, "vocab_size": VOCABULARY},
        },
    ),
    "dots3_note": Recipe(
        ProcessorRecipe(
            "Dots3NoteProcessor",
            "Qwen2VLImageProcessorPil",
            {**_SIZES_14, "temporal_patch_size": 1},
            tokens={
                "image_token": "<|imgpad|>",
                "video_token": "<|video_pad|>",
                "audio_token": "<|audio_comp_pad|>",
            },
            text="<image_start><|imgpad|><image_end>",
            audio="Dots3NoteFeatureExtractor",
            video="Qwen3VLVideoProcessor",
        ),
        {"patch_size": 14},
    ),
    "ernie4_5_vl_moe": Recipe(
        ProcessorRecipe(
            "Ernie4_5_VLMoeProcessor",
            "Ernie4_5_VLMoeImageProcessorPil",
            _SIZES_14,
            video="Ernie4_5_VLMoeVideoProcessor",
        ),
        _PATCH_14,
    ),
    "gemma4": Recipe(
        ProcessorRecipe(
            "Gemma4Processor",
            "Gemma4ImageProcessorPil",
            {"patch_size": 16, "max_soft_tokens": 70, "pooling_kernel_size": 2},
            tokens={
                "video_token": "<|video|>",
                "boi_token": "<image_start>",
                "eoi_token": "<image_end>",
                "boa_token": "<audio_start>",
                "eoa_token": "<audio_end>",
                "pad_token": "<pad>",
            },
            text="<image>",
            audio="Gemma4AudioFeatureExtractor",
            video="Gemma4VideoProcessor",
        ),
        {
            "patch_size": 16,
            "pooling_kernel_size": 2,
            "position_embedding_size": 64,
            "global_head_dim": 8,
            "num_key_value_heads": 4,
        },
        {"vocab_size_per_layer_input": VOCABULARY},
        {"audio_config": None},
    ),
    "glm4v_moe": Recipe(
        ProcessorRecipe("Glm4vProcessor", "Glm4vImageProcessorPil", _SIZES_14, video="Glm4vVideoProcessor"),
        {**_PATCH_14, "image_size": 112},
    ),
    "glm5_next": Recipe(
        ProcessorRecipe(
            "Glm5NextProcessor",
            "Glm5NextImageProcessorPil",
            {"min_image_tokens": 4, "max_image_tokens": 16},
            video="Glm5NextVideoProcessor",
        ),
        {**_PATCH_14, "image_size": 112, "projection_intermediate_size": 32},
    ),
    "hy_v4_vl": Recipe(
        ProcessorRecipe("HYV4VLProcessor", "HYV4VLImageProcessorPil", _SIZES_16, video="HYV4VLVideoProcessor"),
        {"patch_size": 16, "max_image_size": 128},
    ),
    "inkling_mm_model": Recipe(
        ProcessorRecipe(
            "InklingProcessor",
            "InklingImageProcessor",
            tokens={
                "image_token": "<|unused_200054|>",
                "audio_token": "<|unused_200053|>",
                "image_start_token": "<|content_image|>",
                "audio_start_token": "<|content_audio_input|>",
            },
            text="<|content_image|><|unused_200054|>",
            audio="InklingFeatureExtractor",
            patches=inkling_patches,
        ),
        {"num_hidden_layers": 2},
        {"unpadded_vocab_size": VOCABULARY},
    ),
    "inkling2": Recipe(
        ProcessorRecipe(
            "Inkling2Processor",
            "Inkling2ImageProcessor",
            tokens={"image_token": "<|unused_200054|>"},
            text="<|unused_200054|>",
            patches=inkling2_patches,
        ),
        {"patch_size": 20, "posemb_grid_size": 4},
        {"unpadded_vocab_size": VOCABULARY},
    ),
    "inkling2_loop": Recipe(
        ProcessorRecipe(
            "Inkling2Processor",
            "Inkling2ImageProcessor",
            tokens={"image_token": "<|unused_200054|>"},
            text="<|unused_200054|>",
            patches=inkling2_patches,
        ),
        {"patch_size": 20, "posemb_grid_size": 4},
        {"unpadded_vocab_size": VOCABULARY},
    ),
    "kimi_k25": Recipe(
        ProcessorRecipe(
            "Kimi_K25Processor",
            "Kimi_K25ImageProcessor",
            {"merge_size": 2},
            tokens={"image_token": "<|media_pad|>", "video_token": "<|kimi_k25_video_placeholder|>"},
            text="<image_start><|media_pad|><image_end>",
            video="Kimi_K25VideoProcessor",
            patches=flat_patches(14, stacked=False),
        ),
        {"pos_emb_height": 4, "pos_emb_width": 4},
        more={"projection_hidden_size": 32},
    ),
    "llama4": Recipe(
        ProcessorRecipe(
            "Llama4Processor",
            "Llama4ImageProcessor",
            {"size": {"height": 56, "width": 56}, "max_patches": 4},
            {"chat_template": None},
            tokens={
                "image_token": "<|patch|>",
                "placeholder_token": "<|image|>",
                "image_start_token": "<|image_start|>",
                "image_end_token": "<|image_end|>",
                "x_token": "<|tile_x_separator|>",
                "y_token": "<|tile_y_separator|>",
            },
            text="<|image|>",
            patches=llama4_tiles,
        ),
        {
            "intermediate_size": 128,
            "image_size": 56,
            "patch_size": 14,
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
        },
    ),
    "minimax_m3_vl": Recipe(
        ProcessorRecipe(
            "MiniMaxM3VLProcessor",
            "MiniMaxM3VLImageProcessor",
            _SIZES_14,
            tokens={
                "image_token": "]<]image[>[",
                "video_token": "]<]video[>[",
                "image_start_token": "]<]start of image[>[",
                "image_end_token": "]<]end of image[>[",
            },
            text="]<]image[>[",
            video="MiniMaxM3VLVideoProcessor",
            patches=flat_patches(14, times=2),
        ),
        _PATCH_14,
    ),
    "mistral_large4": Recipe(_PIXTRAL, {"patch_size": 16, "image_size": 128}),
    "muse_spark": Recipe(
        ProcessorRecipe(
            "MuseSparkProcessor",
            "MuseGlimmerImageProcessor",
            {"max_image_tokens": 16, "merge_size": 2},
            tokens={
                "image_token": "<|patch|>",
                "image_start_token": "<|image_start|>",
                "image_end_token": "<|image_end|>",
                "video_token": "<|video|>",
            },
            text="<|patch|>",
            audio="MuseSparkFeatureExtractor",
            video="MuseGlimmerVideoProcessor",
            patches=flat_patches(14, times=2),
        ),
        {
            "pos_emb_height": 4,
            "pos_emb_width": 4,
            "layer_types": ["window_attention", "full_attention"],
            "num_hidden_layers": 2,
        },
        more={"out_hidden_size": 128},
    ),
    "nemotron_h_omni": Recipe(
        ProcessorRecipe(
            "NemotronH_Omni_Reasoning_V3Processor",
            "NemotronH_Omni_Reasoning_V3ImageProcessor",
            {"patch_size": 16, "downsample_ratio": 0.5, "min_num_patches": 16, "max_num_patches": 64},
            tokens={"image_start_token": "<img>", "image_end_token": "</img>"},
            text="<image>",
            audio="ParakeetFeatureExtractor",
            video="NemotronH_Omni_Reasoning_V3VideoProcessor",
            patches=flat_patches(16, name="image_grid_hw"),
        ),
        {"patch_size": 16, "max_img_size": 128, "video_temporal_patch_size": 2},
        OVERRIDES["nemotron_h"],
        {"projector_hidden_size": 32, "vision_hidden_size": 32, "audio_config": None},
    ),
    "qwen3_5_moe": Recipe(_QWEN_PROCESSOR, _QWEN),
    "qwen3_omni_moe_thinker": Recipe(
        ProcessorRecipe(
            "Qwen3OmniMoeProcessor",
            "Qwen2VLImageProcessorPil",
            _SIZES_16,
            tokens={
                "vision_bos_token": "<image_start>",
                "vision_eos_token": "<image_end>",
                "audio_bos_token": "<audio_start>",
                "audio_eos_token": "<audio_end>",
            },
            audio="WhisperFeatureExtractor",
            video="Qwen2VLVideoProcessor",
        ),
        {**_QWEN, "deepstack_visual_indexes": [0]},
        more={"vision_start_token_id": 53},  # the second of TOKENS, after 52 letters
    ),
    "qwen3_vl_moe": Recipe(_QWEN_PROCESSOR, {**_QWEN, "deepstack_visual_indexes": [0]}, {"rope_parameters": _MROPE}),
    "qwen4_exp": Recipe(_QWEN_PROCESSOR, _QWEN),
    "step3p7": Recipe(
        ProcessorRecipe(
            "Step3p7Processor",
            "Step3p7ImageProcessor",
            {"size": {"height": 64, "width": 64}, "patch_size": 32, "vision_patch_size": 4, "downsampler_stride": 4},
            tokens={
                "image_token": "<im_patch>",
                "image_start_token": "<im_start>",
                "image_end_token": "<im_end>",
                "patch_start_token": "<patch_start>",
                "patch_end_token": "<patch_end>",
                "patch_newline_token": "<patch_newline>",
            },
            text="<im_patch>",
            patches=views(64, 32, with_grid=False),
        ),
        {"patch_size": 4, "image_size": 64},
    ),
    "unlimited_ocr": Recipe(
        ProcessorRecipe(
            "UnlimitedOcrProcessor",
            "UnlimitedOcrImageProcessor",
            {"size": {"height": 128, "width": 128}, "tile_size": 64},
            patches=views(128, 64, with_grid=True),
        ),
        {
            "sam_config": {**_SAM, "image_size": 128, "patch_size": 16, "window_size": 3},
            "encoder_config": {**_ENCODER, "image_size": 28, "patch_size": 14},
        },
    ),
}

# Image-text models whose text decoder is one of another architecture: some of those that may have routed experts.
COMPOSITES: dict[str, tuple[str, str, Recipe]] = {
    "internvl of qwen3_moe": (
        "internvl",
        "qwen3_moe",
        Recipe(
            ProcessorRecipe(
                "InternVLProcessor",
                "GotOcr2ImageProcessorPil",
                {"size": {"height": 56, "width": 56}, "crop_to_patches": False},
                {"image_seq_length": 4},
                {
                    "context_image_token": "<image>",
                    "start_image_token": "<image_start>",
                    "end_image_token": "<image_end>",
                },
                "<image>",
                video="InternVLVideoProcessor",
            ),
            {"image_size": [56, 56], "patch_size": [14, 14]},
            more={"image_seq_length": 4},
        ),
    ),
    "mistral3 of mixtral": (
        "mistral3",
        "mixtral",
        Recipe(_PIXTRAL, {"model_type": "pixtral", "patch_size": 16, "image_size": 128}),
    ),
    "llava of olmoe": (
        "llava",
        "olmoe",
        Recipe(
            ProcessorRecipe(
                "LlavaProcessor",
                "LlavaImageProcessorPil",
                {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}},
                {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
                text="<image>",
            ),
            {"model_type": "clip_vision_model", "image_size": 56, "patch_size": 14, "num_hidden_layers": 2},
        ),
    ),
}


@cache
def image_text_types() -> tuple[str, ...]:
    """Return the types of models that see images and whose text decoder, as it is by default, has routed experts."""
    names = {
        *modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    }
    found = []
    for name in sorted(names & set(CONFIG_MAPPING)):
        config = CONFIG_MAPPING[name]()
        decoders = {model_type_to_module_name(kind) for kind in (name, text_config(config).model_type)}
        sees = any("vision" in part for part in config.sub_configs) or name == "qwen3_omni_moe"
        if sees and decoders & set(folders()):
            found.append(name)
    return tuple(found)


def recipe_of(name: str) -> Recipe:
    """Return the recipe of an architecture or of a composite."""
    return COMPOSITES[name][2] if name in COMPOSITES else RECIPES[name]


def image_config(name: str) -> PreTrainedConfig:
    """Return the configuration of an architecture, or of a composite, that sees images."""
    recipe = recipe_of(name)
    text = {"max_position_embeddings": 1024, **recipe.text, "vocab_size": VOCABULARY}
    tokenizer = tokenizer_of(recipe.processor.tokens)
    if name not in COMPOSITES:
        ids = token_ids(CONFIG_MAPPING[name], tokenizer)
        return tiny_config(name, vision_config=recipe.vision, text_config=text, **merged(ids, recipe.more))
    whole, decoder, _ = COMPOSITES[name]
    small = {"model_type": decoder, **merged(small_sizes(CONFIG_MAPPING[decoder]), OVERRIDES.get(decoder, {}))}
    vision = dict(recipe.vision)
    if "model_type" in vision:
        vision = {**small_sizes(CONFIG_MAPPING[vision["model_type"]]), **vision}
    else:
        vision = {**small_sizes(CONFIG_MAPPING[whole].sub_configs["vision_config"]), **vision}
    ids = token_ids(CONFIG_MAPPING[whole], tokenizer)
    return CONFIG_MAPPING[whole](vision_config=vision, text_config={**small, **text}, **ids, **recipe.more)


def token_ids(kind: type[PreTrainedConfig], tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the ids of a configuration's tokens for images, videos and sound; those of no name are of sound."""
    others = {
        "boi": "image_start",
        "eoi": "image_end",
        "vision_start": "image_start",
        "vision_end": "image_end",
        "image_bos": "image_start",
    }
    found = {}
    for one in dataclasses.fields(kind):
        base = one.name.removesuffix("_id").removesuffix("_index")
        if not base.endswith("_token") or base == one.name or base in ("bos_token", "eos_token", "pad_token"):
            continue
        stem = base.removesuffix("_token")
        token = getattr(tokenizer, f"{others.get(stem, stem)}_token", None) or tokenizer.audio_start_token
        found[one.name] = int(tokenizer.convert_tokens_to_ids(token))
    return found


def image_model(name: str, dtype: torch.dtype | None = None, **sizes: Any) -> PreTrainedModel:
    """Return the tiny model of an architecture, or of a composite, which never writes another token than a letter."""
    config = image_config(name)
    for key, number in sizes.items():
        setattr(config, key, number)
    model = model_of(config, dtype, images=True)

    def only_letters(_module: object, _args: object, output: Any) -> Any:
        output.logits[..., 52:] -= 1e3
        return output

    model.register_forward_hook(only_letters)
    return model


def image_processor(name: str) -> ProcessorMixin:
    """Return the processor of an architecture, or of a composite."""
    return processor_of(recipe_of(name).processor)


def save(name: str, folder: Path) -> Path:
    """Write the model with its processor, as a checkpoint is."""
    image_model(name).save_pretrained(folder)
    image_processor(name).save_pretrained(folder)
    return folder


def picture(seed: int = 0, *, width: int = 96, height: int = 64) -> Image.Image:
    """Return a picture of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)
