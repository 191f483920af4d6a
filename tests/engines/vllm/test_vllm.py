"""The vLLM engine with a made vLLM: what it asks, and what it makes of every form of output and failure."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from moexray.engines.engine import open_engine
from moexray.engines.serving.model import ServedModel, read_served_model
from moexray.engines.vllm.engine import VllmEngine, seed_of
from moexray.engines.vllm.failures import cause_of
from moexray.engines.vllm.forms import check_form
from moexray.engines.vllm.options import check_options
from moexray.engines.vllm.process import RunningVllm
from moexray.errors import CaptureError, MissingExtra, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from tests.tiny_models import qwen3_moe, random_model, tokenizer_of_letters

END = 3
PROMPTS = [Prompt(text, "a", id=f"p{place}") for place, text in enumerate(["abcd", "h", "xyzuvw"])]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    folder = tmp_path_factory.mktemp("qwen3")
    model = random_model(qwen3_moe(), torch.float32)
    model.generation_config.eos_token_id = END
    model.save_pretrained(folder)
    tokenizer_of_letters().save_pretrained(folder)
    return read_served_model(str(folder))


class MadeVllm:
    """Answers in reverse order with rows of random experts; layer 1 is dense, the others have 10 experts and k = 3."""

    version, device = "0.30.0", "cpu"
    configuration = SimpleNamespace(dtype=torch.float32, quantization=None, max_model_len=64)

    def __init__(self, **changed: Any) -> None:
        self.changed = changed
        self.asked: dict[str, tuple[list[int], Mapping[str, Any]]] = {}
        self.waiting: list[str] = []
        self.aborted: list[str] = []
        self.is_closed = False

    def add(self, name: str, token_ids: Sequence[int], sampling: Mapping[str, Any]) -> None:
        self.asked[name] = list(token_ids), sampling
        self.waiting.append(name)

    def step(self) -> list[Any]:
        name = self.waiting.pop()
        token_ids, sampling = self.asked[name]
        new = list(range(5, 5 + sampling["max_tokens"]))
        rng = np.random.default_rng(len(token_ids))
        rows = np.argsort(rng.random((len(token_ids) + len(new) - 1, 3, 10)), axis=2)[:, :, :3].astype(np.uint8)
        rows[:, 1] = 0
        completion = {"token_ids": tuple(new), "finish_reason": "length", "routed_experts": rows, **self.changed}
        ran = completion.pop("prompt_token_ids", token_ids)
        return [SimpleNamespace(request_id=name, prompt_token_ids=ran, outputs=[SimpleNamespace(**completion)])]

    def abort(self, names: Sequence[str]) -> None:
        self.aborted += names

    def close(self) -> None:
        self.is_closed = True


def made(served: ServedModel, **changed: Any) -> tuple[VllmEngine, Any]:
    running: Any = MadeVllm(**changed)
    return VllmEngine(served, running, {"max_model_len": 64}), running


def test_every_prompt_is_yielded_as_soon_as_it_is_finished(served: ServedModel) -> None:
    engine, running = made(served)
    found = engine.run(PROMPTS, Generation(3))
    place, sequence = next(found)
    assert place == 2
    assert len(sequence.token_ids) == 6 + 2
    assert [place for place, _ in found] == [1, 0]
    assert running.aborted == []


def test_what_is_not_finished_is_aborted_where_a_run_is_left(served: ServedModel) -> None:
    engine, running = made(served)
    found = engine.run(PROMPTS, Generation(3))
    next(found)
    found.close()
    assert sorted(running.aborted) == ["1-0", "1-1"]
    engine.close()
    engine.close()
    assert running.is_closed
    with pytest.raises(CaptureError, match="is closed"):
        next(engine.run(PROMPTS, Generation(3)))


def test_tokens_are_sent_and_texts_end_where_transformers_ends_them(served: ServedModel) -> None:
    engine, running = made(served)
    list(engine.run(PROMPTS[:1], Generation(3)))
    token_ids, sampling = running.asked["1-0"]
    assert token_ids == [0, 1, 2, 3]
    assert sampling["stop_token_ids"] == [END]
    assert sampling["ignore_eos"] is True
    assert (sampling["temperature"], sampling["seed"], sampling["max_tokens"]) == (0.0, None, 3)
    drawn = Generation(0, stop_at_eos=False, temperature=0.5, top_p=0.9, seed=7)
    with pytest.raises(CaptureError, match=r"vLLM on CPUs fails with seeds .*enable_chunked_prefill"):
        list(engine.run(PROMPTS[:1], drawn))
    running.device = "cuda"
    list(VllmEngine(served, running, {}).run(PROMPTS[:1], drawn))
    _, sampling = running.asked["1-0"]
    assert sampling["stop_token_ids"] == []
    assert (sampling["top_p"], sampling["seed"], sampling["max_tokens"]) == (0.9, seed_of("p0", 7), 1)


def test_an_expert_takes_what_it_takes_in_transformers(served: ServedModel) -> None:
    """Caches and placements count in bytes."""
    engine, running = made(served)
    with open_engine("transformers", served.name, dtype="float32") as other:
        assert engine.description["expert_bytes"] == other.description["expert_bytes"]
    running.configuration = SimpleNamespace(dtype=torch.bfloat16, quantization="fp8", max_model_len=64)
    assert "expert_bytes" not in VllmEngine(served, running, {}).description


def test_seeds_differ_by_prompt_and_by_seed() -> None:
    assert len({seed_of(prompt, seed) for prompt in ("a", "b", "\ud800") for seed in (0, 1)}) == 6


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"routed_experts": None}, "returned no routed experts"),
        ({"finish_reason": "abort"}, "ended for the reason 'abort'"),
        ({"prompt_token_ids": [9]}, "other tokens than it was given"),
        ({"token_ids": (5, 6), "finish_reason": "stop"}, "has 2 new tokens and should end after 3"),
        ({"token_ids": (5, 6, 99_999)}, "generated token 99999, and the model has"),
        ({"token_ids": (5, 6, -5)}, "generated token -5"),
        ({"routed_experts": np.zeros((6, 3, 3), np.uint8)}, "layer 0, prompt tokens, 4 of 4.*never written"),
        ({"routed_experts": np.zeros((6, 2, 3), np.uint8)}, r"shape \(6, 2, 3\)"),
    ],
)
def test_outputs_without_usable_routing_are_refused(served: ServedModel, changed: dict[str, Any], problem: str) -> None:
    engine, _ = made(served, **changed)
    with pytest.raises(ModelError, match=f"'p0'.*{problem}"):
        list(engine.run(PROMPTS[:1], Generation(3)))


def test_the_form_of_newer_versions_is_the_same(served: ServedModel) -> None:
    """From 0.31 on, more than 256 experts come as uint16, and outputs have more fields."""
    engine, running = made(served)
    ((_, expected),) = engine.run(PROMPTS[:1], Generation(3))
    running.changed = {"metrics": {}}
    step = running.step

    def wider() -> list[Any]:
        found: list[Any] = step()
        found[0].outputs[0].routed_experts = found[0].outputs[0].routed_experts.astype(np.uint16)
        return found

    running.step = wider
    ((_, found),) = engine.run(PROMPTS[:1], Generation(3))
    assert np.array_equal(found.experts, expected.experts)


def test_a_capture_says_what_ran_and_writes_a_trace_without_weights(served: ServedModel, tmp_path: Path) -> None:
    from pyarrow import parquet

    engine, _ = made(served)
    found = capture_with(engine, PROMPTS, Generation(2), out=tmp_path / "s.npz", record=["trace", "coselection"])
    said = {name: found.meta[name] for name in ("engine", "engine_version", "dtype", "selection_order", "draws")}
    assert said == {
        "engine": "vllm",
        "engine_version": "0.30.0",
        "dtype": "float32",
        "selection_order": "ascending",
        "draws": "vllm",
    }
    assert found.meta["engine_options"] == {"max_model_len": 64}
    assert "gate_weights" not in parquet.read_schema(tmp_path / "s.trace.parquet").names
    for record, capability in (["trace", "weights"], "weights"), (["scores"], "scores"):
        with pytest.raises(CaptureError, match=f"engine vllm does not offer {capability}"):
            capture_with(engine, PROMPTS, Generation(2), out=tmp_path / "no.npz", record=record)
    with pytest.raises(CaptureError, match="engine vllm does not offer verify"):
        capture_with(engine, PROMPTS, Generation(2), verify=True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"pipeline_parallel_size": 2}, "no routing with pipeline parallelism"),
        ({"decode_context_parallel_size": 2}, "no routing with context parallelism"),
        ({"data_parallel_size": 2}, "a capture for each shard"),
        ({"kv_transfer_config": {"kv_connector": "x"}}, "comes without its routing"),
        ({"speculative_config": {"method": "ngram"}}, "was not tested"),
        ({"hf_overrides": {"num_experts_per_tok": 1}}, "changes the model"),
        ({"load_format": "dummy"}, "random weights"),
        ({"dtype": "float16"}, "give `dtype` instead"),
        ({"enable_return_routed_experts": False}, "leave it out"),
    ],
)
def test_options_that_break_recording_are_refused(options: dict[str, Any], problem: str) -> None:
    (name,) = options
    with pytest.raises(CaptureError, match=f"{name}.*{problem}"):
        check_options(options)
    check_options({"pipeline_parallel_size": 1, "kv_transfer_config": None, "tensor_parallel_size": 8})


def test_an_option_that_the_engine_does_not_take_is_refused() -> None:
    with pytest.raises(CaptureError, match="engine transformers takes no `engine_options`"):
        open_engine("transformers", "scale", engine_options={"max_model_len": 5})
    with pytest.raises(CaptureError, match="engine vllm takes no `device`"):
        open_engine("vllm", "scale", device="cpu")
    with pytest.raises(CaptureError, match="`dtype` is 'float64': engine vllm takes float32"):
        open_engine("vllm", "scale", dtype="float64")


class Old:
    """The classes of vLLM's outputs before 0.14."""

    class CompletionOutput:
        """Holds no routed experts."""

        token_ids: Sequence[int]

    class RequestOutput:
        """Holds outputs alone."""

        def __init__(self, outputs: Any) -> None:
            self.outputs = outputs


class OfVersion14(Old):
    """Those of 0.14 to 0.20."""

    class CompletionOutput:
        """Holds routed experts, which some requests lose."""

        routed_experts: Any


class OfVersion21(OfVersion14):
    """Those of 0.21."""

    class RequestOutput:
        """Holds the prompt's routed experts apart."""

        def __init__(self, outputs: Any, prompt_routed_experts: Any = None) -> None:
            self.outputs, self.prompt_routed_experts = outputs, prompt_routed_experts


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [(Old, "returns no routed experts"), (OfVersion14, "0.14 to 0.20"), (OfVersion21, "as 0.21 did")],
)
def test_versions_with_unusable_routed_experts_are_told_by_their_features(outputs: Any, problem: str) -> None:
    with pytest.raises(ModelError, match=f"vLLM 9.9.*{problem}.*install vllm>=0.28"):
        check_form(outputs, SimpleNamespace(), version="9.9")
    check_form(outputs, SimpleNamespace(routed_experts_prompt_start=0), version="0.30.0")


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module vllm; its `LLM` does what a test says."""
    module: Any = ModuleType("vllm")
    module.__version__ = "0.30.0"
    module.SamplingParams = SimpleNamespace(routed_experts_prompt_start=0)
    outputs = ModuleType("vllm.outputs")
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.outputs", outputs)
    return module


def failing(error: Exception, log: str = "") -> Any:
    def start(**_options: Any) -> None:
        print("INFO a line of vLLM")
        sys.stdout.flush()
        import os

        os.write(2, log.encode())
        raise error

    return start


# What a process of vLLM logs as it dies, and then what is raised here.
LOGGED = """(EngineCore pid=7) ERROR 11-26 21:00:00 [core.py:1] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-26 21:00:00 [core.py:1]   File "x.py", line 1, in y
(EngineCore pid=7) ERROR 11-26 21:00:00 [core.py:1] ValueError: No supported MoE router found for capture.
(EngineCore pid=7) Exception: WorkerProc initialization failed. See stack trace for root cause.
"""


@pytest.mark.parametrize(
    ("error", "log", "problem"),
    [
        (ValueError("is incompatible with pipeline parallelism (PP > 1)."), "", "pipeline parallelism"),
        (RuntimeError("Engine core failed. See root cause above."), LOGGED, "No supported MoE router found"),
        (RuntimeError("Engine core failed. See root cause above."), "", "ended without saying why"),
        (RuntimeError("CUDA out of memory. Tried to"), "", "lower gpu_memory_utilization"),
        (RuntimeError("see root cause above"), "torch.OutOfMemoryError: CUDA out of memory.\n", "does not fit"),
    ],
)
def test_what_vllm_raises_at_start_is_one_sentence(
    vllm: Any, capfd: pytest.CaptureFixture[str], error: Exception, log: str, problem: str
) -> None:
    vllm.LLM = failing(error, log)
    with pytest.raises(ModelError, match=f"model tiny could not be started in vLLM 0.30.0: .*{problem}") as raised:
        RunningVllm("tiny", {"model": "tiny"})
    named = Path(str(raised.value).rpartition("its log is ")[2].rstrip(")"))
    assert log in named.read_text(encoding="utf-8")
    named.unlink()
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_an_option_that_vllm_does_not_know_is_told_in_its_words(vllm: Any) -> None:
    vllm.LLM = failing(TypeError("EngineArgs.__init__() got an unexpected keyword argument 'speed'"))
    with pytest.raises(CaptureError, match=r"`engine_options`: .* unexpected keyword argument 'speed'"):
        RunningVllm("tiny", {"speed": 9})


def test_pydantics_errors_are_told_without_its_own_words(tmp_path: Path) -> None:
    error = ValueError("1 validation error for VllmConfig\n  Value error, x")
    error.errors = lambda: [{"loc": ("block_size",), "msg": "Value error, must be\npositive"}]  # type: ignore[attr-defined]
    assert cause_of(error, tmp_path / "none.log") == "block_size: must be positive"


def test_a_missing_vllm_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtra, match=r"engine vllm needs vllm: pip install 'moexray\[vllm\]'"):
        open_engine("vllm", "scale")
