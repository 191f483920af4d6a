"""Batch-aware routing is replayed from router scores, exactly where it can be, and refused without them."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray import example
from moexray.errors import AnalysisError, TraceError
from moexray.studies.batch_report import Batching
from moexray.studies.batching import study_batches
from moexray.trace import Trace

from .. import made


def trace_with_scores(path: Path, *, prompts: int = 10, router: str = "probabilities") -> Trace:
    """Return a trace whose selected experts have the greatest scores, in the order that they are listed in."""
    signatures = made.trace(path, prompts=prompts, k=3)
    table, rng = parquet.read_table(path).to_pydict(), np.random.default_rng(0)
    scores = np.sort(rng.dirichlet(np.ones(8), size=len(table["experts"])), axis=1)[:, ::-1].astype(np.float16)
    table["scores"] = []
    for experts, row in zip(table["experts"], scores, strict=True):
        others = [expert for expert in range(8) if expert not in experts]
        of_row = np.empty(8, dtype=np.float16)
        of_row[[*experts, *others]] = row
        table["scores"].append(of_row)
    schema = pa.schema({**{name: pa.array(value).type for name, value in table.items() if name != "scores"}})
    schema = schema.append(pa.field("scores", pa.list_(pa.float16())))
    parquet.write_table(pa.table(table, schema=schema), path)
    return Trace.open(path, signatures.replace(meta={"model": "made-up", "router_scores": router}))


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return trace_with_scores(tmp_path_factory.mktemp("scores") / "t.parquet")


@pytest.fixture(scope="module")
def found(trace: Trace) -> Batching:
    return study_batches(trace, sizes=(1, 4, 32), group_size=3, policy="oea:k0=1")


def test_distinct_experts_are_those_of_every_batch(trace: Trace, found: Batching) -> None:
    """The first expert of every row is the one of the greatest score."""
    assert found.policy is not None
    unions = []
    for block in trace.blocks():
        last = block.take(block.generated)
        first = last.experts[..., 0].reshape(-1, 4, 3)
    unions = [
        len(set(first[list(some), step, layer]))
        for some in combinations(range(10), 4)
        for step in range(4)
        for layer in range(3)
    ]
    assert found.policy.distinct[1] == pytest.approx(np.mean(unions))
    assert found.policy.model[1] == pytest.approx(found.mean.observed[1])
    assert found.policy.difference[1] == pytest.approx(found.policy.distinct[1] - found.policy.model[1])


def test_one_prompt_keeps_k0_and_sizes_beyond_the_prompts_are_null(found: Batching) -> None:
    assert found.policy is not None
    assert (found.policy.distinct[0], found.policy.experts[0]) == pytest.approx((1, 1))
    assert found.policy.kept[0] == pytest.approx(1 / 3)
    assert found.policy.distinct[2] is None
    assert found.policy.kept[2] is None
    assert found.policy.mass is not None
    assert 1 / 3 < found.policy.mass[0] < found.policy.mass[1] <= 1


def test_keeping_all_k_changes_nothing(trace: Trace) -> None:
    same = study_batches(trace, sizes=(4,), group_size=3, policy="oea:k0=3").policy
    assert same is not None
    assert same.distinct == same.model
    assert same.kept == pytest.approx((1,))
    assert same.difference == (0,)


def test_the_draws_depend_on_the_seed_alone(trace: Trace, found: Batching) -> None:
    again, other = (
        study_batches(trace, sizes=(1, 4, 32), group_size=3, policy="oea:k0=1", seed=seed).policy for seed in (0, 1)
    )
    assert again == found.policy
    assert other is not None
    assert found.policy is not None
    assert other.distinct == found.policy.distinct
    assert other.kept != found.policy.kept


def test_scores_that_are_no_probabilities_have_no_mass(tmp_path: Path) -> None:
    trace = trace_with_scores(tmp_path / "t.parquet", router="other")
    policy = study_batches(trace, sizes=(4,), group_size=3, policy="oea:k0=1").policy
    assert policy is not None
    assert policy.mass is None


def test_a_trace_without_scores_says_how_to_record_them() -> None:
    with pytest.raises(TraceError, match="capture --record scores"):
        study_batches(example().trace, policy="oea:k0=3")


@pytest.mark.parametrize("policy", ["oea", "oea:k0=0", "oea:k0=4", "oea:k0=-1", "xshare:k0=1", "oea:k0=3;"])
def test_rules_that_there_are_not_are_refused(trace: Trace, policy: str) -> None:
    with pytest.raises(AnalysisError, match="policy"):
        study_batches(trace, policy=policy)


def test_a_result_is_saved_and_read_again(found: Batching, tmp_path: Path) -> None:
    found.save(tmp_path / "batch.json")
    assert Batching.load(tmp_path / "batch.json") == found


def test_too_few_prompts_say_so_of_the_rule_as_well(tmp_path: Path) -> None:
    found = study_batches(trace_with_scores(tmp_path / "t.parquet", prompts=4), sizes=(2,), policy="oea:k0=1")
    assert found.policy is None
    assert "two batches of 8 prompts" in found.notes["policy"]
