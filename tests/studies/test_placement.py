"""A study of placements scores each on prompts that it was not learnt on, and counts what an explicit loop counts."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.errors import AnalysisError, MoexrayError, NotComputable, TraceError
from moexray.examples import example
from moexray.signatures import Signatures
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.studies import placement_task
from moexray.studies.halves import halves_of
from moexray.studies.placement import place
from moexray.studies.placement_results import Measure, PlacementScore, PlacementStudy
from moexray.trace import Trace

from .. import made

NAMES = ["contiguous", "round_robin", "random", "eplb", "coactivation", "graph", "categories"]


def opened(path: Path, **options: object) -> tuple[Signatures, Trace]:
    signatures = made.trace(path, **options)  # type: ignore[arg-type]
    return signatures, Trace.open(path, signatures)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signatures, Trace]:
    """Return 48 prompts of two categories, routed by token and category: three layers of 8 experts, 2 a token."""
    return opened(tmp_path_factory.mktemp("placement") / "made.parquet", prompts=48, category=1.5)


@pytest.fixture(scope="module")
def study(recorded: tuple[Signatures, Trace]) -> PlacementStudy:
    signatures, trace = recorded
    return place(signatures, devices=4, trace=trace, batch=4)


def measures(study: PlacementStudy) -> Iterator[tuple[str, str, Measure | None]]:
    for name, score in study.placements.items():
        for one in () if score is None else fields(PlacementScore):
            yield name, one.name, getattr(score, one.name)


def test_every_placement_has_every_measure_and_its_interval(study: PlacementStudy) -> None:
    assert list(study.placements) == NAMES
    assert study.notes == {}
    for name, key, measure in measures(study):
        if key == "nodes_touched":
            assert measure is None
            continue
        assert measure is not None, (name, key)
        low, high = measure.range if name == "random" else measure.ci
        assert low <= measure.value <= high or name == "random"
        assert (measure.ci is None) == (name == "random")


@pytest.mark.parametrize("tokens", ["all", "prompt", "generated"])
@pytest.mark.parametrize("name", ["contiguous", "eplb", "coactivation"])
def test_a_score_is_an_explicit_count_over_the_scored_half(
    recorded: tuple[Signatures, Trace], name: str, tokens: str
) -> None:
    signatures, trace = recorded
    study = place(signatures, devices=4, trace=trace, batch=4, tokens=tokens, placement=name)
    device = [{e: d for d, held in enumerate(layer.devices) for e in held} for layer in study.map.layers]
    scored = halves_of(signatures.prompts.categories, None, 0).scored
    touched = visits = moved = remote = 0.0
    loads = np.zeros((3, 4))
    for block in trace.blocks():
        some = block.select(tokens)
        for prompt, experts in zip(some.prompts.tolist(), some.experts.tolist(), strict=True):
            if prompt not in scored:
                continue
            for layer, chosen in enumerate(experts):
                on = [device[layer][expert] for expert in chosen]
                np.add.at(loads[layer], on, 1)
                visits += 1
                touched += len(set(on))
                remote += 1 - (len(set(on)) == 1) / 4
                if layer:
                    moved += on[0] != device[layer - 1][experts[layer - 1][0]]
    score = study.placements[name]
    assert score.devices_touched.value == pytest.approx(touched / visits)
    assert score.remote.value == pytest.approx(remote / visits)
    assert score.moves.value == pytest.approx(moved / (visits * 2 / 3))
    assert score.balancedness.value == pytest.approx((loads.mean(axis=1) / loads.max(axis=1)).mean())
    assert loads.sum() == visits * 2


def test_an_interval_leaves_out_each_scored_prompt(recorded: tuple[Signatures, Trace]) -> None:
    signatures, trace = recorded
    study = place(signatures, devices=4, trace=trace, batch=4)
    halves = halves_of(signatures.prompts.categories, None, 0)
    sums = np.zeros((48, 2))
    for block in trace.blocks():
        np.add.at(
            sums[:, 0], block.prompts, (1 + (block.experts[..., 0] // 2 != block.experts[..., 1] // 2)).sum(axis=1)
        )
        np.add.at(sums[:, 1], block.prompts, 3)
    mine = sums[halves.scored]
    left = np.array([(mine.sum(axis=0) - one)[0] / (mine.sum(axis=0) - one)[1] for one in mine])
    numbers = np.array([signatures.prompts.categories[row] == "kind 1" for row in halves.scored], dtype=int)
    found = study.placements["contiguous"].devices_touched
    assert found.ci == pytest.approx(jackknife_interval(found.value, left, numbers))


def test_uniform_routing_gives_the_closed_form_under_every_placement(tmp_path: Path) -> None:
    """Nothing is to be learnt where tokens select at random; random placements agree with it on any routing."""
    scores = np.random.default_rng(0).random((240, 40, 2, 16))
    signatures = uniform_trace(tmp_path / "t.parquet", np.argsort(scores, axis=3)[..., :4])
    study = place(signatures, devices=4, trace=Trace.open(tmp_path / "t.parquet", signatures))
    expected = 4 * (1 - (12 * 11 * 10 * 9) / (16 * 15 * 14 * 13))
    assert study.closed_form.devices_touched == pytest.approx(expected)
    for name in NAMES:
        assert study.placements[name].devices_touched.value == pytest.approx(expected, abs=0.02), name
        assert study.placements[name].moves.value == pytest.approx(0.75, abs=0.02), name


def uniform_trace(
    path: Path,
    experts: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    experts_of: tuple[int, ...] | None = None,
) -> Signatures:
    """Write a trace of these selections ``(prompts, tokens, layers, k)``, −1 for none, and return its signatures."""
    prompts, tokens, layers, k = experts.shape
    ids = np.repeat([f"p{i}" for i in range(prompts)], tokens * layers)
    rows = [[one for one in row if one >= 0] for row in experts.reshape(-1, k).tolist()]
    weighed = [[0.5] * len(row) for row in rows] if weights is None else weights.reshape(-1, k).tolist()
    columns = {
        "prompt": pa.array(ids.tolist()).dictionary_encode(),
        "position": pa.array(np.tile(np.repeat(np.arange(tokens), layers), prompts), pa.int32()),
        "token_id": pa.array(np.zeros(len(ids)), pa.int32()),
        "phase": pa.array(["prompt"] * len(ids)).dictionary_encode(),
        "layer": pa.array(np.tile(np.arange(layers), prompts * tokens), pa.int16()),
        "experts": pa.array(rows, pa.list_(pa.int16())),
        "gate_weights": pa.array(weighed, pa.list_(pa.float32())),
    }
    parquet.write_table(pa.table(columns), path)
    width = int(experts.max()) + 1
    counts = np.zeros((prompts, 2, layers, width + 1), dtype=np.uint16)  # the last column takes what is no selection
    np.add.at(counts[:, 0], (np.arange(prompts)[:, None, None, None], np.arange(layers)[:, None], experts), 1)
    return made.signatures(
        counts=counts[..., :width],
        tokens=(tokens, 0),
        layers=range(layers),
        experts=width if experts_of is None else experts_of,
        top_k=k,
        meta={"router_may_drop": True} if (experts < 0).any() else None,
    )


def test_random_placements_of_example_data_touch_what_the_closed_form_says() -> None:
    """The mean over placements is the closed form whatever the routing: 200 draws come within their error."""
    signatures, trace = example()
    study = place(signatures, devices=4, trace=trace)
    found = study.placements["random"].devices_touched
    assert found.value == pytest.approx(3.659, abs=0.005)
    assert found.range[0] < 3.659 < found.range[1]
    assert study.placements["eplb"].balancedness.value > 0.95
    assert study.placements["coactivation"].devices_touched.ci[1] < 3.1
    assert study.placements["coactivation"].balancedness.ci[1] < study.placements["contiguous"].balancedness.ci[0]


def test_the_top_expert_is_that_of_the_largest_weight_wherever_it_stands(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    experts = np.argsort(rng.random((24, 10, 3, 8)), axis=3)[..., :2]
    weights = rng.random(experts.shape)
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    order = np.argsort(-weights, axis=3)
    found = []
    for place_of, parts in (
        (path, (experts, weights)),
        (other, tuple(np.take_along_axis(one, order, axis=3) for one in (experts, weights))),
    ):
        signatures = uniform_trace(place_of, *parts)
        study = place(signatures, devices=4, trace=Trace.open(place_of, signatures), batch=4)
        found.append({name: score.moves for name, score in study.placements.items()})
    assert found[0] == found[1]


def test_without_gate_weights_moves_are_not_known(recorded: tuple[Signatures, Trace], tmp_path: Path) -> None:
    signatures, trace = recorded
    table = parquet.read_table(trace.path).drop_columns(["gate_weights"])
    parquet.write_table(table, tmp_path / "t.parquet")
    study = place(signatures, devices=4, trace=Trace.open(tmp_path / "t.parquet", signatures), batch=4)
    assert all(score.moves is None for score in study.placements.values())
    assert study.notes == {"moves": "the trace has no gate weights, so the top expert of a token is not known"}
    assert study.placements["eplb"].devices_touched is not None


@pytest.mark.parametrize("broken", [[1.0], [float("nan"), 1.0], [-0.5, 1.0], None])
def test_damaged_gate_weights_are_refused(
    recorded: tuple[Signatures, Trace], tmp_path: Path, broken: list[float] | None
) -> None:
    signatures, trace = recorded
    table = parquet.read_table(trace.path)
    weights = table.column("gate_weights").to_pylist()
    weights[7] = broken
    column = table.schema.get_field_index("gate_weights")
    table = table.set_column(column, "gate_weights", pa.array(weights, pa.list_(pa.float32())))
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TraceError, match="gate weight"):
        place(signatures, devices=4, trace=Trace.open(tmp_path / "t.parquet", signatures))


def test_a_trace_in_many_blocks_gives_the_same(
    recorded: tuple[Signatures, Trace], study: PlacementStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read again for each pass, where it does not fit memory, and in small parts."""
    signatures, trace = recorded
    monkeypatch.setattr("moexray.studies.trace_blocks.MOST_HELD", 0)
    monkeypatch.setattr("moexray.trace_file._MOST_ROWS", 100)
    again = place(signatures, devices=4, trace=trace, batch=4)
    assert again.to_json() == study.to_json()


def test_a_sample_of_tokens_serves_random_placements(
    recorded: tuple[Signatures, Trace], study: PlacementStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures, trace = recorded
    monkeypatch.setattr(placement_task, "SAMPLE", 200)
    sampled = place(signatures, devices=4, trace=trace, batch=4)
    before, after = (one.placements["random"].devices_touched for one in (study, sampled))
    assert after.value != before.value
    assert after.value == pytest.approx(before.value, abs=0.06)
    assert {name: score for name, score in sampled.placements.items() if name != "random"} == {
        name: score for name, score in study.placements.items() if name != "random"
    }


def test_drift_is_learnt_on_one_category_and_scored_on_each(
    recorded: tuple[Signatures, Trace], study: PlacementStudy
) -> None:
    signatures, _ = recorded
    kinds = ("kind 0", "kind 1")
    assert [(one.placement, one.learnt, one.scored) for one in study.drift] == [
        (name, learnt, scored) for name in ("coactivation", "eplb") for learnt in kinds for scored in kinds
    ]
    found = {(one.placement, one.learnt, one.scored): one for one in study.drift}
    for one in study.drift:
        assert one.balancedness.ci is not None
        assert one.devices_touched.ci is not None
    for learnt, other in (kinds, kinds[::-1]):
        own, foreign = found["coactivation", learnt, learnt], found["coactivation", learnt, other]
        assert own.devices_touched.value < foreign.devices_touched.value
    # EPLB of one category's learnt half, on the other category's scored half, from the signatures alone.
    halves = halves_of(signatures.prompts.categories, None, 0)
    from moexray.stats.workloads.eplb import eplb

    kind = np.array(signatures.prompts.categories)
    learnt = signatures.loads()[[row for row in halves.learnt if kind[row] == "kind 0"]].sum(axis=0)
    scored = signatures.loads()[[row for row in halves.scored if kind[row] == "kind 1"]].sum(axis=0)
    by_device = np.stack([scored[layer][held].sum(axis=1) for layer, held in enumerate(eplb(learnt, devices=4))])
    expected = (by_device.mean(axis=1) / by_device.max(axis=1)).mean()
    assert found["eplb", "kind 0", "kind 1"].balancedness.value == pytest.approx(expected)


def test_nothing_of_the_scored_half_is_learnt(recorded: tuple[Signatures, Trace]) -> None:
    """Whatever the scored prompts select, the maps stay as they are."""
    signatures, _ = recorded
    halves = halves_of(signatures.prompts.categories, None, 0)
    counts = signatures.counts.copy()
    counts[halves.scored] = counts[halves.scored][..., ::-1]
    changed = signatures.replace(counts=counts)
    for name in ("eplb", "categories"):
        maps = [place(one, devices=4, placement=name).map for one in (signatures, changed)]
        assert maps[0] == maps[1]
    scores = [place(one, devices=4).placements["eplb"].balancedness for one in (signatures, changed)]
    assert scores[0].value > scores[1].value


def test_prompts_of_one_group_are_in_one_half(tmp_path: Path) -> None:
    groups = [f"g{i // 4}" for i in range(48)]
    signatures, trace = opened(tmp_path / "t.parquet", prompts=48, groups=groups)
    study = place(signatures, devices=4, trace=trace, batch=4)
    assert (study.learnt, study.scored) == (24, 24)
    assert study.placements["eplb"].balancedness.ci is not None


def test_without_a_trace_only_loads_are_scored() -> None:
    signatures = made.signatures(40)
    study = place(signatures, devices=2)
    for name, key, measure in measures(study):
        assert (measure is not None) == (key == "balancedness"), (name, key)
    assert study.placements["coactivation"] is None
    assert study.placements["graph"] is None
    assert "no trace" in study.notes["placements.coactivation"]
    assert "moexray capture --record trace" in study.notes["trace"]
    assert {one.placement for one in study.drift} == {"eplb"}
    assert all(one.devices_touched is None for one in study.drift)


def test_redundant_slots_even_loads_further() -> None:
    signatures = made.signatures(60, experts=16, effect=2)
    balance = [
        place(signatures, devices=4, redundant=redundant).placements["eplb"].balancedness.value
        for redundant in (0, 8, 16)
    ]
    assert balance[0] < balance[2]
    assert balance[1] < 1


def test_redundant_slots_let_any_number_of_devices_hold_as_many(tmp_path: Path) -> None:
    """Eight experts and one redundant slot on three devices: only EPLB fills it."""
    signatures, trace = opened(tmp_path / "t.parquet", prompts=40)
    study = place(signatures, devices=3, redundant=1, trace=trace, batch=4, placement="eplb")
    assert [name for name, score in study.placements.items() if score is not None] == ["eplb"]
    reason = "the 8 experts of layer 1 cannot be dealt evenly to 3 devices: only EPLB fills redundant slots"
    assert study.notes["placements.contiguous"] == study.notes["placements.random"] == reason
    assert study.closed_form is None
    assert [len(device) for layer in study.map.layers for device in layer.devices] == [3] * 9
    score = study.placements["eplb"]
    assert 1 < score.devices_touched.value < 2
    assert score.balancedness_step.ci is not None


def test_nodes_add_the_hierarchical_policy_and_nodes_touched(tmp_path: Path) -> None:
    signatures, trace = opened(tmp_path / "t.parquet", prompts=40)
    study = place(signatures, devices=4, nodes=2, groups=4, trace=trace, batch=4, placement="eplb_hierarchical")
    for layer in study.map.layers:
        for group in range(4):
            on = {place // 2 for place, held in enumerate(layer.devices) for e in held if e // 2 == group}
            assert len(on) == 1
    for score in study.placements.values():
        assert 1 <= score.nodes_touched.value <= min(2, score.devices_touched.value)
    assert study.closed_form.nodes_touched == pytest.approx(2 * (1 - 6 / 28))


def test_one_device_has_everything(recorded: tuple[Signatures, Trace]) -> None:
    signatures, trace = recorded
    study = place(signatures, devices=1, trace=trace, batch=4)
    for score in study.placements.values():
        assert (score.balancedness.value, score.devices_touched.value) == (1, 1)
        assert (score.moves.value, score.remote.value) == (0, 0)


def test_layers_of_different_widths_and_k_are_placed_each_by_its_own(tmp_path: Path) -> None:
    signatures = made.signatures(40, experts=(8, 16, 8), top_k=(1, 4, 2))
    study = place(signatures, devices=4, placement="eplb")
    assert [sum(map(len, layer.devices)) for layer in study.map.layers] == [8, 16, 8]
    for layer, experts in zip(study.map.layers, (8, 16, 8), strict=True):
        assert sorted(e for device in layer.devices for e in device) == list(range(experts))
    expected = np.mean([1, 4 * (1 - (12 * 11 * 10 * 9) / (16 * 15 * 14 * 13)), 4 * (1 - 15 / 28)])
    assert study.closed_form.devices_touched == pytest.approx(expected)
    various, trace = opened(tmp_path / "t.parquet", prompts=40, k=(1, 3, 2))
    study = place(various, devices=2, trace=trace, batch=4)
    assert all(1 <= score.devices_touched.value <= 2 for score in study.placements.values())


def test_layers_of_different_widths_are_scored_from_a_trace(tmp_path: Path) -> None:
    """As if each of them were the whole model: the mean of two studies of one layer."""
    rng = np.random.default_rng(0)
    experts = np.stack([np.argsort(rng.random((40, 12, number)), axis=2)[..., :2] for number in (8, 16)], axis=2)
    both = uniform_trace(tmp_path / "t.parquet", experts, experts_of=(8, 16))
    found = place(both, devices=4, trace=Trace.open(tmp_path / "t.parquet", both), batch=4)
    alone = []
    for layer, number in enumerate((8, 16)):
        path = tmp_path / f"{layer}.parquet"
        one = uniform_trace(path, experts[:, :, [layer]], experts_of=(number,))
        alone.append(place(one, devices=4, trace=Trace.open(path, one), batch=4))
    for name in ("contiguous", "eplb", "coactivation", "categories"):
        for key in ("balancedness", "balancedness_step", "devices_touched", "busiest", "remote"):
            expected = np.mean([getattr(one.placements[name], key).value for one in alone])
            assert getattr(found.placements[name], key).value == pytest.approx(expected), (name, key)


def test_a_router_that_drops_tokens_is_scored_on_what_is_left(tmp_path: Path) -> None:
    """A layer that drops a token sends it nowhere, and does not count for it."""
    assert place(made.signatures(40, drops=True), devices=2).placements["eplb"].balancedness.value <= 1
    rng = np.random.default_rng(0)
    experts = np.argsort(rng.random((24, 10, 2, 8)), axis=3)[..., :2]
    dropped = rng.random(experts.shape) < 0.3
    signatures = uniform_trace(tmp_path / "t.parquet", np.where(dropped, -1, experts))
    study = place(signatures, devices=8, trace=Trace.open(tmp_path / "t.parquet", signatures), batch=4)
    scored = halves_of(signatures.prompts.categories, None, 0).scored
    left = (~dropped[scored]).sum(axis=3)
    assert study.placements["contiguous"].devices_touched.value == pytest.approx(left[left > 0].mean())
    assert f"the router dropped {100 * dropped[scored].mean():.1f} % of the selections" in study.notes["closed_form"]


def test_intervals_stay_in_the_range_of_their_values() -> None:
    """Twelve short prompts have wide intervals, and no load is more even than an even one."""
    found = [place(made.signatures(12, length=(1, 4), seed=seed), devices=2) for seed in range(8)]
    ends = [
        score.balancedness.ci
        for study in found
        for score in study.placements.values()
        if score and score.balancedness.ci
    ]
    assert all(0 <= low <= high <= 1 for low, high in ends)
    assert any(high == 1 for _, high in ends)


def test_batches_that_are_too_large_have_a_note_instead(recorded: tuple[Signatures, Trace]) -> None:
    signatures, trace = recorded
    study = place(signatures, devices=4, trace=trace, batch=25)
    assert study.batches == 0
    assert study.notes == {"batch": "a batch of 25 needs as many scored prompts, and there are 24"}
    assert all(score.busiest is None for score in study.placements.values())
    large = place(signatures, devices=4, trace=trace, batch=24)
    assert large.placements["eplb"].busiest.ci is None
    assert "use a smaller `batch`" in large.notes["batch"]


def test_many_categories_are_not_held_apart() -> None:
    signatures = made.signatures(90, categories=[f"c{i}" for i in range(30)])
    study = place(signatures, devices=2)
    assert study.drift is None
    assert study.notes["drift"] == "there are 30 categories: at most 16 are held apart"
    assert study.placements["categories"] is None
    assert study.placements["eplb"].balancedness.ci is None
    assert "fewer than three units" in study.notes["ci"]


def test_one_category_has_no_drift() -> None:
    study = place(made.signatures(40, categories=("a",)), devices=2)
    assert study.drift is None
    assert study.notes["drift"] == "there is one category only"
    assert study.placements["categories"] is None


def test_co_activation_that_would_not_fit_memory_is_not_held_by_category(
    recorded: tuple[Signatures, Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures, trace = recorded
    monkeypatch.setattr(placement_task, "_MOST_PAIR_BYTES", 1)
    study = place(signatures, devices=4, trace=trace, batch=4)
    assert {one.placement for one in study.drift} == {"eplb"}
    assert "too much memory" in study.notes["drift"]
    assert study.placements["coactivation"] is not None


def test_the_seed_decides_alone(recorded: tuple[Signatures, Trace], study: PlacementStudy) -> None:
    signatures, trace = recorded
    assert place(signatures, devices=4, trace=trace, batch=4).to_json() == study.to_json()
    assert place(signatures, devices=4, trace=trace, batch=4, seed=1).to_json() != study.to_json()


def test_it_is_saved_and_read_again(study: PlacementStudy, tmp_path: Path, recorded: tuple[Signatures, Trace]) -> None:
    study.save(tmp_path / "p.json")
    assert PlacementStudy.load(tmp_path / "p.json") == study
    assert study.belongs_to(recorded[0])
    assert "loads are most even with eplb" in repr(study)
    assert list(study.to_frame()["placement"]) == NAMES
    assert len(study.to_frame("drift")) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "`devices` is 0: it must be at least 1"),
        ({"devices": 2, "redundant": -1}, "`redundant` is -1: it must be at least 0"),
        ({"devices": 2, "redundant": 10}, "`redundant` is 10: 8 slots more let each of 2 devices hold every expert"),
        ({"devices": 2, "nodes": 0}, "`nodes` is 0"),
        ({"devices": 2, "batch": 0}, "`batch` is 0"),
        ({"devices": 2, "seed": -1}, "`seed` is -1"),
        ({"devices": 9}, "`devices` is 9, and layer 1 has 8 experts: a device would hold none"),
        ({"devices": 12, "redundant": 3}, "layer 1 has 8 experts and 3 redundant slots: a device would hold none"),
        (
            {"devices": 3},
            "layer 1 has 8 slots for experts, which cannot be dealt evenly to `devices=3`: .*`redundant=1`",
        ),
        ({"devices": 4, "redundant": 1}, "layer 1 has 9 slots .*`redundant=4`"),
        ({"devices": 4, "nodes": 3}, "`nodes` is 3, which does not divide the 4 devices"),
        ({"devices": 4, "groups": 2}, "`groups` is 2, which matters between nodes only"),
        ({"devices": 4, "nodes": 2, "groups": 3}, "`groups` is 3: it must be a multiple of the 2 nodes"),
        ({"devices": 4, "nodes": 2, "groups": 6}, "`groups` is 6, which does not divide the 8 experts of layer 1"),
        ({"devices": 12, "nodes": 3, "redundant": 4}, "`nodes` is 3, which does not divide the 8 experts of layer 1"),
        (
            {"devices": 2, "placement": "random"},
            "`placement` is random, of which 200 are drawn: name one of contiguous",
        ),
        ({"devices": 2, "placement": "best"}, "`placement` is 'best': there are contiguous, round_robin, eplb"),
        ({"devices": 2, "placement": "graph"}, "`placement` is graph, which cannot be made: there is no trace"),
        ({"devices": 2, "tokens": "image"}, "no tokens are called 'image'"),
    ],
)
def test_what_cannot_be_placed_is_refused_in_one_sentence(options: dict[str, object], message: str) -> None:
    with pytest.raises(MoexrayError, match=message):
        place(made.signatures(24), **options)  # type: ignore[arg-type]


def test_redundant_slots_that_suit_one_layer_alone_are_no_advice() -> None:
    """One more slot makes 8 and 1 a multiple of three, and 10 and 1 none."""
    with pytest.raises(AnalysisError, match=r"cannot be dealt evenly to `devices=3`: use a divisor$"):
        place(made.signatures(24, layers=(0, 1), experts=(8, 10)), devices=3)


def test_prompts_without_tokens_are_left_out() -> None:
    tokens = np.full((24, 2), 5)
    tokens[:4, 1] = 0
    study = place(made.signatures(24, tokens=tokens), devices=2, tokens="generated")
    assert (study.prompts, study.learnt + study.scored) == (20, 20)
    with pytest.raises(AnalysisError, match="no prompt has any generated token"):
        place(made.signatures(24, tokens=(5, 0)), devices=2, tokens="generated")


def test_one_unit_has_nothing_to_be_scored_on() -> None:
    with pytest.raises(NotComputable, match="all prompts are of one group"):
        place(made.signatures(4, groups=["g"] * 4), devices=2)


def test_a_trace_of_another_model_is_refused(recorded: tuple[Signatures, Trace]) -> None:
    other = made.signatures(48, layers=(0, 1, 2))
    with pytest.raises(TraceError, match="the trace is of another model"):
        place(other, devices=2, trace=Trace(recorded[1].path, other))
