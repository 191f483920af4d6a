"""A study of batches counts what every batch of a trace would read."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray import example
from moexray.errors import AnalysisError
from moexray.routed_tokens import RoutedTokens
from moexray.signatures import Signatures
from moexray.studies import batch_counts
from moexray.studies.batch_report import Batching
from moexray.studies.batching import study_batches
from moexray.trace import Trace

from .. import made


@pytest.fixture(scope="module")
def made_trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    path = tmp_path_factory.mktemp("trace") / "trace.parquet"
    return Trace.open(path, made.trace(path, prompts=9, k=(2, 3, 1)))


@pytest.fixture(scope="module")
def of_example() -> Batching:
    return study_batches(example().trace)


def test_a_decoding_step_reads_what_every_batch_of_it_reads(made_trace: Trace) -> None:
    tokens = RoutedTokens.joined(list(made_trace.blocks()))
    last = tokens.take(tokens.generated)
    found = study_batches(made_trace, sizes=(1, 3, 9))
    for size, place in ((1, 0), (3, 1), (9, 2)):
        for layer, one in enumerate(found.layers):
            unions = [
                len(set(last.experts[step::4][list(some), layer].ravel().tolist()) - {-1})
                for step in range(4)
                for some in combinations(range(9), size)
            ]
            assert one.observed[place] == pytest.approx(np.mean(unions))
    assert [one.observed[0] for one in found.layers] == pytest.approx([2, 3, 1])
    assert found.mean.observed[0] == pytest.approx(2)
    assert found.mean.batches == (4, 4, 4)


def test_a_chunk_reads_what_every_window_of_a_prompt_reads(made_trace: Trace) -> None:
    found = study_batches(made_trace, sizes=(1, 4), tokens="prompt")
    unions = []
    for block in made_trace.blocks():
        of_prompt = block.take(~block.generated)
        for prompt in np.unique(of_prompt.prompts):
            experts = of_prompt.experts[of_prompt.prompts == prompt][:, 1]
            unions += [len(set(experts[i : i + 4].ravel().tolist()) - {-1}) for i in range(len(experts) - 3)]
    assert found.prefill is not None
    assert found.prefill.layers[1].observed[1] == pytest.approx(np.mean(unions))
    assert found.prefill.mean.batches[1] == len(unions)
    assert found.mean.observed == (None, None)
    assert "generated" in found.notes["layers"]


def test_the_embedded_model_reads_what_independent_draws_found(of_example: Batching) -> None:
    """47.4, 50.0 and 56.4 distinct experts of 16 prompts were the means of 60 draws at random, all layers together."""
    place = of_example.mean.sizes.index(16)
    found = of_example.mean
    assert [found.observed[place], found.load_matched[place], found.uniform[place]] == pytest.approx(
        [47.4, 50.0, 56.4], abs=0.1
    )
    assert found.skew[place] == pytest.approx(56.4 - 50.0, abs=0.1)
    assert found.correlation[place] == pytest.approx(50.0 - 47.4, abs=0.1)


def test_curves_start_at_k_and_never_exceed_what_there_is(of_example: Batching) -> None:
    assert of_example.prefill is not None
    for layers in (of_example.layers, of_example.prefill.layers):
        for one in layers:
            there = [value for value in one.observed if value is not None]
            sizes = np.array(one.sizes[: len(there)])
            assert there[0] == pytest.approx(one.top_k)
            assert (np.diff(there) > 0).all()
            assert (np.array(there) <= np.minimum(one.experts, one.top_k * sizes) + 1e-9).all()
            assert (one.load_matched[0], one.uniform[0]) == pytest.approx((one.top_k, one.top_k))


def test_sizes_beyond_the_prompts_are_null_and_noted(of_example: Batching) -> None:
    assert of_example.mean.observed[-2:] == (None, None)
    assert of_example.mean.load_matched[-2:] == (None, None)
    assert "no batches of 128 and 256" in of_example.notes["layers"]
    assert "64, 128 and 256" in of_example.notes["prefill"]


def test_bytes_are_distinct_experts_times_their_size(of_example: Batching) -> None:
    assert of_example.bytes is None
    assert "expert_bytes" in of_example.notes["bytes"]
    found = study_batches(example().trace, sizes=(16,), expert_bytes=1000).bytes
    assert found is not None
    assert found.all == 16 * 64 * 1000
    place = of_example.mean.sizes.index(16)
    assert found.decode[0] == pytest.approx(1000 * sum(one.observed[place] or 0 for one in of_example.layers))
    low, high = found.decode_ci[0] or (0, 0)
    ci = of_example.mean.observed_ci[place] or (0, 0)
    assert (low, high) == pytest.approx((16_000 * ci[0], 16_000 * ci[1]))


def test_layers_of_other_sizes_are_weighted_by_their_own_bytes(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "t.parquet", k=(2, 3, 1)).replace(meta={"expert_bytes": [10, 100, 1000]})
    found = study_batches(Trace.open(tmp_path / "t.parquet", signatures), sizes=(1,)).bytes
    assert found is not None
    assert found.decode[0] == pytest.approx(2 * 10 + 3 * 100 + 1 * 1000)


def test_less_memory_counts_fewer_steps_and_says_so(made_trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_counts, "_MOST_CELLS", 1)
    monkeypatch.setattr(batch_counts, "_FEWEST_STEPS", 2)
    found = study_batches(made_trace, sizes=(2,))
    assert found.mean.batches == (2,)
    assert "2 of 4 steps" in found.notes["steps"]


def test_names_of_experts_change_nothing(tmp_path: Path) -> None:
    """The study of a trace whose experts have other names, in every layer."""
    signatures = made.trace(tmp_path / "t.parquet")
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    order = np.random.default_rng(0).permutation(8)
    table["experts"] = [order[experts].tolist() for experts in table["experts"]]
    parquet.write_table(pa.table(table), tmp_path / "renamed.parquet")
    counts = np.empty_like(signatures.counts)
    counts[..., order] = signatures.counts
    renamed = study_batches(Trace.open(tmp_path / "renamed.parquet", signatures.replace(counts=counts)), sizes=(2, 8))
    plain = study_batches(Trace.open(tmp_path / "t.parquet", signatures), sizes=(2, 8))
    assert renamed.mean.observed == pytest.approx(plain.mean.observed)
    assert renamed.mean.load_matched == pytest.approx(plain.mean.load_matched)


def with_rows(path: Path, signatures: Signatures, change: Callable[[int, list[int]], list[int]]) -> Signatures:
    """Change the experts of each layer's rows in a trace, and return signatures that count them."""
    table = parquet.read_table(path).to_pydict()
    places = {layer: place for place, layer in enumerate(signatures.layers.tolist())}
    prompts = {name: place for place, name in enumerate(signatures.prompts.ids)}
    table["experts"] = [
        change(places[layer], experts) for layer, experts in zip(table["layer"], table["experts"], strict=True)
    ]
    table["gate_weights"] = [[1.0] * len(experts) for experts in table["experts"]]
    counts = np.zeros_like(signatures.counts)
    rows = zip(table["prompt"], table["phase"], table["layer"], table["experts"], strict=True)
    for prompt, phase, layer, experts in rows:
        counts[prompts[prompt], int(phase == "generated"), places[layer], experts] += 1
    schema = parquet.read_schema(path)
    parquet.write_table(pa.table(table, schema=schema), path)
    return Signatures(
        counts=counts,
        tokens=signatures.tokens,
        prompts=signatures.prompts,
        layers=signatures.layers,
        top_k=signatures.top_k,
        experts=np.array([8, 4, 8], dtype=np.int16),
        meta={"router_may_drop": True},
    )


def test_layers_of_unequal_size_and_dropped_selections_are_counted_as_they_are(tmp_path: Path) -> None:
    """The second layer has four experts, and its router drops every token that it would send to the last of them."""
    path = tmp_path / "t.parquet"
    plain = made.trace(path, prompts=9, k=(2, 1, 1))

    def narrow(place: int, experts: list[int]) -> list[int]:
        return [one % 4 for one in experts if one % 4 < 3] if place == 1 else experts

    trace = Trace.open(path, with_rows(path, plain, narrow))
    found = study_batches(trace, sizes=(1, 3, 9), tokens="generated", group_size=3)
    tokens = RoutedTokens.joined(list(trace.blocks()))
    k = float((tokens.take(tokens.generated).experts[:, 1] >= 0).sum(axis=1).mean())
    assert 0 < k < 1
    first, second, _ = found.layers
    assert (first.experts, second.experts) == (8, 4)
    assert (first.observed[0], second.observed[0]) == pytest.approx((2, k))
    assert second.uniform[2] == pytest.approx(4 * (1 - (1 - k / 4) ** 9))
    assert (second.observed[2] or 0) <= 3
    assert found.mean.share[0] == pytest.approx((2 + k + 1) / 20)
    assert found.grouping is not None
    assert found.grouping.random.experts == pytest.approx(found.mean.observed[1])


def test_prompts_that_end_early_leave_fewer_steps_to_larger_batches(tmp_path: Path) -> None:
    """The first four of nine prompts lose their last two generated tokens."""
    path = tmp_path / "t.parquet"
    signatures = made.trace(path, prompts=9)
    table = parquet.read_table(path)
    rows = table.to_pydict()
    last = {
        name: max(p for n, p in zip(rows["prompt"], rows["position"], strict=True) if n == name)
        for name in rows["prompt"]
    }
    short = [f"p{i}" for i in range(4)]
    kept = [
        not (name in short and position > last[name] - 2)
        for name, position in zip(rows["prompt"], rows["position"], strict=True)
    ]
    counts, tokens = signatures.counts.copy(), signatures.tokens.copy()
    places = {layer: place for place, layer in enumerate(signatures.layers.tolist())}
    for keep, name, layer, experts in zip(kept, rows["prompt"], rows["layer"], rows["experts"], strict=True):
        if not keep:
            counts[int(name[1:]), 1, places[layer], experts] -= 1
    tokens[:4, 1] -= 2
    parquet.write_table(table.filter(pa.array(kept)), path)
    found = study_batches(
        Trace.open(path, signatures.replace(counts=counts, tokens=tokens)), sizes=(2, 5, 6), group_size=2
    )
    assert found.mean.batches == (4, 4, 2)
    assert "4 steps with 2 prompts, 2 with 6" in found.notes["mean.batches"]
    assert found.grouping is not None
    assert (found.grouping.prompts, found.grouping.steps) == (5, 4)  # 5 · 4 tokens are more than 9 · 2


def test_groups_are_left_out_whole(tmp_path: Path) -> None:
    """Were prompts of one group left out one by one, an interval would be of 24 prompts, not of six groups."""
    path = tmp_path / "t.parquet"
    found = []
    for groups in (None, [f"g{i // 4}" for i in range(24)]):
        signatures = made.trace(path, groups=groups)
        found.append(study_batches(Trace.open(path, signatures), sizes=(4,), group_size=4))
    assert [one.units for one in found] == [24, 6]
    assert found[0].mean.observed == found[1].mean.observed
    assert found[0].mean.observed_ci != found[1].mean.observed_ci


def test_a_result_is_saved_and_read_again(of_example: Batching, tmp_path: Path) -> None:
    of_example.save(tmp_path / "batch.json")
    assert Batching.load(tmp_path / "batch.json") == of_example
    assert of_example.belongs_to(example().signatures)
    assert "64 prompts read 61.2 experts a layer" in repr(of_example)


@pytest.mark.parametrize("sizes", [(), (0,), (4, -1)])
def test_sizes_are_positive(made_trace: Trace, sizes: tuple[int, ...]) -> None:
    with pytest.raises(AnalysisError, match="sizes"):
        study_batches(made_trace, sizes=sizes)


def test_two_prompts_of_a_category_have_no_interval(tmp_path: Path) -> None:
    signatures = made.trace(tmp_path / "t.parquet", prompts=4)
    found = study_batches(Trace.open(tmp_path / "t.parquet", signatures), sizes=(2,))
    assert found.mean.observed_ci == (None,)
    assert "fewer than three" in found.notes["ci"]
    assert isinstance(signatures, Signatures)
