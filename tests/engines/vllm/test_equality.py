"""A real vLLM records what the transformers engine records, in float32, whatever path a token takes in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moexray.engines.vllm.engine import VllmEngine, open_engine
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from tests.engines.vllm.comparing import OPTIONS, REAL, check_equal, outputs, record
from tests.engines.vllm.served_models import FAMILIES, save, texts

pytestmark = REAL


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def engine(model: str) -> Iterator[VllmEngine]:
    with open_engine(model, dtype="float32", raw=True, engine_options=OPTIONS) as opened:
        yield opened


def metric(engine: VllmEngine, name: str) -> float:
    assert engine._running is not None
    return sum(one.value for one in engine._running._llm.get_metrics() if one.name == name)


@pytest.mark.parametrize("new_tokens", [0, 1, 12])
def test_signatures_and_traces_are_those_of_transformers(
    engine: VllmEngine, model: str, tmp_path: Path, new_tokens: int
) -> None:
    """Twelve prompts, of which four run at once, one of them longer than what vLLM computes in a step."""
    check_equal(engine, model, texts(), Generation(new_tokens, stop_at_eos=new_tokens == 0), tmp_path)


def test_texts_end_at_the_same_token(engine: VllmEngine, model: str, tmp_path: Path) -> None:
    generation = Generation(12)
    check_equal(engine, model, texts(), generation, tmp_path)
    lengths = {len(sequence.token_ids) - sequence.prompt_length for sequence in outputs(engine, texts(), generation)}
    assert min(lengths) < 11, "no text ended early, so that nothing was tested"


def test_tokens_from_the_prefix_cache_have_their_routing(engine: VllmEngine, model: str, tmp_path: Path) -> None:
    long, generation = [texts()[-1]], Generation(4, stop_at_eos=False)
    outputs(engine, long, generation)
    before = metric(engine, "vllm:prefix_cache_hits")
    check_equal(engine, model, long, generation, tmp_path)
    assert metric(engine, "vllm:prefix_cache_hits") - before >= 128


def test_given_outputs_are_recorded_as_transformers_records_them(
    engine: VllmEngine, model: str, tmp_path: Path
) -> None:
    given = [Prompt(one.text, one.category, id=one.id, output=f" so {one.text[:30]}") for one in texts(6)]
    given = [*given[:4], *(Prompt(one.text, one.category, id=one.id, output=(5, 77, 9)) for one in given[4:])]
    check_equal(engine, model, given, Generation(), tmp_path)


def test_an_engine_that_was_left_early_runs_on(engine: VllmEngine) -> None:
    generation = Generation(12, stop_at_eos=False)
    running = engine.run(texts(), generation)
    next(running)
    running.close()
    assert len(outputs(engine, texts(), generation)) == len(texts())


def test_the_trace_says_that_there_are_no_gate_weights(engine: VllmEngine, tmp_path: Path) -> None:
    from pyarrow import parquet

    out = record(engine, texts(2), Generation(2), tmp_path)
    assert "gate_weights" not in parquet.read_schema(out.with_suffix(".trace.parquet")).names
    with pytest.raises(CaptureError, match="engine vllm does not offer weights"):
        capture_with(engine, texts(2), Generation(2), out=tmp_path / "no.npz", record=["weights"])


def test_a_prompt_beyond_the_length_that_was_asked_for_is_refused(engine: VllmEngine) -> None:
    with pytest.raises(CaptureError, match="context of 256"):
        engine.lengths([Prompt("word " * 256, "a", id="long")], Generation(4))
