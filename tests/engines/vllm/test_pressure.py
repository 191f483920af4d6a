"""Routing stays right where vLLM throws out what it computed, and where several processes share the model."""

import os
from pathlib import Path

import numpy as np
import pytest

from moexray.engines.vllm.engine import VllmEngine, open_engine
from moexray.generation import Generation
from tests.engines.vllm.comparing import OPTIONS, REAL, check_equal, outputs
from tests.engines.vllm.served_models import save, texts

pytestmark = REAL

# Keys and values of six blocks of 128 tokens of the tiny OLMoE.
SIX_BLOCKS = 6 * 128 * 4 * 2 * 64 * 4


def test_routing_is_right_after_preemption(tmp_path: Path) -> None:
    """Eight texts grow beyond their first block of 128 tokens, and there are six blocks."""
    model = save(tmp_path, "olmoe")
    options = {**OPTIONS, "kv_cache_memory_bytes": SIX_BLOCKS, "max_num_seqs": 8, "max_model_len": 384}
    long = texts()[-1]
    prompts = [type(long)(f"{place} {long.text[:330]}", "a", id=f"p{place}") for place in range(12)]
    with open_engine(model, dtype="float32", raw=True, engine_options=options) as engine:
        assert engine.lengths(prompts, Generation(60)).max() < 128
        check_equal(engine, model, prompts, Generation(60, stop_at_eos=False), tmp_path)
        metrics = {one.name: one for one in engine._running._llm.get_metrics()}
        assert metrics["vllm:num_preemptions"].value > 0


def test_two_processes_that_share_a_model_record_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two processes on CPUs need two CPUs")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0|1")
    model = save(tmp_path, "olmoe")
    options = {**OPTIONS, "tensor_parallel_size": 2}
    with open_engine(model, dtype="float32", raw=True, engine_options=options) as engine:
        check_equal(engine, model, texts(), Generation(12, stop_at_eos=False), tmp_path)
        assert engine.description["engine_options"]["tensor_parallel_size"] == 2


def test_drawn_texts_depend_on_the_seed_and_the_prompt_alone(tmp_path: Path) -> None:
    """Prompts run whole: vLLM on CPUs fails with seeds where it splits them."""
    options = {**OPTIONS, "enable_chunked_prefill": False, "max_num_batched_tokens": 512}
    with open_engine(save(tmp_path, "olmoe"), dtype="float32", raw=True, engine_options=options) as engine:
        check_draws(engine)


def check_draws(engine: VllmEngine) -> None:
    prompts, generation = texts(6), Generation(8, stop_at_eos=False, temperature=1.0, seed=3)
    together = outputs(engine, prompts, generation)
    alone = [outputs(engine, [prompt], generation)[0] for prompt in prompts]
    assert [one.output for one in together] == [one.output for one in alone]
    assert all(np.array_equal(one.experts, two.experts) for one, two in zip(together, alone, strict=True))
    other = outputs(engine, prompts, Generation(8, stop_at_eos=False, temperature=1.0, seed=4))
    assert [one.output for one in together] != [one.output for one in other]
