"""Five families of MoE models at tiny random sizes, a tokenizer of letters, and prompts of unequal length."""

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
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

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.sampling import Generation
from moexray.prompts import Prompt
from moexray.recording.counting import signatures_in_blocks, totals_of
from moexray.routing import RoutedSequence
from moexray.signatures import Signatures, merge

# From an engine, prompts, tokens to generate and prompts a batch.
Routed = Callable[[TransformersEngine, Sequence[Prompt], int, int], list[RoutedSequence]]
Recorded = Callable[[TransformersEngine, Sequence[Prompt], int, int], Signatures]

_NAMES = pa.dictionary(pa.int32(), pa.string())
TRACE = pa.schema(
    {
        "prompt": _NAMES,
        "position": pa.int32(),
        "token_id": pa.int32(),
        "token": _NAMES,
        "phase": _NAMES,
        "layer": pa.int16(),
        "experts": pa.list_(pa.int16()),
        "gate_weights": pa.list_(pa.float32()),
    }
)
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


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Each letter is a token, and its id is its place in the alphabet."""
    letters = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(string.ascii_letters)}))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=letters)


@pytest.fixture(scope="session")
def in_float64(family: str, tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    return LoadedModel(family, random_model(FAMILIES[family](), torch.float64), tokenizer)


@pytest.fixture(scope="session")
def in_float32(family: str, tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    return LoadedModel(family, random_model(FAMILIES[family](), torch.float32), tokenizer)


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Seventeen prompts of 1 to 33 tokens, long beside short."""
    generator = torch.Generator().manual_seed(7)
    lengths = [5, 33, 1, 12, 2, 21, 8, 3, 17, 30, 1, 9, 26, 4, 14, 6, 11]
    texts = ["".join(string.ascii_letters[i] for i in torch.randint(52, (n,), generator=generator)) for n in lengths]
    return [Prompt(text, category="ab"[i % 2], id=f"p{i}") for i, text in enumerate(texts)]


@pytest.fixture(scope="session")
def tiny_olmoe_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> str:
    """Return a checkpoint on disk, saved in bfloat16."""
    folder = tmp_path_factory.mktemp("tiny-olmoe")
    random_model(olmoe(), torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def routed() -> Routed:
    """Return a function that runs prompts in the order given, so many at a time, short beside long."""
    return _routed


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    """Return a function that does so and puts what was heard into signatures."""

    def record(engine: TransformersEngine, prompts: Sequence[Prompt], new_tokens: int, batch_size: int) -> Signatures:
        sequences = _routed(engine, prompts, new_tokens, batch_size)
        rows = [totals_of(sequence, engine.layout) for sequence in sequences]
        return merge(list(signatures_in_blocks(rows, prompts, engine.layout, engine.description)))

    return record


def _routed(
    engine: TransformersEngine, prompts: Sequence[Prompt], new_tokens: int, batch_size: int
) -> list[RoutedSequence]:
    batches = [prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size)]
    return [sequence for batch in batches for sequence in engine.run(batch, Generation(new_tokens))]


@pytest.fixture(scope="session")
def write_trace() -> Callable[..., Signatures]:
    """Return a function that writes a trace of made-up tokens, and returns the signatures that go with it."""
    return written_trace


def written_trace(
    path: Path,
    *,
    prompts: int = 24,
    layers: tuple[int, ...] = (1, 2, 4),
    experts: int = 8,
    k: int = 2,
    category: float = 1.0,
    seed: int = 0,
    row_group: int = 200,
    vocabulary: int = 30,
) -> Signatures:
    """Route tokens by id, and by category as strongly as asked; the last four tokens of each prompt are generated."""
    router, rng = np.random.default_rng(0), np.random.default_rng([seed, 1])
    by_id, by_kind = (router.normal(size=(n, len(layers), experts)) for n in (vocabulary, 2))
    common, *own = router.dirichlet(np.ones(vocabulary), size=3)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("prompt", "position", "token_id", "phase", "layer", "experts")
    }
    counts, tokens = (
        np.zeros((prompts, 2, len(layers), experts), dtype=np.uint16),
        np.zeros((prompts, 2), dtype=np.int32),
    )
    ends = []
    for prompt in range(prompts):
        length = int(rng.integers(10, 30))
        drawn = rng.choice(vocabulary, length, p=(common + own[prompt % 2]) / 2)
        scores = by_id[drawn] + category * by_kind[prompt % 2] + rng.gumbel(size=(length, len(layers), experts))
        chosen = np.argsort(-scores, axis=2)[:, :, :k]
        for position, (token, of_token) in enumerate(zip(drawn, chosen, strict=True)):
            phase = int(position >= length - 4)
            tokens[prompt, phase] += 1
            for place, layer in enumerate(layers):
                counts[prompt, phase, place, of_token[place]] += 1
                row = (
                    f"p{prompt}",
                    position,
                    int(token),
                    ("prompt", "generated")[phase],
                    layer,
                    of_token[place].tolist(),
                )
                for name, value in zip(columns, row, strict=True):
                    columns[name].append(value)
        ends.append(len(columns["prompt"]))
    columns["token"] = [f"word{token}" for token in columns["token_id"]]
    columns["gate_weights"] = [[1 / k] * k for _ in columns["prompt"]]
    arrays = [
        pa.array(columns[field.name], field.type.value_type).dictionary_encode()
        if pa.types.is_dictionary(field.type)
        else pa.array(columns[field.name], field.type)
        for field in TRACE
    ]
    table = pa.table(arrays, schema=TRACE)
    with parquet.ParquetWriter(path, TRACE) as writer:
        start = 0
        for end in ends:
            if end - start >= row_group or end == ends[-1]:
                writer.write_table(table.slice(start, end - start))
                start = end
    return Signatures(
        counts=counts,
        tokens=tokens,
        categories=tuple(f"kind {i % 2}" for i in range(prompts)),
        prompt_ids=tuple(f"p{i}" for i in range(prompts)),
        layers=np.array(layers, dtype=np.int16),
        top_k=np.full(len(layers), k, dtype=np.int16),
        meta={"model": "made-up"},
    )
