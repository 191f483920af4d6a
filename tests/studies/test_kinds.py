"""The study of kinds: which tokens it compares, what it counts as a unit, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from moexray import example
from moexray.errors import AnalysisError, SignaturesError
from moexray.segments import WITH_IMAGES, Segment
from moexray.signatures import Signatures
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.studies.kind_counts import kind_counts
from moexray.studies.kinds import study_kinds
from moexray.studies.kinds_result import Kinds
from moexray.views.tables.kinds import kinds_page

from .. import made
from ..stats.simulations import assert_share, simulated

TEXT, IMAGE, WRITTEN = Segment("prompt"), Segment("prompt", "image"), Segment("generated")
SEGMENTS = (TEXT, IMAGE, WRITTEN)


def ernie(prompts: int = 8, *, alone: int = 0) -> Signatures:
    """Text goes to experts 0 to 3 and images to 4 to 7, two a token; the last `alone` prompts hold no image."""
    rng, counts = np.random.default_rng(0), np.zeros((prompts, 3, 2, 8), dtype=np.uint16)
    tokens = np.zeros((prompts, 3), dtype=np.int32)
    for prompt in range(prompts):
        tokens[prompt] = rng.integers(3, 9), 0 if prompt >= prompts - alone else rng.integers(50, 90), 2
        for segment, first in ((0, 0), (1, 4), (2, 0)):
            for layer in range(2):
                for _ in range(tokens[prompt, segment]):
                    counts[prompt, segment, layer, first + rng.choice(4, size=2, replace=False)] += 1
    return made.signatures(counts=counts, tokens=tokens, segments=SEGMENTS, layers=(0, 1))


def test_disjoint_experts_have_msi_one_and_tell_the_whole_kind() -> None:
    found = study_kinds(ernie(), permutations=99)
    assert found.kinds == ("text", "image")
    assert (found.msi, found.design) == (1, "within")
    assert found.information_share == pytest.approx(1, abs=1e-12)
    assert found.difference is not None
    assert found.difference.msi == 1
    assert found.layers[0].bias == (1, 1, 1, 1, 0, 0, 0, 0)
    assert found.prompts == (8, 0, 0)


def test_every_selector_of_tokens_can_be_a_kind() -> None:
    found = study_kinds(ernie(), ("prompt/text", "generated"), permutations=19)
    assert found.msi < 0.5
    assert found.tokens[1] == 16
    phases = study_kinds(example().signatures, permutations=19)
    assert phases.kinds == ("prompt", "generated")
    chat = made.signatures(12, segments=tuple(Segment("prompt", kind) for kind in ("system", "user", "answer")))
    assert study_kinds(chat, ("system", "answer"), permutations=19).kinds == ("system", "answer")


def test_loads_are_those_of_the_signatures() -> None:
    signatures = example().signatures
    found = study_kinds(signatures, permutations=19)
    for kind, place in (("prompt", 0), ("generated", 1)):
        loads = signatures.loads(kind).sum(axis=0)
        for layer, own in zip(found.layers, loads, strict=True):
            assert layer.loads[place].shares == pytest.approx((own / own.sum()).tolist())
            assert layer.loads[place].balance.max_over_mean == pytest.approx(own.max() / own.mean())


def test_kinds_sum_to_the_whole() -> None:
    """Selections of text and of image, each prompt's and all, are those of all tokens; so are the drawn loads."""
    signatures = ernie(10, alone=3)
    counts = kind_counts(signatures, ("text", "image"), seed=0)
    np.testing.assert_array_equal(counts.first + counts.second, signatures.loads())
    np.testing.assert_array_equal(counts.totals.sum(axis=0), signatures.loads().sum(axis=0))
    assert sum(counts.tokens) == signatures.tokens.sum()
    halves = [kind_counts(signatures, (f"{phase}/text", "image"), seed=0).totals for phase in ("prompt", "generated")]
    np.testing.assert_array_equal(halves[0][0] + halves[1][0], counts.totals[0])


def test_each_kind_is_beside_the_load_of_both() -> None:
    """Disjoint experts: each kind uses half of the experts, and load-matched routing gives it all of them."""
    for layer in study_kinds(ernie(), permutations=19).layers:
        for load in layer.loads:
            assert load.balance.dead_experts == 4
            assert load.matched.dead_experts < 1
            assert load.balance.entropy < load.matched.entropy < 1


def test_the_busiest_device_is_that_of_contiguous_experts() -> None:
    """Text is on the first of two devices and images on the second, so that a mix of equal parts is even."""
    found = study_kinds(ernie(), devices=2, permutations=19)
    assert [(own.device, own.busiest) for both in found.devices.layers for own in both] == [(0, 2), (1, 2)] * 2
    shares = [one.share for one in found.devices.mixed]
    assert shares == sorted({0, 0.1, 0.25, 0.5, 0.75, 0.9, 1, found.devices.recorded_share})
    for one in found.devices.mixed:
        assert one.busiest == pytest.approx(2 * max(one.share, 1 - one.share))
        assert one.even < 1.3
        assert one.matched == pytest.approx(2 * found.devices.recorded_share, rel=0.05)
    signatures = example().signatures
    devices = study_kinds(signatures, devices=4, permutations=19).devices
    loads = [signatures.loads(kind).sum(axis=0).reshape(16, 4, 16).sum(axis=2) for kind in ("prompt", "generated")]
    for layer, both in enumerate(devices.layers):
        for kind, own in enumerate(both):
            assert own.busiest == pytest.approx(loads[kind][layer].max() / loads[kind][layer].mean())
            assert own.device == loads[kind][layer].argmax()
    (recorded,) = (one for one in devices.mixed if one.share == devices.recorded_share)
    both_kinds = sum(loads)
    assert recorded.busiest == pytest.approx((both_kinds.max(axis=1) / both_kinds.mean(axis=1)).mean())
    left = np.array([_busiest_without(signatures, unit, devices.recorded_share) for unit in range(len(signatures))])
    low, high = jackknife_interval(recorded.busiest, left, np.zeros(len(left), dtype=int))
    assert recorded.ci[1] == pytest.approx(high)
    assert low - 0.02 < recorded.ci[0] < low  # in some layers two devices may be the busiest


def _busiest_without(signatures: Signatures, unit: int, share: float) -> float:
    rest = np.arange(len(signatures)) != unit
    shares = []
    for kind in ("prompt", "generated"):
        loads = signatures.loads(kind)[rest].sum(axis=0).reshape(16, 4, 16).sum(axis=2)
        shares.append(loads / loads.sum(axis=1, keepdims=True))
    return float(4 * ((1 - share) * shares[0] + share * shares[1]).max(axis=1).mean())


def test_selections_that_no_router_makes_have_a_note_in_the_place_of_load_matched_routing() -> None:
    counts = np.zeros((6, 2, 1, 4), dtype=np.uint16)
    counts[..., 0], counts[..., 1:] = 9, 1
    signatures = made.signatures(counts=counts, top_k=2, tokens=(6, 6), layers=(0,))
    found = study_kinds(signatures, devices=2, permutations=9)
    assert found.layers[0].loads[0].matched is None
    assert {one.matched for one in found.devices.mixed} == {found.devices.layers[0][0].matched} == {None}
    assert "distinct experts" in found.notes["matched"]
    assert kinds_page(found).blocks


def test_devices_that_do_not_divide_the_experts_are_refused() -> None:
    with pytest.raises(AnalysisError, match="`devices` is 3, which does not divide the 8 experts of layer 0"):
        study_kinds(ernie(), devices=3)
    with pytest.raises(AnalysisError, match="at least 1"):
        study_kinds(ernie(), devices=0)
    assert study_kinds(ernie(), permutations=9).document.get("devices") is None


@pytest.mark.slow
@simulated(10, nightly=200)
def test_a_shift_of_images_is_found_in_images_alone(seeds: range) -> None:
    """Two sets of 30 and 24 prompts whose images, or nothing, prefer other experts in the second."""
    found: dict[float, list[list[float]]] = {0.0: [], 1.2: []}
    for seed in seeds:
        for moved, p_values in found.items():
            first, second = (
                drawn_prompts([seed, place], prompts=30 - 6 * place, shift=moved * place) for place in (0, 1)
            )
            shift = study_kinds(first, other=second, permutations=99, seed=seed).shift
            p_values.append([kind.layers[0].adjusted for kind in shift.kinds])
    nothing, planted = np.array(found[0.0]), np.array(found[1.2])
    assert_share(nothing.min(axis=1) <= 0.05, 0.01, 0.09)
    assert_share(planted[:, 0] <= 0.05, 0.0, 0.09)
    assert_share(planted[:, 1] <= 0.05, 0.8, 1.0)


def drawn_prompts(seed: list[int], *, prompts: int, shift: float) -> Signatures:
    """Prompts of text and image, each image of its own taste; a shift moves the mean taste of images."""
    rng, router = np.random.default_rng(seed), np.random.default_rng(0)
    taste, moved = router.normal(size=(2, 8)), router.normal(size=8)
    counts = np.zeros((prompts, 3, 1, 8), dtype=np.uint16)
    for prompt in range(prompts):
        for segment, kind in enumerate((0, 1, 0)):
            own = taste[kind] + kind * shift * moved + 0.5 * rng.normal(size=8)
            scores = own + rng.gumbel(size=((8, 40, 6)[segment], 8))
            counts[prompt, segment, 0] = np.bincount(np.argsort(-scores, axis=1)[:, :2].ravel(), minlength=8)
    return made.signatures(counts=counts, top_k=2, layers=(0,), segments=SEGMENTS)


def test_prompts_of_one_kind_are_left_out_of_the_test_and_named() -> None:
    found = study_kinds(ernie(alone=3), permutations=19)
    assert found.prompts == (5, 3, 0)
    assert found.difference is not None
    assert found.difference.units == 5
    assert "one kind only: 3" in found.notes["difference"]


def test_where_no_prompt_holds_both_kinds_they_are_compared_between_prompts() -> None:
    counts = np.zeros((12, 2, 1, 6), dtype=np.uint16)
    rng = np.random.default_rng(0)
    for prompt in range(12):
        counts[prompt, prompt % 2, 0] = 5 * rng.multinomial(
            10, np.roll([0.5, 0.1, 0.1, 0.1, 0.1, 0.1], 3 * (prompt % 2))
        )
    found = study_kinds(made.signatures(counts=counts, top_k=1, segments=SEGMENTS[:2], layers=(0,)), permutations=199)
    assert found.design == "between"
    assert "holds both kinds" in found.notes["design"]
    assert found.difference is not None
    assert found.difference.units == 12
    assert found.difference.p_value <= 0.05


def test_a_group_is_one_unit() -> None:
    """Prompts of a group that hold one kind each make one unit that holds both."""
    signatures = ernie(12)
    grouped = signatures.replace(groups=tuple(f"g{n // 3}" for n in range(12)))
    found = study_kinds(grouped, permutations=19)
    assert found.difference is not None
    assert found.difference.units == 4
    assert "few exchanges" in found.notes["p_value"]
    assert found.msi == study_kinds(signatures, permutations=19).msi


@pytest.mark.slow
def test_with_groups_exchanged_as_a_whole_p_is_uniform() -> None:
    """Templates route their own way, and their prompts are of unequal length; 60 studies of 12 groups of 3 prompts."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        counts = np.zeros((36, 2, 1, 8), dtype=np.uint16)
        for group in range(12):
            own = rng.dirichlet(np.ones(8), size=2)
            for prompt in range(3):
                for kind in (0, 1):
                    counts[3 * group + prompt, kind, 0] = rng.multinomial(rng.integers(3, 200), own[kind])
        groups = [f"g{n // 3}" for n in range(36)]
        one = made.signatures(counts=counts, top_k=1, segments=SEGMENTS[:2], layers=(0,), groups=groups)
        difference = study_kinds(one, permutations=99, seed=seed).difference
        assert difference is not None
        found.append(difference.p_value)
    assert kstest(found, "uniform").pvalue > 0.01


def test_exchanging_the_kinds_leaves_msi_and_turns_the_bias() -> None:
    one, other = (study_kinds(ernie(), kinds, permutations=19) for kinds in (("text", "image"), ("image", "text")))
    assert one.msi == other.msi
    assert one.layers[0].bias == tuple(1 - bias for bias in other.layers[0].bias if bias is not None)


def test_layers_may_differ_in_experts_and_selections() -> None:
    signatures = made.signatures(10, layers=(0, 3), experts=(4, 8), top_k=(1, 2))
    found = study_kinds(signatures, permutations=19)
    assert [len(one.bias) for one in found.layers] == [4, 8]
    assert [len(one.loads[0].shares) for one in found.layers] == [4, 8]
    narrow = made.signatures(
        10, layers=(0,), experts=4, top_k=1, counts=signatures.counts[:, :, :1, :4], tokens=signatures.tokens
    )
    assert study_kinds(narrow, permutations=19).layers[0].bias == found.layers[0].bias


def test_dropped_selections_do_not_count() -> None:
    found = study_kinds(made.signatures(12, drops=True), permutations=19)
    assert all(sum(load.shares) == pytest.approx(1) for one in found.layers for load in one.loads)


def test_an_expert_that_nobody_selects_is_noted() -> None:
    counts = np.zeros((6, 2, 1, 4), dtype=np.uint16)
    counts[..., :3] = 2
    found = study_kinds(made.signatures(counts=counts, top_k=2, layers=(0,)), permutations=19)
    assert found.layers[0].bias == (0.5, 0.5, 0.5, None)
    assert "selects 1 expert" in found.notes["bias"]
    assert found.msi == 0


def test_a_single_kind_and_more_than_two_are_refused_by_name() -> None:
    with pytest.raises(AnalysisError, match="one kind of tokens only, prompt/text"):
        study_kinds(made.signatures(6, segments=(TEXT,)))
    many = made.signatures(6, segments=tuple(Segment("prompt", kind) for kind in ("text", "image", "audio")))
    with pytest.raises(AnalysisError, match=r"3 kinds of tokens: name two with `kinds`, among all, prompt, text"):
        study_kinds(many)
    with pytest.raises(AnalysisError, match="takes two kinds of tokens, not 3"):
        study_kinds(many, ("text", "image", "audio"))
    with pytest.raises(SignaturesError, match="no tokens are called 'video'"):
        study_kinds(many, ("text", "video"))
    with pytest.raises(AnalysisError, match="share the tokens of prompt/image"):
        study_kinds(many, ("image", "prompt"))


def test_a_kind_without_tokens_is_refused() -> None:
    with pytest.raises(AnalysisError, match="no image token has a selection: name kinds"):
        study_kinds(ernie(alone=8), ("text", "image"))
    # By default the kinds that there are: of texts alone, given to a model that takes images, the two phases.
    assert study_kinds(ernie(alone=8), permutations=9).kinds == ("prompt", "generated")
    with pytest.raises(AnalysisError, match="hold no token"):
        study_kinds(made.signatures(3, tokens=[0, 0]))


def test_too_few_prompts_leave_the_descriptive_part_and_a_note() -> None:
    found = study_kinds(ernie(2))
    assert found.difference is None
    assert found.msi == 1
    assert "fewer than 3" in found.notes["difference"]


def test_another_set_is_compared_kind_by_kind() -> None:
    signatures = example().signatures
    labels = np.array(signatures.prompts.categories)
    first, second = (signatures.take(np.flatnonzero((labels == labels[0]) == one)) for one in (True, False))
    found = study_kinds(first, other=second, permutations=99)
    assert found.shift is not None
    assert [kind.kind for kind in found.shift.kinds] == ["prompt", "generated"]
    assert found.shift.kinds[0].units == (20, 60)
    assert min(layer.adjusted for layer in found.shift.kinds[0].layers) <= 0.02
    assert found.shift.msi is not None
    assert found.shift.msi.units == 20
    assert found.belongs_to(first, second)
    assert any("MSI of the other set" in line for line in found.headline())


def test_other_sets_that_do_not_fit_are_refused() -> None:
    signatures = made.signatures(8)
    with pytest.raises(AnalysisError, match="same prompts and counts"):
        study_kinds(signatures, other=signatures, permutations=9)
    with pytest.raises(AnalysisError, match="capture both sets with one model"):
        study_kinds(signatures, other=made.signatures(8, layers=(0, 1, 2)), permutations=9)
    one, other = (made.signatures(8, seed=seed, groups=["a", "", *"bcdefg"]) for seed in (1, 2))
    with pytest.raises(AnalysisError, match="group 'a' is in both sets"):
        study_kinds(one, other=other, permutations=9)
    with pytest.raises(AnalysisError, match="no image token"):
        study_kinds(ernie(), other=ernie(alone=8), permutations=9)
    few = study_kinds(signatures, other=made.signatures(2, seed=3), permutations=9)
    assert few.shift is None
    assert "fewer than 3" in few.notes["shift"]


def test_of_many_prompts_some_are_drawn_for_the_test_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = made.signatures(40)
    whole = study_kinds(signatures, permutations=19)
    monkeypatch.setattr("moexray.studies.kind_counts._MOST_CELLS", 0)
    monkeypatch.setattr("moexray.studies.kind_counts._FEWEST_UNITS", 15)
    found = study_kinds(signatures, permutations=19)
    assert found.layers == whole.layers
    assert (found.prompts, found.tokens) == (whole.prompts, whole.tokens)
    assert found.difference is not None
    assert found.difference.units == 15
    assert "15 of 40 prompts or groups" in found.notes["units"]


def test_a_file_is_read_as_signatures_in_memory_are(tmp_path: Path) -> None:
    signatures = made.signatures(12)
    signatures.save(tmp_path / "s.npz")
    opened = Signatures.open(tmp_path / "s.npz")
    assert study_kinds(opened, permutations=19).to_json() == study_kinds(signatures, permutations=19).to_json()


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    found = study_kinds(made.signatures(8), other=made.signatures(9, seed=4), permutations=19)
    found.save(tmp_path / "kinds.json")
    assert Kinds.load(tmp_path / "kinds.json").to_json() == found.to_json()
    assert replace(found, shift=None).document.get("shift") is None


def test_what_cannot_be_drawn_is_refused_and_what_has_no_interval_is_noted() -> None:
    signatures = made.signatures(12, segments=WITH_IMAGES)
    with pytest.raises(AnalysisError, match="`permutations` is 0: it must be at least 1"):
        study_kinds(signatures, permutations=0)
    with pytest.raises(AnalysisError, match="`seed` is -1: it must be at least 0"):
        study_kinds(signatures, seed=-1)
    with pytest.raises(AnalysisError, match="the other set: no tokens are called 'image'"):
        study_kinds(signatures, other=made.signatures(12, seed=1), permutations=9)
    tokens = np.full((12, 3), 9)
    tokens[2:, 1] = 0
    found = study_kinds(made.signatures(12, segments=WITH_IMAGES, tokens=tokens), devices=4, permutations=9)
    assert [one.ci is None for one in found.devices.mixed] == [one.share > 0 for one in found.devices.mixed]
    assert found.notes["devices.ci"] == "fewer than 3 prompts or groups hold image tokens"
