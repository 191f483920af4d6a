"""A check finds every fault that is planted in a true recording, says which one it is, and passes what is true."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moexray.checks.result import RoutingCheck
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError
from moexray.model_fingerprint import KEY
from moexray.replays.recorded_file import Kept

from .planted import Fault, checked, edited, engine_of, prompts, recorded

SHAPES = ("olmoe", "qwen3_moe", pytest.param("qwen2_moe", marks=pytest.mark.nightly))


@pytest.fixture(scope="module", params=SHAPES)
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    """Return the engine of a model in float32: with dense layers between, and with a shared expert."""
    return engine_of(request.param)


@pytest.fixture(scope="module")
def true(engine: TransformersEngine) -> list[Kept]:
    """Return what was recorded of six prompts in two padded batches."""
    return recorded(engine, prompts(6), together=3)


@pytest.fixture(scope="module")
def olmoe() -> TransformersEngine:
    return engine_of("olmoe")


def name_of(found: RoutingCheck) -> str | None:
    return None if found.diagnosis is None else found.diagnosis.name


def zeros(phase: int | None = None, place: int | None = None) -> Fault:
    """Return a fault that leaves rows unwritten: of a phase, of a layer, or of both."""

    def edit(one: Kept, experts: np.ndarray) -> None:
        rows = np.arange(len(experts)) if phase is None else np.flatnonzero(one.phases == phase)
        layers = range(experts.shape[1]) if place is None else [place]
        for layer in layers:
            experts[rows, layer] = 0

    return edited(edit)


def rolled(axis: int, by: int) -> Fault:
    return lambda some: [replace(one, experts=np.roll(one.experts, by, axis=axis)) for one in some]


def physical(some: list[Kept]) -> list[Kept]:
    """Rename the experts of each layer, as a placement on devices does."""
    rng = np.random.default_rng(1)
    width = int(max(one.experts.max() for one in some)) + 1
    names = [rng.permutation(width) for _ in range(some[0].experts.shape[1])]

    def edit(_one: Kept, experts: np.ndarray) -> None:
        for place, of in enumerate(names):
            experts[:, place] = of[experts[:, place]]

    return edited(edit)(some)


def stale(some: list[Kept]) -> list[Kept]:
    """Give the first prompt the first rows of the second."""
    experts = some[0].experts.copy()
    experts[:16] = some[1].experts[:16]
    return [replace(some[0], experts=experts), *some[1:]]


def drafted(some: list[Kept]) -> list[Kept]:
    """Let another router write over the first layer."""
    rng = np.random.default_rng(2)
    width = int(max(one.experts.max() for one in some)) + 1

    def edit(_one: Kept, experts: np.ndarray) -> None:
        drawn = rng.permuted(np.tile(np.arange(width), (len(experts), 1)), axis=1)
        experts[:, 0] = drawn[:, : experts.shape[2]]

    return edited(edit)(some)


def written_once(some: list[Kept]) -> list[Kept]:
    def edit(one: Kept, experts: np.ndarray) -> None:
        experts[one.phases == 1] = experts[one.phases == 1][0]

    return edited(edit)(some)


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "zero rows of prompts": (zeros(phase=0), "not whole", "unwritten"),
    "zero rows of generated tokens": (zeros(phase=1), "not whole", "unwritten"),
    "zero rows of one layer": (zeros(place=1), "not whole", "unwritten"),
    "layers shifted by one": (rolled(1, 1), "different", "layers_shifted"),
    "rows one token late": (rolled(0, 1), "different", "tokens_shifted"),
    "rows one token early": (rolled(0, -1), "different", "tokens_shifted"),
    "physical ids": (physical, "different", "ids_renamed"),
    "stale rows of another prompt": (stale, "different", "stale"),
    "a draft layer over the first": (drafted, "different", "one_layer"),
    "generated rows that are one": (written_once, "not whole", "one_row"),
}


def test_what_is_true_is_called_true(engine: TransformersEngine, true: list[Kept]) -> None:
    found = checked(engine, true)
    assert found.verdict == "true"
    assert found.comparison is not None
    assert found.comparison.equal == found.comparison.rows == sum(one.known.sum() for one in true)
    assert found.diagnosis is None


def test_a_model_with_shared_experts_is_called_true() -> None:
    engine = engine_of("qwen2_moe")
    assert checked(engine, recorded(engine, together=4)).verdict == "true"


def test_the_order_of_a_row_does_not_matter(engine: TransformersEngine, true: list[Kept]) -> None:
    assert checked(engine, [replace(one, experts=np.sort(one.experts, axis=2)) for one in true]).verdict == "true"


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_named(engine: TransformersEngine, true: list[Kept], name: str) -> None:
    plant, verdict, cause = FAULTS[name]
    found = checked(engine, plant(true))
    assert (found.verdict, name_of(found)) == (verdict, cause)


def test_padding_that_was_counted_is_named(engine: TransformersEngine, true: list[Kept]) -> None:
    """One of the prompts begins with the token that pads."""
    pad, found = int(true[3].token_ids[0]), []
    for place, one in enumerate(true):
        number = 3 + place
        junk = np.sort(np.tile(np.arange(one.experts.shape[2]), (number, one.experts.shape[1], 1)), axis=2)
        found.append(
            Kept(
                one.name,
                np.concatenate([np.full(number, pad), one.token_ids]),
                np.concatenate([np.zeros(number, dtype=np.int64), one.phases]),
                np.concatenate([junk, one.experts]),
                np.ones((number + len(one.experts), one.experts.shape[1]), dtype=bool),
            )
        )
    check = checked(engine, found)
    assert (check.verdict, name_of(check)) == ("different", "padding")


def test_one_wrong_expert_of_one_token_is_found_where_it_stands(
    olmoe: TransformersEngine,
) -> None:
    true = recorded(olmoe)
    wrong = true[2].experts.copy()
    token, place = 11, 1
    wrong[token, place, 0] = next(one for one in range(12) if one not in wrong[token, place])
    found = checked(olmoe, [*true[:2], replace(true[2], experts=wrong), *true[3:]])
    assert found.comparison is not None
    assert found.verdict == "different"
    assert found.comparison.different == 1
    (first,) = found.comparison.first
    assert (first.prompt, first.token, first.layer) == ("p2", token, place)
    assert first.recorded == tuple(wrong[token, place].tolist())
    assert sorted(first.true) == sorted(true[2].experts[token, place].tolist())
    assert first.text == olmoe.text_of(int(true[2].token_ids[token]))
    assert name_of(found) is None
    assert "no cause was proven" in found.notes["diagnosis"]


def test_a_wrong_row_makes_no_other_row_look_wrong(olmoe: TransformersEngine) -> None:
    true = recorded(olmoe)
    found = checked(olmoe, zeros(place=0)(true))
    assert found.comparison is not None
    assert {one.layer for one in found.comparison.layers if one.different} == {0}


def test_another_checkpoint_is_named_where_fingerprints_tell() -> None:
    engine = engine_of("olmoe")
    true, before = recorded(engine), {**engine.description, KEY: {"weights": "a"}}
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in engine.model.parameters():
            if tensor.ndim > 1:
                tensor.mul_(1 + 0.5 * torch.randn_like(tensor))
    unnamed = checked(engine, true)
    assert unnamed.diagnosis is None
    assert "another checkpoint" in unnamed.notes["diagnosis"]
    engine.description = {**engine.description, KEY: {"weights": "b"}}
    found = checked(engine, true, before)
    assert (found.verdict, name_of(found)) == ("different", "another_checkpoint")
    assert (
        found.findings[0] == "the recording has another weights than the model that was loaded, by their fingerprints"
    )


def test_fewer_experts_a_token_are_those_of_the_greatest_scores(olmoe: TransformersEngine) -> None:
    from moexray.checks.alignment import Layers
    from moexray.checks.integrity import Integrity
    from moexray.replays.check import against

    true = recorded(olmoe)
    cut = [replace(one, experts=one.experts[:, :, :2]) for one in true]  # by falling score
    found = against(
        olmoe,
        cut,
        Layers((0, 1, 2), (12,) * 3, (2,) * 3),
        source="a test",
        meta={},
        integrity=Integrity(4, 0, 0, has_rows=True),
        notes={},
        fingerprint=None,
        announce=lambda _name: None,
    )
    assert (found.verdict, name_of(found)) == ("different", "truncated")
    assert found.comparison is not None
    assert found.comparison.different == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["olmoe", "qwen3_moe", "deepseek_v3"])
def test_a_bfloat16_recording_is_true_in_bfloat16_and_beside_its_weights_in_float32(shape: str) -> None:
    """What its rounding swaps is a tie; that of groups of experts as well."""
    engine = engine_of(shape, "bfloat16")
    true = recorded(engine, prompts(10), together=5)
    meta = engine.description
    assert checked(engine, true).verdict == "true"
    engine.model.float()
    found = checked(engine, true, meta)
    assert found.verdict == "true"
    assert found.comparison is not None
    assert found.comparison.tie is not None
    assert found.comparison.ties > 0
    assert found.comparison.tie.greatest < found.comparison.tie.limit


@pytest.mark.slow
def test_faults_of_a_bfloat16_recording_are_named_as_well() -> None:
    engine = engine_of("olmoe", "bfloat16")
    true = recorded(engine, prompts(6), together=3)
    for name in ("layers shifted by one", "rows one token late", "physical ids", "a draft layer over the first"):
        plant, verdict, cause = FAULTS[name]
        found = checked(engine, plant(true))
        assert (found.verdict, name_of(found)) == (verdict, cause), name


def test_without_scores_nothing_is_called_a_tie() -> None:
    engine = engine_of("olmoe", "bfloat16")
    true = recorded(engine, prompts(10), together=5)
    engine.capabilities -= {"scores"}
    engine.model.float()
    found = checked(engine, true, {**engine.description, "dtype": "bfloat16"})
    assert found.comparison is not None
    assert found.comparison.ties == 0
    assert found.comparison.tie is None
    assert found.verdict == "different"
    assert "not to be had" in found.notes["comparison.tie"]


@pytest.mark.slow
def test_exactly_the_rows_that_were_changed_are_found(olmoe: TransformersEngine) -> None:
    """Wherever they stand: in float32 no other row differs, since the model goes on with its own experts."""
    true = recorded(olmoe, prompts(2))

    @settings(max_examples=12)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        one = true[data.draw(st.integers(0, 1))]
        tokens, layers, _ = one.experts.shape
        cells = st.tuples(st.integers(0, tokens - 1), st.integers(0, layers - 1))
        wrong = data.draw(st.sets(cells, min_size=1, max_size=9))
        experts = one.experts.copy()
        for token, layer in wrong:
            others = [expert for expert in range(12) if expert not in experts[token, layer]]
            experts[token, layer, data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(others))
        found = checked(olmoe, [replace(one, experts=experts)])
        assert found.comparison is not None
        assert found.comparison.different == len(wrong)
        by_layer = {rows.layer: 0 for rows in found.comparison.layers}
        for rows in found.comparison.layers:
            by_layer[rows.layer] += rows.different
        assert by_layer == {layer: sum(at == layer for _, at in wrong) for layer in by_layer}

    holds()


def test_what_one_pass_does_not_route_as_it_was_written_is_left_out(
    olmoe: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a longer text has other frequencies of its positions."""
    true, route = recorded(olmoe), olmoe.route

    def refusing(token_ids: np.ndarray, *, written: int = 0, **options: Any) -> np.ndarray:
        if written:
            message = "this model would route them otherwise than as it wrote them"
            raise CaptureError(message)
        return route(token_ids, written=written, **options)

    monkeypatch.setattr(olmoe, "route", refusing)
    found = checked(olmoe, true)
    assert found.verdict == "true"
    assert found.comparison is not None
    assert {one.phase for one in found.comparison.layers} == {"prompt"}
    assert "are left out: this model would route" in found.notes["comparison.prompts"]


def drawn(experts: np.ndarray) -> np.ndarray:
    """Return as many rows of distinct experts, drawn at random."""
    rng = np.random.default_rng(3)
    return np.argsort(rng.random((*experts.shape[:-1], 12)), axis=-1)[..., : experts.shape[-1]]


def swapped_and_drawn(_one: Kept, experts: np.ndarray) -> None:
    experts[:, [0, 1]], experts[:, 2] = experts[:, [1, 0]], drawn(experts[:, 2])


def renamed_and_drawn(_one: Kept, experts: np.ndarray) -> None:
    experts[:, 0], experts[:, 1] = 11 - experts[:, 0], drawn(experts[:, 1])


@pytest.mark.parametrize(("fault", "cause"), [(swapped_and_drawn, "layers_moved"), (renamed_and_drawn, "ids_renamed")])
def test_a_cause_says_how_many_rows_it_does_not_explain(
    olmoe: TransformersEngine, fault: Callable[[Kept, np.ndarray], object], cause: str
) -> None:
    """A layer of random rows has no counterpart, and is not true because another layer is."""
    found = checked(olmoe, edited(fault)(recorded(olmoe)))
    assert found.verdict == "different"
    assert found.comparison is not None
    assert found.diagnosis is not None
    assert found.diagnosis.name == cause
    last = {one.layer: one.different for one in found.comparison.layers if one.phase == "prompt"}
    assert all(last[layer] > 0 for layer in (0, 1))
    told = re.search(r"; ([0-9,]+) of the ([0-9,]+) rows that differ are not explained by it", found.diagnosis.text)
    assert told
    assert int(told[1]) >= sum(len(one.experts) for one in recorded(olmoe)) * 0.9
    assert int(told[2].replace(",", "")) == found.comparison.different


def test_rows_of_one_layer_at_wrong_tokens_are_not_called_those_of_another_router(olmoe: TransformersEngine) -> None:
    def shifted(_one: Kept, experts: np.ndarray) -> None:
        experts[1:, 1] = experts[:-1, 1].copy()

    found = checked(olmoe, edited(shifted)(recorded(olmoe)))
    assert found.diagnosis is not None
    assert found.diagnosis.name == "one_layer"
    assert "they stand at wrong tokens" in found.diagnosis.text
    assert "another router" not in found.diagnosis.text
    other = checked(olmoe, drafted(recorded(olmoe)))
    assert other.diagnosis is not None
    assert "another router" in other.diagnosis.text


def test_a_recording_without_a_number_format_says_what_a_difference_may_be(olmoe: TransformersEngine) -> None:
    some, meta = zeros(place=0)(recorded(olmoe, prompts(1))), dict(olmoe.description)
    assert "comparison.different" not in checked(olmoe, some, meta).notes
    del meta["dtype"]
    assert "ties are those of float32" in checked(olmoe, some, meta).notes["comparison.different"]
    assert "comparison.different" not in checked(olmoe, recorded(olmoe, prompts(1)), meta).notes


def test_nothing_that_was_compared_is_not_true(olmoe: TransformersEngine) -> None:
    unknown = [replace(one, known=np.zeros_like(one.known)) for one in recorded(olmoe, prompts(1))]
    assert checked(olmoe, unknown).verdict == "not compared"
