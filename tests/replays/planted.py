"""Tiny models, what their routers really do, and faults that are planted in it."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen2MoeConfig

from moexray.checks.integrity import Inspector
from moexray.checks.result import RoutingCheck
from moexray.checks.rows import rows_of_sequence
from moexray.engines.engine import Engine
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.replays.check import against
from moexray.replays.comparing import layers_of
from moexray.replays.recorded_file import Kept
from moexray.routing import RoutedSequence

from .. import tiny_models

NEW_TOKENS = 10


def qwen2_moe() -> LoadedModel:
    """Return a model with a shared expert in every layer."""
    config = Qwen2MoeConfig(
        **tiny_models.SHAPE,
        num_hidden_layers=3,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        num_experts=12,
        num_experts_per_tok=3,
        mlp_only_layers=[],
    )
    return LoadedModel("qwen2_moe", tiny_models.random_model(config, torch.float32), tiny_models.tokenizer_of_letters())


def loaded(shape: str, dtype: str = "float32") -> LoadedModel:
    """Return a tiny model of a shape, by the name of its family."""
    return qwen2_moe() if shape == "qwen2_moe" else tiny_models.loaded(shape, dtype)


def prompts(number: int = 4, *, length: tuple[int, int] = (20, 40), seed: int = 5) -> list[Prompt]:
    """Return prompts of random letters."""
    rng = np.random.default_rng(seed)
    letters = list(string.ascii_letters)
    return [
        Prompt("".join(rng.choice(letters, size=rng.integers(*length))), category="ab"[place % 2], id=f"p{place}")
        for place in range(number)
    ]


def recorded(
    engine: Engine, some: Sequence[Prompt] | None = None, *, together: int = 1, new_tokens: int = NEW_TOKENS
) -> list[Kept]:
    """Return what an engine records of prompts, in batches of so many."""
    some = prompts() if some is None else some
    found: list[RoutedSequence] = []
    for start in range(0, len(some), together):
        batch = some[start : start + together]
        of = dict(engine.run(batch, Generation(new_tokens)))
        found += [of[place] for place in range(len(batch))]
    return [kept(prompt.id, sequence) for prompt, sequence in zip(some, found, strict=True)]


def kept(name: str, sequence: RoutedSequence) -> Kept:
    """Return a sequence as it is kept of a file."""
    experts = sequence.experts.astype(np.int64)
    return Kept(
        name,
        sequence.token_ids.astype(np.int64),
        sequence.segments.astype(np.int64),
        experts,
        np.ones(experts.shape[:2], dtype=bool),
    )


def checked(engine: Engine, some: Sequence[Kept], meta: Mapping[str, Any] | None = None) -> RoutingCheck:
    """Return the check of recorded rows against an engine's model."""
    layers = layers_of(engine)
    inspector = Inspector(layers.layers, layers.experts, layers.top_k)
    for one in some:
        inspector.add(rows_of_sequence(one.name, one.token_ids, one.phases, one.experts, layers.top_k))
    return against(
        engine,
        some,
        layers,
        source="a test",
        meta=engine.description if meta is None else meta,
        integrity=inspector.result(),
        notes={},
        fingerprint=None,
        announce=lambda _name: None,
    )


Fault = Callable[[list[Kept]], list[Kept]]


def edited(edit: Callable[[Kept, NDArray[np.int64]], object]) -> Fault:
    """Return a fault that edits the experts of each prompt in place."""

    def plant(some: list[Kept]) -> list[Kept]:
        found = []
        for one in some:
            experts = one.experts.copy()
            edit(one, experts)
            found.append(replace(one, experts=experts))
        return found

    return plant


def engine_of(shape: str, dtype: str = "float32") -> TransformersEngine:
    """Return the engine of a tiny model."""
    return TransformersEngine(loaded(shape, dtype))
