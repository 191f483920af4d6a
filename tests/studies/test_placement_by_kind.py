"""Placements by kind of token: what leaves the home of its kind, counted one by one; kinds sum to the whole."""

from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from moexray.segments import WITH_IMAGES
from moexray.signatures import Signatures
from moexray.studies.halves import halves_of
from moexray.studies.placement import place
from moexray.studies.placement_results import PlacementStudy
from moexray.trace import Trace
from moexray.views.tables.placement import placement_page
from moexray.views.tables.table import Table

from .. import made

PARTS = ("prompt/text", "prompt/image", "generated/text")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signatures, Trace]:
    """Return a trace of 48 prompts, 36 of which hold an image, that routes images to one half of the experts."""
    path = tmp_path_factory.mktemp("kinds") / "trace.parquet"
    signatures = made.trace(path, prompts=48, images=True)
    return signatures, Trace.open(path, signatures)


@pytest.fixture(scope="module")
def study(recorded: tuple[Signatures, Trace]) -> PlacementStudy:
    return place(recorded[0], devices=4, trace=recorded[1], batch=4)


def routed(path: Path, experts: np.ndarray, segments: np.ndarray) -> tuple[Signatures, Trace]:
    """Write selections ``(prompts, tokens, layers, k)`` of tokens in these segments ``(tokens,)`` of `WITH_IMAGES`."""
    prompts, tokens, layers, k = experts.shape
    of_token = np.tile(np.repeat(segments, layers), prompts)
    columns = {
        "prompt": pa.array(np.repeat([f"p{i}" for i in range(prompts)], tokens * layers).tolist()).dictionary_encode(),
        "position": pa.array(np.tile(np.repeat(np.arange(tokens), layers), prompts), pa.int32()),
        "token_id": pa.array(np.zeros(len(of_token)), pa.int32()),
        "phase": pa.array([WITH_IMAGES[one].phase for one in of_token]).dictionary_encode(),
        "kind": pa.array([WITH_IMAGES[one].kind for one in of_token]).dictionary_encode(),
        "layer": pa.array(np.tile(np.arange(layers), prompts * tokens), pa.int16()),
        "experts": pa.array(experts.reshape(-1, k).tolist(), pa.list_(pa.int16())),
    }
    parquet.write_table(pa.table(columns), path)
    counts = np.zeros((prompts, 3, layers, int(experts.max()) + 1), dtype=np.uint16)
    where = np.arange(prompts)[:, None, None, None], segments[:, None, None], np.arange(layers)[:, None]
    np.add.at(counts, (*where, experts), 1)
    signatures = made.signatures(
        counts=counts, tokens=np.bincount(segments, minlength=3), top_k=k, layers=range(layers), segments=WITH_IMAGES
    )
    return signatures, Trace.open(path, signatures)


@pytest.mark.parametrize("name", ["contiguous", "eplb", "coactivation", "kinds"])
def test_every_value_is_an_explicit_count_over_the_scored_half(recorded: tuple[Signatures, Trace], name: str) -> None:
    signatures, trace = recorded
    study = place(signatures, devices=4, trace=trace, batch=4, placement=name)
    device = [{e: d for d, held in enumerate(layer.devices) for e in held} for layer in study.map.layers]
    halves = halves_of(signatures.prompts.categories, None, 0)
    # The home of text and of image: the device that held most of their selections in the half that taught.
    homes = []
    for kind in ("text", "image"):
        held = np.zeros(4)
        for layer, loads in enumerate(signatures.loads(kind)[halves.learnt].sum(axis=0)):
            for expert, selections in enumerate(loads):
                held[device[layer][expert]] += selections
        homes.append(int(held.argmax()))
    visits, touched, leave, sends = (np.zeros(3) for _ in range(4))
    loads = np.zeros((3, 3, 4))
    for block in trace.blocks():
        for prompt, segment, experts in zip(block.prompts, block.segments, block.experts.tolist(), strict=True):
            if prompt not in halves.scored:
                continue
            home = homes[int(segment == 1)]
            for layer, chosen in enumerate(experts):
                on = [device[layer][expert] for expert in chosen]
                np.add.at(loads[segment, layer], on, 1)
                visits[segment] += 1
                touched[segment] += len(set(on))
                leave[segment] += any(one != home for one in on)
                sends[segment] += sum(one != home for one in on)
    found = {one.tokens: one for one in study.by_kind}
    for number, part in enumerate(PARTS):
        score = found[part].placements[name]
        assert found[part].scored_tokens * 3 == visits[number]
        assert score.home == homes[int(number == 1)]
        assert score.devices_touched.value == pytest.approx(touched[number] / visits[number])
        assert score.cross_device.value == pytest.approx(leave[number] / visits[number])
        assert score.sends.value == pytest.approx(sends[number] / visits[number] / 2)
        assert score.balancedness.value == pytest.approx((loads[number].mean(1) / loads[number].max(1)).mean())
    score = found["all"].placements[name]
    assert score.cross_device.value == pytest.approx(leave.sum() / visits.sum())
    assert score.sends.value == pytest.approx(sends.sum() / visits.sum() / 2)


def test_kinds_sum_to_the_whole(study: PlacementStudy) -> None:
    """All tokens together are scored as without a look at kinds, and their rates are means over the kinds' tokens."""
    assert [one.tokens for one in study.by_kind] == [*PARTS, "all"]
    *parts, whole = study.by_kind
    assert whole.scored_tokens == sum(one.scored_tokens for one in parts)
    for name, score in whole.placements.items():
        assert score.balancedness == study.placements[name].balancedness, name
        if name == "random":
            continue
        assert score.devices_touched.value == pytest.approx(study.placements[name].devices_touched.value), name
        assert score.devices_touched.ci == pytest.approx(study.placements[name].devices_touched.ci), name
        for measure in ("cross_device", "sends", "devices_touched"):
            values = [getattr(one.placements[name], measure).value for one in parts]
            mean = np.average(values, weights=[one.scored_tokens for one in parts])
            assert getattr(score, measure).value == pytest.approx(mean), (name, measure)


def test_kinds_that_share_no_expert_stay_at_home_in_bins_of_their_own(tmp_path: Path) -> None:
    """As ERNIE-4.5-VL routes, with the experts of text and image shuffled: bins by kind find them again."""
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(8) for _ in range(2)])
    segments = np.array([0, 0, 1, 1, 1, 1, 0, 2, 2])
    picks = np.argsort(rng.random((24, 9, 2, 4)), axis=3)[..., :2] + 4 * (segments == 1)[:, None, None]
    experts = np.take_along_axis(order[None, None], picks, axis=3)
    signatures, trace = routed(tmp_path / "t.parquet", experts, segments)
    study = place(signatures, devices=2, trace=trace, batch=4, placement="kinds")
    for one in study.by_kind:
        score = one.placements["kinds"]
        assert (score.cross_device.value, score.sends.value, score.devices_touched.value) == (0, 0, 1), one.tokens
        assert one.placements["round_robin"].cross_device.value > 0.2
    assert [one.placements["kinds"].home for one in study.by_kind] == [0, 1, 0, None]
    for layer, held in enumerate(study.map.layers):
        assert set(held.devices[0]) == set(order[layer, :4].tolist())


def test_uniform_routing_leaves_home_as_the_closed_form_says(tmp_path: Path) -> None:
    """With 64 experts, 8 a token and 2 devices 99.8 % of tokens need an expert off their home, and half of sends."""
    segments = np.repeat([0, 1, 2], [8, 14, 4])
    experts = np.argsort(np.random.default_rng(0).random((80, 26, 1, 64)), axis=3)[..., :8]
    signatures, trace = routed(tmp_path / "t.parquet", experts, segments)
    study = place(signatures, devices=2, trace=trace, batch=4)
    assert study.closed_form.remote == pytest.approx(1 - comb(32, 8) / comb(64, 8)) == pytest.approx(0.9976, abs=1e-4)
    assert study.closed_form.sends == 0.5
    for one in study.by_kind:
        for name in ("contiguous", "eplb", "coactivation", "kinds", "random"):
            score = one.placements[name]
            assert score.cross_device.value == pytest.approx(study.closed_form.remote, abs=0.006), (one.tokens, name)
            assert score.sends.value == pytest.approx(0.5, abs=0.04), (one.tokens, name)


def test_bins_by_kind_are_cut_from_the_order_of_the_bias(recorded: tuple[Signatures, Trace]) -> None:
    """SMoES: each kind's load over its sum, the first share over the sum of both, experts in falling order."""
    signatures, _ = recorded
    study = place(signatures, devices=4, placement="kinds")
    learnt = halves_of(signatures.prompts.categories, None, 0).learnt
    text, image = (signatures.loads(kind)[learnt].sum(axis=0).astype(float) for kind in ("text", "image"))
    text, image = (loads / loads.sum(axis=1, keepdims=True) for loads in (text, image))
    order = np.argsort(-text / (text + image), axis=1, kind="stable")
    for layer, held in enumerate(study.map.layers):
        assert [set(one) for one in held.devices] == [set(bin_.tolist()) for bin_ in np.split(order[layer], 4)]


def test_random_placements_have_a_range_that_holds_what_uniform_routing_gives(study: PlacementStudy) -> None:
    for one in study.by_kind:
        random = one.placements["random"]
        low, high = random.devices_touched.range
        assert low < study.closed_form.devices_touched < high
        assert random.cross_device.ci is None
        assert random.sends.value <= study.closed_form.sends  # the home is the best of the devices


def test_without_a_trace_loads_and_sends_are_known(recorded: tuple[Signatures, Trace], study: PlacementStudy) -> None:
    bare = place(recorded[0], devices=4)
    for one, other in zip(bare.by_kind, study.by_kind, strict=True):
        for name in ("contiguous", "eplb", "kinds", "random"):
            found = one.placements[name]
            assert (found.devices_touched, found.cross_device) == (None, None)
            assert found.sends == other.placements[name].sends
            assert found.balancedness == other.placements[name].balancedness


def test_recordings_and_selections_of_one_kind_have_no_part_by_kind(recorded: tuple[Signatures, Trace]) -> None:
    signatures, trace = recorded
    for tokens in ("image", "text", "generated"):
        found = place(signatures, devices=4, trace=trace, batch=2, tokens=tokens)
        assert found.by_kind is None
        assert "kinds" not in found.placements
        assert not {"by_kind", "sends"} & {*found.document, *found.document["closed_form"]}
    plain = made.signatures(24, segments=WITH_IMAGES, tokens=[9, 0, 4])
    assert place(plain, devices=4).by_kind is None


def test_a_kind_that_the_learnt_half_lacks_has_no_home() -> None:
    tokens = np.full((24, 3), 9)
    tokens[:, 1] = 0
    tokens[halves_of(["a", "b"] * 12, None, 0).scored[:2], 1] = 20
    found = place(made.signatures(24, segments=WITH_IMAGES, tokens=tokens), devices=4)
    assert found.placements["kinds"] is None
    assert found.notes["placements.kinds"] == "the prompts to learn from hold one kind of tokens only"
    assert "no prompt to learn from holds image tokens" in found.notes["by_kind"]
    _, image, _, whole = found.by_kind
    assert (image.placements["eplb"].home, image.placements["eplb"].sends, whole.placements["eplb"].sends) == (
        None,
    ) * 3
    assert image.placements["eplb"].balancedness.ci is None
    assert "fewer than 3 scored prompts or groups of a category hold prompt/image tokens" in found.notes["by_kind.ci"]
    assert found.by_kind[0].placements["eplb"].sends.ci is not None


def test_the_page_has_a_table_for_each_measure_and_none_without_kinds(study: PlacementStudy) -> None:
    tables = [one for one in placement_page(study).blocks if isinstance(one, Table)]
    by_kind = [one for one in tables if one.columns[-1].name == "all"]
    assert [one.title.split(",")[0].split(":")[0] for one in by_kind] == [
        "Cross-device", "Sends", "Devices touched", "Balancedness",
    ]  # fmt: skip
    assert all(one.columns[2].name == "prompt/image" for one in by_kind)
    assert [row[0] for row in by_kind[0].rows][-2:] == ["kinds", "uniform routing"]
    assert not [one for one in placement_page(replace(study, by_kind=None)).blocks if one in by_kind]


def test_what_is_saved_is_read_again(study: PlacementStudy, tmp_path: Path) -> None:
    study.save(tmp_path / "place.json")
    assert PlacementStudy.load(tmp_path / "place.json").by_kind == study.by_kind


def test_prompts_without_a_kind_make_no_interval_of_it_narrower() -> None:
    """Sends of images in eight of 80 prompts: the jackknife over these eight, with the others as without."""
    tokens = np.full((80, 3), 9)
    tokens[:, 1] = 0
    halves = halves_of(["a"] * 80, None, 0)
    tokens[[*halves.scored[:4], *halves.learnt[:4]], 1] = 20
    found = place(made.signatures(segments=WITH_IMAGES, tokens=tokens, prompts=80, categories=["a"]), devices=4)
    signatures = made.signatures(segments=WITH_IMAGES, tokens=tokens, prompts=80, categories=["a"])
    (image,) = [one for one in found.by_kind if one.tokens == "prompt/image"]
    measure, home = image.placements["contiguous"].sends, image.placements["contiguous"].home
    loads = signatures.loads("image")[halves.scored[:4]]  # (prompts, layers, experts)
    stay = loads[:, :, 2 * home : 2 * home + 2].sum(axis=(1, 2))
    each, number = loads.sum(axis=(1, 2)), 4
    left_out = 1 - (stay.sum() - stay) / (each.sum() - each)
    half = 3.182446 * np.sqrt((number - 1) / number * ((left_out - left_out.mean()) ** 2).sum())
    assert measure.value == pytest.approx(1 - stay.sum() / each.sum())
    assert measure.ci == pytest.approx((measure.value - half, min(measure.value + half, 1)), abs=1e-6)


def test_the_interval_of_balancedness_holds_devices_that_are_even() -> None:
    """Images that each prefer other experts, and no device: few of them load some device more, which is chance."""
    held = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        tokens = np.tile([9, 60, 4], (60, 1))
        odds = np.exp(0.8 * rng.normal(size=(60, 3, 3, 16)))
        counts = rng.multinomial(2 * tokens[:, :, None], odds / odds.sum(axis=3, keepdims=True))
        counts = np.minimum(counts, tokens[:, :, None, None]).astype(np.uint16)
        made_up = made.signatures(
            counts=counts, tokens=tokens, segments=WITH_IMAGES, categories=["a"], meta={"router_may_drop": True}
        )
        (image,) = [one for one in place(made_up, devices=4, seed=seed).by_kind if one.tokens == "prompt/image"]
        held.append(image.placements["contiguous"].balancedness.ci[1] > 0.985)
    assert np.mean(held) > 0.75
