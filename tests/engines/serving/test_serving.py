"""What serving engines share: the facts of a model without its weights, and the check of the rows that come back."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedConfig

from moexray.engines.engine import require
from moexray.engines.serving.engine import ServingEngine
from moexray.engines.serving.model import ServedModel, read_served_model
from moexray.engines.serving.rows import rows_to_sequence
from moexray.engines.transformers.engine import open_engine
from moexray.engines.transformers.loading import build_skeleton
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.model_fingerprint import KEY
from moexray.prompts import Prompt
from tests.tiny_models import olmoe, qwen3_moe, random_model, tokenizer_of_letters

PROMPT_IDS, PASSED_IDS = np.arange(5, dtype=np.int32), np.arange(7, 10, dtype=np.int32)
# Of tests.tiny_models.qwen3_moe: layer 1 is dense, the others have 10 experts and k = 3.
LAYERS, EXPERTS, K = 3, 10, 3


def saved(folder: Path, config: PreTrainedConfig, end_token: int | None = None) -> str:
    model = random_model(config, torch.float32)
    model.generation_config.eos_token_id = end_token
    model.save_pretrained(folder)
    tokenizer_of_letters().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("qwen3"), qwen3_moe(), end_token=3)


@pytest.fixture(scope="module")
def served(folder: str) -> ServedModel:
    return read_served_model(folder)


def right_rows(tokens: int = len(PROMPT_IDS) + len(PASSED_IDS)) -> NDArray[np.uint8]:
    """Random selections as an engine returns them: all layers, the dense one 0, in any order."""
    rng = np.random.default_rng(5)
    rows = np.argsort(rng.random((tokens, LAYERS, EXPERTS)), axis=2)[:, :, :K].astype(np.uint8)
    rows[:, 1] = 0
    return rows


def sequence(rows: Any, served: ServedModel, **changed: Any) -> Any:
    given = {"prompt_ids": PROMPT_IDS, "passed_ids": PASSED_IDS, "output": "abc", **changed}
    return rows_to_sequence(rows, served, engine="vllm", prompt="p7", **given)


def test_a_served_model_has_the_facts_of_the_same_model_in_transformers(folder: str, served: ServedModel) -> None:
    """So that analyses, merges and comparisons take recordings of both engines as of one model."""
    with open_engine(folder) as engine:
        assert served.layout == engine.layout
        assert served.fingerprint() == {**engine.description[KEY]}
        for name, value in served.description().items():
            assert engine.description[name] == value
        assert served.files() == engine.inputs()["checkpoint"]
    assert (served.hidden_layers, served.k, served.context) == (3, 3, 128)
    assert served.end_tokens == {3}


def test_a_model_without_generation_settings_ends_texts_at_its_configurations_end_token(tmp_path: Path) -> None:
    config = olmoe()
    config.eos_token_id = 9
    saved(tmp_path, config, end_token=9)
    (tmp_path / "generation_config.json").unlink()
    assert read_served_model(str(tmp_path)).end_tokens == {9}


def test_nothing_but_the_weights_is_missing_where_these_are_not_here(tmp_path: Path) -> None:
    saved(tmp_path, olmoe())
    with_weights = read_served_model(str(tmp_path)).fingerprint()
    (tmp_path / "model.safetensors").unlink()
    without = read_served_model(str(tmp_path)).fingerprint()
    assert without == {"tokenizer": with_weights["tokenizer"]}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_experts_per_tok": 1}, "layer 0 selects one expert for a token"),
        ({"num_experts_per_tok": 11}, "layer 0 is to select 11 experts for a token and has 10"),
        ({"zero_expert_num": 2}, r"experts that compute nothing \(zero_expert_num\)"),
        ({"mlp_only_layers": [0, 1, 2]}, "has no experts"),
    ],
)
def test_models_whose_returned_rows_could_not_be_checked_are_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    config = qwen3_moe()
    for name, value in changes.items():
        setattr(config, name, value)
    config.save_pretrained(tmp_path)
    tokenizer_of_letters().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=problem) as raised:
        read_served_model(str(tmp_path))
    assert str(tmp_path) in str(raised.value)


def test_rows_become_a_sequence_of_the_moe_layers_in_ascending_order(served: ServedModel) -> None:
    rows = right_rows()
    found = sequence(rows, served)
    assert found.experts.tolist() == np.sort(rows[:, [0, 2]], axis=2).tolist()
    assert found.experts.dtype == np.int16
    assert found.token_ids.tolist() == [*PROMPT_IDS, *PASSED_IDS]
    assert found.segments.tolist() == [0] * 5 + [1] * 3
    assert found.output == "abc"


def unwritten(rows: NDArray[Any]) -> NDArray[Any]:
    rows[2, 2] = 0
    return rows


def unwritten_generated(rows: NDArray[Any]) -> NDArray[Any]:
    rows = rows.astype(np.int32)
    rows[6:, 0] = -1
    return rows


def outside(rows: NDArray[Any]) -> NDArray[Any]:
    rows[1, 0] = [3, 10, 2]
    return rows


def dense(rows: NDArray[Any]) -> NDArray[Any]:
    rows[4, 1, 2] = 1
    return rows


def repeated(rows: NDArray[Any]) -> NDArray[Any]:
    rows[5:] = rows[5]
    return rows


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (unwritten, r"layer 2, prompt tokens, 1 of 5, such as \[0, 0, 0\].*never written"),
        (unwritten_generated, r"layer 0, generated tokens, 2 of 3, such as \[-1, -1, -1\].*never written"),
        (outside, r"layer 0, prompt tokens, 1 of 5, such as \[2, 3, 10\]: 3 distinct ids below 10"),
        (dense, "layer 1 holds expert ids and is dense"),
        (lambda rows: rows[:-1], r"shape \(7, 3, 3\), and .*\(8, 3, 3\) is expected"),
        (lambda rows: rows[:, :2], r"shape \(8, 2, 3\)"),
        (lambda rows: rows.astype(float), "float64, and integers"),
        (lambda _rows: None, "object, and integers"),
        (repeated, "all 3 generated tokens have the same experts"),
    ],
)
def test_rows_that_are_no_routing_are_refused(
    served: ServedModel, change: Callable[[NDArray[Any]], Any], problem: str
) -> None:
    with pytest.raises(ModelError, match=problem) as raised:
        sequence(change(right_rows()), served)
    assert str(raised.value).startswith("vllm returned no usable routing of prompt 'p7': ")


def test_equal_rows_of_equal_tokens_are_routing(served: ServedModel) -> None:
    """A model that repeats one token may well repeat its routing: 120² choices by chance give no reason to refuse."""
    same = np.full(3, 7, dtype=np.int32)
    assert len(sequence(repeated(right_rows()), served, passed_ids=same).experts) == 8


class Fixed(ServingEngine):
    """A serving engine that returns right rows of any length."""

    def run(self, prompts: Any, generation: Generation, **_options: Any) -> Any:
        for place, request in enumerate(self.requests(prompts, generation)):
            new = list(range(request.new_tokens))
            rows = right_rows(len(request.token_ids) + len(new) - 1)
            yield place, self.sequence(request, rows, new, generation)


@pytest.mark.parametrize(("new_tokens", "output"), [(0, ""), (1, "a"), (4, "a b c d")])
def test_the_last_generated_token_passes_no_router(served: ServedModel, new_tokens: int, output: str) -> None:
    engine, prompts = Fixed(served, {"engine": "fixed"}), [Prompt("abc", "x", id="p0")]
    assert engine.lengths(prompts, Generation(new_tokens)).tolist() == [3]
    ((_, found),) = engine.run(prompts, Generation(new_tokens))
    assert found.prompt_length == 3
    assert len(found.token_ids) == 3 + max(0, new_tokens - 1)
    assert found.output == output


def test_given_outputs_pass_the_routers_whole(served: ServedModel) -> None:
    engine, prompts = Fixed(served, {"engine": "fixed"}), [Prompt("abc", "x", id="p0", output="xy")]
    assert engine.given_lengths(prompts, engine.lengths(prompts, Generation())).tolist() == [2]
    ((_, found),) = engine.run(prompts, Generation())
    assert found.segments.tolist() == [0, 0, 0, 1, 1]
    assert found.output == "xy"


def test_a_serving_engine_says_what_it_cannot_give(served: ServedModel) -> None:
    engine = Fixed(served, {"engine": "fixed"})
    for capability in ("weights", "scores", "verify", "rules"):
        with pytest.raises(CaptureError, match=f"engine fixed does not offer {capability}"):
            require(engine, [capability])
    assert engine.description["selection_order"] == "ascending"


@pytest.mark.parametrize(("letters", "new_tokens"), [(128, 0), (127, 2)])
def test_a_prompt_beyond_the_context_is_refused(served: ServedModel, letters: int, new_tokens: int) -> None:
    """A serving engine generates one token at least."""
    engine = Fixed(served, {"engine": "fixed"})
    with pytest.raises(CaptureError, match=f"'long' has {letters} tokens: .*the context of 128"):
        engine.lengths([Prompt("a" * letters, "x", id="long")], Generation(new_tokens))
    shorter = Fixed(served, {"engine": "fixed"}, context=64)
    with pytest.raises(CaptureError, match=re.escape("the context of 64")):
        shorter.lengths([Prompt("a" * 64, "x", id="long")], Generation(1))


def test_a_k_that_differs_by_layer_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that come back have one k for all layers."""

    def other_k(*args: Any, **options: Any) -> Any:
        skeleton = build_skeleton(*args, **options)
        skeleton.model.layers[2].mlp.experts.config = SimpleNamespace(num_experts_per_tok=2)
        return skeleton

    monkeypatch.setattr("moexray.engines.serving.model.build_skeleton", other_k)
    with pytest.raises(ModelError, match="layer 2 selects 2 experts for a token and layer 0 3"):
        read_served_model(folder)
