"""A model's profile, from its configuration, is what the model turns out to be when it runs."""

import inspect
from pathlib import Path

import pytest
from transformers import DeepseekV3Config, LlamaConfig, MixtralConfig, SwitchTransformersConfig

from moexray.engines.transformers import special_taps
from moexray.engines.transformers.profile import profile_of, profile_of_config

DOCS = Path(__file__).parents[3] / "docs" / "architectures.md"


def test_the_published_sizes_of_mixtral_are_found() -> None:
    """46.7 billion parameters, of which 12.9 are used for a token: https://mistral.ai/news/mixtral-of-experts."""
    found = profile_of_config(MixtralConfig(), "mixtral")
    assert (found.layers, set(found.experts), set(found.top_k)) == (tuple(range(32)), {8}, {2})
    assert found.parameters / 1e9 == pytest.approx(46.7, abs=0.05)
    assert found.active_parameters / 1e9 == pytest.approx(12.9, abs=0.05)
    assert found.gigabytes["bfloat16"] == pytest.approx(93.4, abs=0.1)


def test_dense_layers_are_left_out() -> None:
    assert profile_of_config(DeepseekV3Config(), "v3").layers == tuple(range(3, 61))


def test_the_embedded_model_has_a_profile() -> None:
    found = profile_of("scale")
    assert (found.model_type, found.tap, found.reason) == ("olmoe", "generic", "")
    assert (found.experts, found.top_k) == ((64,) * 16, (8,) * 16)


def test_a_dense_model_says_that_it_has_no_experts() -> None:
    found = profile_of_config(LlamaConfig(num_hidden_layers=1), "llama")
    assert (found.tap, found.layers) == ("refused", ())
    assert found.reason.endswith("it has no experts")


def test_a_refused_type_says_why_without_being_built() -> None:
    found = profile_of_config(SwitchTransformersConfig(), "switch")
    assert (found.tap, found.parameters) == ("refused", 0)
    assert "no layer sees all tokens" in found.reason


def test_the_tap_that_the_docs_show_is_the_one_that_runs() -> None:
    assert inspect.getsource(special_taps.jetmoe) in DOCS.read_text(encoding="utf-8")
