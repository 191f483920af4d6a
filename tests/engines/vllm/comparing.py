"""What two engines recorded of the same prompts, compared: signatures, traces, texts."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moexray.engines.engine import Engine
from moexray.engines.transformers.engine import open_engine as open_transformers
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.signatures import Signatures
from moexray.trace import Trace

# The marks of tests that need a real vLLM; it warns, and what it needs does.
REAL = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        find_spec("vllm") is None,
        reason="vLLM is not installed: scripts/vllm_environment.sh FOLDER makes an environment for these tests",
    ),
]
# Enough for vLLM on a small CPU machine; prompts are computed in parts of 64 tokens.
OPTIONS: dict[str, Any] = {
    "enforce_eager": True,
    "kv_cache_memory_bytes": 2**26,
    "max_model_len": 256,
    "max_num_seqs": 4,
    "max_num_batched_tokens": 64,
    "disable_log_stats": False,
}


def record(engine: Engine, prompts: Sequence[Prompt], generation: Generation, folder: Path) -> Path:
    """Record signatures and a trace, and return the file of the former."""
    out = folder / f"{engine.description['engine']}.npz"
    capture_with(engine, prompts, generation, out=out, record=["trace"])
    return out


def outputs(engine: Engine, prompts: Sequence[Prompt], generation: Generation) -> list[Any]:
    """Return the routed sequences of prompts, in their order."""
    return [sequence for _, sequence in sorted(engine.run(prompts, generation), key=lambda one: one[0])]


def check_equal(engine: Engine, model: str, prompts: Sequence[Prompt], generation: Generation, folder: Path) -> None:
    """Check that an engine records what the transformers engine records, token by token, as sets of experts."""
    with open_transformers(model, dtype="float32", raw=True) as other:
        first, second = (record(one, prompts, generation, folder) for one in (engine, other))
        differing = differences(first, second)
        gaps = [gap_at(other, prompts, generation, *place) for place in differing[:5]]
    assert differing == [], f"gaps of router scores at the first of these: {gaps}"
    one, two = Signatures.open(first), Signatures.open(second)
    assert np.array_equal(one.counts, two.counts)
    assert list(one.prompts.outputs) == list(two.prompts.outputs)
    assert one.meta["fingerprint"] == two.meta["fingerprint"]


def differences(first: Path, second: Path) -> list[tuple[str, int, int]]:
    """Return prompt, position and layer of each row of two traces whose experts differ as sets."""
    rows = [list(_rows(path)) for path in (first, second)]
    assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]], "the traces are of other tokens"
    return [one[0] for one, two in zip(*rows, strict=True) if one[3] != two[3]]


def gap_at(engine: Engine, prompts: Sequence[Prompt], generation: Generation, *place: Any) -> float:
    """Return by how much the last selected expert of a token scores above the next one."""
    name, position, layer = place
    prompt = next(one for one in prompts if one.id == name)
    ((_, sequence),) = engine.run([prompt], generation, want=["scores"])
    where = engine.layout.layers.index(layer)
    scores = np.sort(sequence.scores[position, where].astype(np.float64))[::-1]
    k = engine.layout.top_k[where]
    return float(scores[k - 1] - scores[k])


def _rows(path: Path) -> Any:
    from pyarrow import parquet

    trace = path.with_suffix(".trace.parquet")
    Trace.open(trace, Signatures.open(path))
    columns = ["prompt", "position", "layer", "token_id", "phase", "experts"]
    table = parquet.read_table(trace, columns=columns).to_pydict()
    for name, position, layer, token, phase, experts in zip(*table.values(), strict=True):
        yield (name, position, layer), token, phase, sorted(experts)
