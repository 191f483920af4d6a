"""Configurations and chat templates that were changed at random are read or refused, and never a traceback."""

import json
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.engines.transformers.profile import profile_of
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.errors import CaptureError, ModelError
from moexray.prompts import Prompt, chat_prompt

from ... import tiny_models
from ...mutation import mutated_text

VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 7, 10**6, 10**30, 1.5, 8.0, 1e308, "x", "", "8", "torch.float16", None, True, False, [], {}),
    *([1, 2], ["a"], {"a": 1}, [[1]], "\x1b[31m", "x" * 3000),
)
FURTHER = ("quantization_config", "text_config", "torch_dtype", "layer_types", "sliding_window", "num_local_experts")
TEMPLATE = (
    b"{% if messages[0]['role'] == 'system' %}{% set s = messages[0]['content'] %}{% else %}{% set s = '' %}{% endif %}"
    b"{{ strftime_now('%Y') }}{{ s }}{% for m in messages %}{% if m['role'] not in ['user', 'assistant', 'system'] %}"
    b"{{ raise_exception('bad') }}{% endif %}{{ m['role'] | upper }} {{ m['content'] | trim }}\n{% endfor %}"
    b"{% for i in range(2) %}{{ i }}{% endfor %}{% if add_generation_prompt %}{{ 'a' * 3 }}{% endif %}"
)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_experts": 0}, "0 experts"),
        ({"model_type": {"a": 1}}, "config"),
        ({"model_type": ["olmoe"]}, "config"),
        ({"num_hidden_layers": 10**6}, "says that it has 1,000,000 layers"),
        ({"eos_token_id": "NESTED"}, "nested too deeply"),
    ],
)
def test_values_that_no_model_has_are_refused_by_name(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    text = json.dumps(tiny_models.olmoe().to_dict() | changes).replace('"NESTED"', "[" * 5000)
    (tmp_path / "config.json").write_text(text)
    try:
        found = profile_of(str(tmp_path)).reason
    except ModelError as error:
        found = str(error)
    assert problem in found


@pytest.mark.parametrize("number", [20, pytest.param(2000, marks=pytest.mark.nightly)])
def test_a_mutated_configuration_is_read_or_refused(tmp_path: Path, number: int) -> None:
    rng, whole = np.random.default_rng(number), tiny_models.olmoe().to_dict()
    for trial in range(number):
        held = {**whole}
        for key in rng.choice([*whole, *FURTHER], int(rng.choice((1, 1, 2)))):
            held[str(key)] = VALUES[int(rng.integers(len(VALUES)))]
        content = json.dumps(held).encode()
        (tmp_path / "config.json").write_bytes(content if trial % 2 else mutated_text(content, rng))
        try:
            profile_of(str(tmp_path))
        except ModelError:
            continue
        except Exception as failure:
            failure.add_note(f"mutation {trial}: {(tmp_path / 'config.json').read_bytes()!r}")
            raise


@pytest.mark.parametrize("number", [20, pytest.param(2000, marks=pytest.mark.nightly)])
def test_a_mutated_template_is_applied_or_refused(number: int) -> None:
    whole = AutoTokenizer.from_pretrained(str(SCALE_MODEL))
    turns = [{"role": "system", "content": "be"}, {"role": "user", "content": "xyz"}]
    prompts = [Prompt("abc d", "x", "1"), chat_prompt(turns, category="x", id="2")]
    rng = np.random.default_rng(number)
    for trial in range(number):
        tokenizer = copy(whole)
        tokenizer.chat_template = mutated_text(TEMPLATE, rng).decode("utf-8", "replace")
        try:
            tokens = PromptTokens(tokenizer)
            tokens.begin_at(datetime(2026, 1, 2, tzinfo=UTC))
            tokens.lengths(prompts)
        except CaptureError:
            continue
        except Exception as failure:
            failure.add_note(f"mutation {trial}: {tokenizer.chat_template!r}")
            raise
