"""What a study of caches says of the recorded example and of made-up traces is what definitions give."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import moexray as mx
from moexray.errors import AnalysisError, MoexrayError, NotComputable
from moexray.routed_tokens import RoutedTokens
from moexray.stats.workloads.consistency import consistency, independent_counts, window_counts
from moexray.stats.workloads.lanes import lanes_by_layer, uses_of
from moexray.stats.workloads.recency import recency_of
from moexray.stats.workloads.stacks import belady_priorities, depth_counts, lfu_priorities, lru_priorities
from moexray.studies import cache_counts as counting
from moexray.studies.cache_report import CacheReport
from moexray.studies.caching import study_caches
from moexray.studies.halves import halves_of
from moexray.trace import Trace

from ..made import signatures
from ..made import trace as write_trace
from ..stats.workloads import caches

K, EXPERTS, LAYERS = 2, 8, (1, 2, 4)


@pytest.fixture(scope="module")
def found() -> CacheReport:
    return study_caches(mx.example().trace)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Trace]:
    def write(**options: object) -> Trace:
        path = tmp_path / "made.trace.parquet"
        return Trace.open(path, write_trace(path, **options))  # type: ignore[arg-type]

    return write


def test_the_example_has_the_hit_rates_that_were_computed_independently() -> None:
    """All 80 prompts, layers 0, 7 and 15, in percent, by another program written for this comparison."""
    tokens = RoutedTokens.joined(list(mx.example().trace.blocks()))
    lanes = lanes_by_layer(tokens.experts[:, [0, 7, 15]], tokens.prompts, 64)
    uses = uses_of(lanes)
    policies = [lru_priorities(lanes), lfu_priorities(lanes, uses), belady_priorities(lanes, uses)]
    hits = np.cumsum(depth_counts(lanes, uses, policies).sum(axis=1), axis=1) / (len(tokens) * 8 * 3)
    assert 100 * hits[:, 15] == pytest.approx([45.6, 49.8, 62.7], abs=0.06)
    assert 100 * hits[:, 31] == pytest.approx([70.5, 72.1, 82.1], abs=0.06)


def test_the_example_reuses_experts_and_is_consistent_as_computed_independently() -> None:
    tokens = RoutedTokens.joined(list(mx.example().trace.blocks()))
    follows = np.flatnonzero(np.diff(tokens.prompts, prepend=-1) == 0)
    reused = []
    for layer in range(16):
        chosen = tokens.experts[:, layer]
        recent, _ = recency_of(chosen, tokens.prompts, follows, np.zeros(64, dtype=np.int64))
        reused.append(np.take_along_axis(recent.by_previous, chosen[follows].astype(np.int64), axis=1).mean())
    assert np.mean(reused) == pytest.approx(0.308, abs=0.0005)
    counts = window_counts(tokens.experts, tokens.prompts, np.zeros(len(tokens), dtype=int), windows=[4, 16], width=64)
    assert [float(consistency(one.sum(axis=(0, 1)))) for one in counts] == pytest.approx([0.569, 0.445], abs=0.0006)


def test_hits_are_those_of_caches_simulated_on_the_scored_prompts(made: Callable[..., Trace]) -> None:
    trace = made(prompts=20)
    report = study_caches(trace, capacities=[2, 5, 7], seed=3)
    tokens = RoutedTokens.joined(list(trace.blocks()))
    halves = halves_of(trace.signatures.prompts.categories, None, 3)
    learnt = np.isin(tokens.prompts, halves.learnt)
    for place, layer in enumerate(report.layers):
        used = np.bincount(tokens.experts[learnt, place].ravel(), minlength=EXPERTS)
        order = np.argsort(-used, kind="stable").tolist()
        policies: dict[str, caches.Priority] = {
            "static": lambda sets, now, expert, order=order: (-order.index(expert),),  # type: ignore[misc]
            "lru": caches.last_use,
            "lfu": caches.uses,
            "sch_16": caches.uses_ahead(16),
            "belady": caches.next_use,
        }
        prompts = [tokens.experts[tokens.prompts == one, place].tolist() for one in halves.scored]
        selections = K * sum(map(len, prompts))
        for name, priority in policies.items():
            for size, rate in zip((2, 5, 7), layer.hit_rate[name], strict=True):
                hits = sum(caches.simulated_hits(sets, size, priority) for sets in prompts)
                assert rate == pytest.approx(hits / selections), name
        for size, rate, misses in zip((2, 5, 7), layer.hit_rate["pinned"], layer.misses["pinned"], strict=True):
            expected = np.mean([expert in order[:size] for sets in prompts for one in sets for expert in one])
            assert rate == pytest.approx(expected)
            assert misses == pytest.approx(K * (1 - expected))
        assert layer.hit_rate["chance"] == pytest.approx([2 / 8, 5 / 8, 7 / 8])
        assert layer.hit_rate["previous"] == (layer.hit_rate["lru"][0],) * 3


def test_a_warm_cache_goes_on_through_all_prompts_of_the_file(made: Callable[..., Trace]) -> None:
    """Those of the learning half are served, too; hits are counted of the others."""
    trace = made(prompts=12)
    report = study_caches(trace, capacities=[4])
    tokens = RoutedTokens.joined(list(trace.blocks()))
    halves = halves_of(trace.signatures.prompts.categories, None, 0)
    for place, layer in enumerate(report.layers):
        held: list[int] = []
        hits = []
        for prompt, chosen in zip(tokens.prompts, tokens.experts[:, place].tolist(), strict=True):
            if prompt in halves.scored:
                hits += [expert in held[:4] for expert in chosen]
            for expert in reversed(chosen):
                held = [expert, *(one for one in held if one != expert)]
        assert layer.hit_rate["lru_continued"][0] == pytest.approx(np.mean(hits))


def test_a_trace_that_is_streamed_gives_what_one_in_memory_gives(
    made: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = made(prompts=30, row_group=50)
    held = study_caches(trace, shared=True)
    monkeypatch.setattr(counting, "_HELD", 0)
    assert len(list(trace.blocks())) > 10
    assert study_caches(trace, shared=True) == held


def test_all_layers_together_are_the_sum_of_the_layers(found: CacheReport) -> None:
    together = found.together
    for name, curve in together.hit_rate.items():
        assert curve == pytest.approx(np.mean([one.hit_rate[name] for one in found.layers], axis=0))
        assert together.misses[name] == pytest.approx(np.sum([one.misses[name] for one in found.layers], axis=0))
    assert together.capacities == tuple(16 * size for size in found.layers[0].capacities)
    assert together.share == tuple(size / 64 for size in found.layers[0].capacities)


def test_no_cache_that_starts_empty_beats_belady_and_more_memory_never_hurts(found: CacheReport) -> None:
    for layer in found.layers:
        best = np.array(layer.hit_rate["belady"])
        for name in ("previous", "static", "lru", "lfu", "sch_16", "belady"):
            assert (np.array(layer.hit_rate[name]) <= best + 1e-12).all()
            assert (np.diff(layer.hit_rate[name]) >= 0).all()
        for name, ends in layer.ci.items():
            for rate, ci in zip(layer.hit_rate[name], ends, strict=True):
                assert ci is not None
                assert 0 <= ci[0] <= rate <= ci[1] <= 1


def test_a_shared_cache_is_as_large_as_all_others_and_better_at_its_best(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=20), shared=True)
    assert report.shared is not None
    assert report.shared.capacities == report.together.capacities
    lru, best = (np.array(report.shared.hit_rate[name]) for name in ("lru", "belady"))
    assert (lru <= best).all()
    assert (best >= np.array(report.together.hit_rate["belady"]) - 1e-12).all()
    assert lru[-1] == pytest.approx(report.together.hit_rate["lru"][-1]), "first uses miss in any cache"
    assert report.shared.hit_rate["pinned"][-1] == 1


def test_where_a_shared_cache_takes_long_some_prompts_are_drawn(
    made: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = made(prompts=30)
    monkeypatch.setattr("moexray.studies.cache_shared._MOST_MOVES", 100 * 6 * 24)
    report = study_caches(trace, shared=True)
    assert "scored prompts, drawn at random" in report.notes["shared"]
    assert report.shared is not None
    assert report.together == study_caches(trace).together
    assert (np.array(report.shared.hit_rate["lru"]) <= report.shared.hit_rate["belady"]).all()
    monkeypatch.setattr("moexray.studies.cache_shared._MOST_MOVES", 1)
    assert "of 1 of the 15 scored prompts" in study_caches(trace, shared=True).notes["shared"]


def test_a_predictor_is_scored_on_prompts_that_it_has_not_seen(made: Callable[..., Trace]) -> None:
    """Recall is counted here again, token by token, for the table of token ids."""
    trace = made(prompts=20)
    report = study_caches(trace)
    tokens = RoutedTokens.joined(list(trace.blocks()))
    halves = halves_of(trace.signatures.prompts.categories, None, 0)
    learnt, scored = np.isin(tokens.prompts, halves.learnt), np.isin(tokens.prompts, halves.scored)
    of_ids = next(one for one in report.predictors if one.name == "token_id")
    for place in range(len(LAYERS)):
        chosen = tokens.experts[:, place]
        popular = np.bincount(chosen[learnt].ravel(), minlength=EXPERTS)
        hits = []
        for token in np.flatnonzero(scored):
            same = learnt & (tokens.token_ids == tokens.token_ids[token])
            counts = np.bincount(chosen[same].ravel(), minlength=EXPERTS)
            ranked = sorted(range(EXPERTS), key=lambda e: (-counts[e], -popular[e], e))
            hits += [expert in ranked[:K] for expert in chosen[token]]
        assert of_ids.layers[place] == pytest.approx(np.mean(hits))
    assert of_ids.recall == pytest.approx(np.mean(of_ids.layers))
    assert of_ids.precision == of_ids.recall
    assert of_ids.hit_rate[0] == pytest.approx(of_ids.recall), "k slots hold nothing but what is predicted"


def test_a_predictor_that_knows_nothing_loads_what_it_names_and_what_it_misses(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=20))
    constant = next(one for one in report.predictors if one.name == "most_used")
    assert constant.hit_rate[0] == pytest.approx(report.together.hit_rate["pinned"][0])
    misses = len(LAYERS) * K * (1 - constant.recall)
    assert constant.loads[0] == pytest.approx(len(LAYERS) * K + misses), "k slots are filled anew for every token"
    assert constant.loads[-1] < constant.loads[0]
    for loads, ci in zip(constant.loads, constant.loads_ci, strict=True):
        assert ci is not None
        assert ci[0] <= loads <= ci[1]


def test_the_capacity_for_a_hit_rate_is_the_smallest_that_has_it(made: Callable[..., Trace]) -> None:
    trace = made(prompts=24)
    every = study_caches(trace, capacities=range(K, EXPERTS + 1))
    report = study_caches(trace, hit_rate=0.6, expert_bytes=10)
    for one in report.capacity_for:
        for needed, layer in zip(one.layers, every.layers, strict=True):
            enough = [c for c, rate in zip(layer.capacities, layer.hit_rate[one.policy], strict=True) if rate >= 0.6]
            assert needed.capacity == min(enough, default=None)
            assert needed.bytes == (None if needed.capacity is None else 10 * needed.capacity)
            if needed.capacity is not None and needed.most is not None:
                assert needed.least is not None
                assert needed.least <= needed.capacity <= needed.most
        known = [needed.capacity for needed in one.layers if needed.capacity is not None]
        assert one.experts == (sum(known) if len(known) == len(LAYERS) else None)


def test_a_rate_that_first_uses_forbid_is_said_to_be_out_of_reach(found: CacheReport) -> None:
    belady = next(one for one in found.capacity_for if one.policy == "belady")
    assert belady.experts is None
    first = 1 - found.together.hit_rate["belady"][-1]
    assert f"{100 * first:.1f} % of all selections are an expert's first" in found.notes["capacity_for"]


def test_bytes_are_misses_times_the_size_of_an_expert_and_null_where_it_is_unknown(
    made: Callable[..., Trace], found: CacheReport
) -> None:
    report = study_caches(made(prompts=20), expert_bytes=7)
    for layer in report.layers:
        assert layer.bytes is not None
        assert layer.bytes["lru"] == pytest.approx([7 * one for one in layer.misses["lru"]])
        assert layer.memory == tuple(7 * one for one in layer.capacities)
    assert report.together.bytes is not None
    assert report.together.bytes["lru"] == pytest.approx([7 * one for one in report.together.misses["lru"]])
    assert found.together.bytes is None
    assert "do not say how large an expert is" in found.notes["bytes"]


def test_a_result_is_saved_and_read_again(found: CacheReport, tmp_path: Path) -> None:
    found.save(tmp_path / "cache.json")
    assert CacheReport.load(tmp_path / "cache.json") == found
    assert found.belongs_to(mx.example().signatures)
    assert "hits of LRU" in repr(found)
    assert len(found.to_frame()) == len(found.together.capacities)


def test_the_seed_decides_the_halves(made: Callable[..., Trace]) -> None:
    trace = made(prompts=20)
    one, same, other = (study_caches(trace, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.together.hit_rate != other.together.hit_rate


def test_one_long_prompt_among_short_ones_changes_nothing(
    made: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of like length are simulated together, whatever the groups are."""
    trace = made(prompts=30)
    expected = study_caches(trace, shared=True)
    monkeypatch.setattr("moexray.stats.workloads.lanes._SMALL", 0)
    monkeypatch.setattr("moexray.stats.workloads.lanes._SPARE", 1.0)
    assert study_caches(trace, shared=True) == expected


def test_generated_tokens_alone_start_an_empty_cache(made: Callable[..., Trace]) -> None:
    """Four tokens of each prompt are generated: what they select of what was given before is a miss."""
    trace = made(prompts=20)
    report = study_caches(trace, tokens="generated", capacities=[EXPERTS])
    tokens = RoutedTokens.joined(list(trace.blocks()))
    scored = halves_of(trace.signatures.prompts.categories, None, 0).scored
    for place, layer in enumerate(report.layers):
        of_prompts = [tokens.experts[(tokens.prompts == one) & tokens.generated, place] for one in scored]
        first = sum(len(np.unique(one)) for one in of_prompts)
        assert layer.hit_rate["lru"][0] == pytest.approx(1 - first / sum(one.size for one in of_prompts))
    assert report.scored_tokens == 4 * len(scored)
    assert "no windows of 16, 64 and 256 tokens" in report.notes["srp"]


def test_a_token_that_selects_every_expert_misses_only_at_first(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=20, layers=(3,), experts=2), shared=True)
    (layer,) = report.layers
    assert layer.capacities == (2,)
    assert layer.hit_rate["chance"] == layer.hit_rate["pinned"] == (1.0,)
    assert layer.hit_rate["lru"] == layer.hit_rate["belady"]
    assert layer.reuse == layer.reuse_chance == 1
    assert report.predictors[0].recall == 1
    assert [one.value for one in report.srp] == [1, 1]


def test_prompts_of_one_token_reuse_nothing(made: Callable[..., Trace], tmp_path: Path) -> None:
    trace = made(prompts=20)
    frame = trace.to_pandas()
    frame[frame["position"] == 0].to_parquet(tmp_path / "first.parquet")
    tokens = RoutedTokens.joined(list(trace.blocks()))
    counts = np.zeros_like(trace.signatures.counts)
    for prompt, chosen in zip(
        tokens.prompts[tokens.positions == 0], tokens.experts[tokens.positions == 0], strict=True
    ):
        for place, experts in enumerate(chosen):
            counts[prompt, 0, place, experts] = 1
    first = trace.signatures.replace(counts=counts, tokens=np.tile(np.array([1, 0], dtype=np.int32), (20, 1)))
    report = study_caches(Trace.open(tmp_path / "first.parquet", first))
    assert report.srp == ()
    for layer in report.layers:
        assert layer.reuse is None
        assert set(layer.hit_rate["lru"]) == set(layer.hit_rate["belady"]) == {0.0}
        assert layer.hit_rate["pinned"][-1] == 1


def test_groups_are_never_split(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=24, groups=[f"g{place // 4}" for place in range(24)]))
    assert report.learnt_prompts % 4 == report.scored_prompts % 4 == 0


def test_layers_of_different_k_have_their_own_smallest_cache(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=20, k=[1, 2, 3]), capacities=[3, 6])
    for k, layer in zip((1, 2, 3), report.layers, strict=True):
        assert layer.top_k == k
        assert layer.reuse_chance == k / EXPERTS
        assert layer.misses["chance"][0] == pytest.approx(k * (1 - 3 / 8))
    with pytest.raises(AnalysisError, match="`capacities` holds 2, and layer 4 has 8 experts, of which a token select"):
        study_caches(made(prompts=20, k=[1, 2, 3]), capacities=[2])


def test_layers_of_different_width_have_caches_of_their_own_size(made: Callable[..., Trace]) -> None:
    """The same trace, where layers are said to have 5, 8 and 6 experts, has the same hits at the same capacities."""
    trace = made(prompts=20, experts=5)
    of_five = trace.signatures
    counts = np.pad(of_five.counts, ((0, 0), (0, 0), (0, 0), (0, 3)))
    wider = signatures(
        counts=counts, tokens=of_five.tokens, layers=LAYERS, experts=(5, 8, 6), categories=("kind 0", "kind 1")
    )
    one, other = (study_caches(of, capacities=[2, 4, 5]) for of in (trace, Trace.open(trace.path, wider)))
    for narrow, wide, experts in zip(one.layers, other.layers, (5, 8, 6), strict=True):
        assert wide.hit_rate["chance"] == pytest.approx([2 / experts, 4 / experts, 5 / experts])
        for name in ("previous", "pinned", "static", "lru", "lru_continued", "lfu", "sch_16", "belady"):
            assert wide.hit_rate[name] == narrow.hit_rate[name]
    assert [needed.value for needed in other.srp] == [needed.value for needed in one.srp]
    assert other.srp[0].uniform < one.srp[0].uniform
    by_default = study_caches(Trace.open(trace.path, wider), shared=True)
    assert [layer.capacities[-1] for layer in by_default.layers] == [5, 8, 6]
    assert by_default.together.share[-1] == 1
    assert by_default.shared is not None
    assert by_default.shared.capacities == by_default.together.capacities
    assert by_default.shared.hit_rate["pinned"][-1] == 1
    with pytest.raises(AnalysisError, match="layer 1 has 5 experts"):
        study_caches(Trace.open(trace.path, wider), capacities=[6])


def test_selections_that_a_router_dropped_are_neither_hits_nor_misses(
    made: Callable[..., Trace], tmp_path: Path
) -> None:
    trace = made(prompts=20)
    frame = trace.to_pandas()
    dropped = np.arange(len(frame)) % 7 == 0
    frame["experts"] = [one[:1] if drop else one for one, drop in zip(frame["experts"], dropped, strict=True)]
    frame["gate_weights"] = [one[:1] if drop else one for one, drop in zip(frame["gate_weights"], dropped, strict=True)]
    frame.to_parquet(tmp_path / "dropped.parquet")
    counts = np.zeros_like(trace.signatures.counts)
    for prompt, phase, layer, chosen in zip(
        frame["prompt"], frame["phase"], frame["layer"], frame["experts"], strict=True
    ):
        for expert in chosen:
            counts[int(prompt[1:]), int(phase == "generated"), LAYERS.index(layer), expert] += 1
    lossy = trace.signatures.replace(counts=counts, meta={**trace.signatures.meta, "router_may_drop": True})
    report = study_caches(Trace.open(tmp_path / "dropped.parquet", lossy), capacities=[3], shared=True)
    tokens = RoutedTokens.joined(list(Trace.open(tmp_path / "dropped.parquet", lossy).blocks()))
    scored = halves_of(lossy.prompts.categories, None, 0).scored
    for place, layer in enumerate(report.layers):
        prompts = [
            [[e for e in one if e >= 0] for one in tokens.experts[tokens.prompts == prompt, place].tolist()]
            for prompt in scored
        ]
        selections = sum(len(one) for sets in prompts for one in sets)
        for name, priority in (("lru", caches.last_use), ("lfu", caches.uses), ("belady", caches.next_use)):
            hits = sum(caches.simulated_hits(sets, 3, priority) for sets in prompts)
            assert layer.hit_rate[name][0] == pytest.approx(hits / selections)
        assert layer.misses["lru"][0] < K * (1 - layer.hit_rate["lru"][0])
        each = np.mean([len(one) for sets in prompts for one in sets])
        assert K - 1 < each < K
        assert layer.reuse_chance == pytest.approx(each / EXPERTS)
    rates = [layer.reuse_chance for layer in report.layers]
    of_layers = np.sum([independent_counts(np.full(EXPERTS, rate), 4) for rate in rates], axis=0)
    assert report.srp[0].uniform == pytest.approx(float(consistency(of_layers)))


@pytest.mark.parametrize("size", [0, 1, 9, -3])
def test_a_cache_holds_from_k_to_all_experts(made: Callable[..., Trace], size: int) -> None:
    with pytest.raises(AnalysisError, match="a cache holds from 2 to 8 of them"):
        study_caches(made(prompts=6), capacities=[size])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hit_rate": 1.0}, "`hit_rate` is 1: a wanted hit rate is above 0 and below 1"),
        ({"hit_rate": float("nan")}, "`hit_rate` is nan"),
        ({"capacities": []}, "`capacities` holds no number"),
        ({"tokens": "image"}, "no tokens are called 'image'"),
        ({"expert_bytes": 0}, "`expert_bytes` is 0"),
    ],
)
def test_what_cannot_be_used_is_named(made: Callable[..., Trace], options: dict[str, object], said: str) -> None:
    with pytest.raises(MoexrayError, match=said):
        study_caches(made(prompts=6), **options)  # type: ignore[arg-type]


def test_one_prompt_cannot_be_halved(made: Callable[..., Trace]) -> None:
    with pytest.raises(NotComputable, match="one group"):
        study_caches(made(prompts=1))


def test_one_scored_prompt_has_values_without_intervals(made: Callable[..., Trace]) -> None:
    """Without it nothing is left, so no interval can be had; warnings are errors here."""
    report = study_caches(made(prompts=3))
    assert report.scored_prompts == 1
    assert all(ci is None for one in report.predictors for ci in (*one.ci, *one.loads_ci))


def test_few_prompts_have_values_without_intervals(made: Callable[..., Trace]) -> None:
    report = study_caches(made(prompts=6))
    assert report.layers[0].ci["lru"] == (None,) * len(report.layers[0].capacities)
    assert "fewer than three" in report.notes["ci"]
    assert all(needed.least is None for one in report.capacity_for for needed in one.layers)


def test_a_trace_whose_rows_are_not_in_order_of_weight_says_what_that_does(
    made: Callable[..., Trace], tmp_path: Path
) -> None:
    trace = made(prompts=20)
    assert "hit_rate.lru" not in study_caches(trace, capacities=[3]).notes
    frame = trace.to_pandas()
    frame["experts"] = [sorted(one) for one in frame["experts"]]
    frame.drop(columns="gate_weights").to_parquet(tmp_path / "served.parquet")
    served = trace.signatures.replace(meta={**trace.signatures.meta, "selection_order": "ascending"})
    ascending = study_caches(Trace.open(tmp_path / "served.parquet", served), capacities=[3])
    assert "the one of the lowest id counts as used last" in ascending.notes["hit_rate.lru"]
    imported = study_caches(Trace.open(tmp_path / "served.parquet", trace.signatures), capacities=[3])
    assert "which may not be that of gate weights" in imported.notes["hit_rate.lru"]
