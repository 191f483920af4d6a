"""A rule by kind of token changes tokens of that kind as the plain rule would, and no bit of what others compute."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moexray.engines.rules import (
    Below,
    ByKind,
    FixedK,
    Given,
    LeaveOutRanks,
    OnDemand,
    PerLayer,
    RandomDrop,
    Rule,
    Skip,
    TopP,
    Without,
)
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import ModelError

from ...tiny_models import FAMILIES, loaded, random_model, tokenizer_of_letters
from .kinds import Text, under

PICTURE = Text((3, 14, 40, 41, 42, 43, 26, 5, 35), images=(2, 3, 4, 5))
LATER = Text((7, 40, 44, 2), images=(1, 2))
PLAIN = Text((9, 26, 5, 35, 8, 30))
BATCH = [PICTURE, LATER, PLAIN]


NIGHTLY = {"mixtral", "qwen3_moe", "gpt_oss"}
EACH = [pytest.param(name, marks=pytest.mark.nightly if name in NIGHTLY else ()) for name in FAMILIES]


@pytest.fixture(scope="module", params=EACH)
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    return TransformersEngine(loaded(request.param, "float64"))


@pytest.fixture(scope="module")
def olmoe() -> TransformersEngine:
    return TransformersEngine(loaded("olmoe", "float64"))


def rules(engine: TransformersEngine) -> list[Rule]:
    """Rules that leave out something in the first layer."""
    first, layers = engine.layout.layers[0], len(engine.layout.layers)
    median = float(np.median(under(engine, None, [PICTURE]).weights[0][PICTURE.is_image]))
    return [
        FixedK(1),
        FixedK(1, normalisation="kept"),
        FixedK(1, normalisation="rescaled"),
        PerLayer((1,) * layers),
        TopP(0.5),
        Skip(0.9),
        Below((1.0,) * layers, median, normalisation="kept"),
        OnDemand((1,) * layers, ((0.5,),) * layers),
        RandomDrop(1.3, seed=3),
        LeaveOutRanks((0,)),
        Without({first: [0, 1, 2, 3]}),
        Without({first: [0, 1, 2]}, "replaced"),
        Given({first: [4]}),
    ]


def test_image_tokens_follow_their_rule_and_text_tokens_none(engine: TransformersEngine) -> None:
    """In the first MoE layer, which sees the same tokens under every rule, all of it can be compared."""
    whole = under(engine, None, BATCH)
    for rule in rules(engine):
        plain, found = under(engine, rule, BATCH), under(engine, ByKind({"image": rule}), BATCH)
        for row, text in enumerate(BATCH):
            image = text.is_image
            for kind, expected in ((image, plain), (~image, whole)):
                one, other = found.experts[row][kind, 0], expected.experts[row][kind, 0]
                np.testing.assert_array_equal(np.sort(one), np.sort(other), err_msg=str(rule))
                np.testing.assert_array_equal(
                    np.sort(found.weights[row][kind, 0]), np.sort(expected.weights[row][kind, 0]), err_msg=str(rule)
                )
        assert not torch.equal(found.logits[0], whole.logits[0]), rule


def test_the_recording_shows_exactly_k_by_kind(engine: TransformersEngine) -> None:
    for normalisation in ("native", "kept", "rescaled"):
        image = FixedK(1, normalisation=normalisation)
        found = under(engine, ByKind({"image": image, "text": FixedK(2)}), BATCH)
        for row, text in enumerate(BATCH):
            number = (found.experts[row] >= 0).sum(2)
            np.testing.assert_array_equal(number, np.where(text.is_image, 1, 2)[:, None] + np.zeros_like(number))
            assert (found.weights[row][found.experts[row] < 0] == 0).all()


def test_a_rule_that_leaves_everything_changes_no_bit(engine: TransformersEngine) -> None:
    k, layers = engine.layout.top_k[0], len(engine.layout.layers)
    whole = under(engine, None, BATCH)
    nothing = [FixedK(k), FixedK(k, normalisation="rescaled"), TopP(1.0), Skip(1e-30), Below((1.0,) * layers, 1e-30)]
    for rule in [*nothing, RandomDrop(float(k)), LeaveOutRanks(()), Without({}), Given({})]:
        for by_kind in (ByKind({"image": rule}), ByKind({"image": rule, "text": FixedK(k)})):
            found = under(engine, by_kind, BATCH)
            for one, other in zip(found.logits, whole.logits, strict=True):
                assert torch.equal(one, other), by_kind


def test_the_same_rule_for_every_kind_is_the_plain_rule_bit_by_bit(engine: TransformersEngine) -> None:
    for rule in rules(engine):
        plain, found = under(engine, rule, BATCH), under(engine, ByKind({"text": rule, "image": rule}), BATCH)
        for one, other in zip(found.logits, plain.logits, strict=True):
            assert torch.equal(one, other), rule


def test_rules_that_differ_in_nothing_that_counts_are_the_plain_rule_but_for_rounding(
    engine: TransformersEngine,
) -> None:
    """Written apart, kind by kind: the rows of both kinds together are those of the plain rule."""
    every = engine.layout.layers
    for rule in rules(engine):
        if isinstance(rule, Without | Given):
            continue
        spelled = type(rule)(**{**vars(rule), "layers": every})
        plain, found = under(engine, rule, BATCH), under(engine, ByKind({"text": rule, "image": spelled}), BATCH)
        for row in range(len(BATCH)):
            torch.testing.assert_close(found.logits[row], plain.logits[row], rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(np.sort(found.experts[row]), np.sort(plain.experts[row]))


def test_a_rule_of_image_tokens_changes_no_bit_of_texts_without_images(engine: TransformersEngine) -> None:
    others = [PLAIN, Text((1, 2, 3))]
    whole = under(engine, None, others)
    for rule in rules(engine):
        found = under(engine, ByKind({"image": rule}), others)
        for one, other in zip(found.logits, whole.logits, strict=True):
            assert torch.equal(one, other), rule


def test_texts_without_images_are_routed_as_without_the_rule_whatever_runs_beside_them(
    engine: TransformersEngine,
) -> None:
    """So are the tokens before an image, which cannot see it."""
    whole = under(engine, None, BATCH)
    for rule in rules(engine):
        found = under(engine, ByKind({"image": rule}), BATCH)
        for row, tokens in ((0, slice(0, 2)), (1, slice(0, 1)), (2, slice(None))):
            np.testing.assert_array_equal(found.experts[row][tokens], whole.experts[row][tokens])
            torch.testing.assert_close(found.logits[row][tokens], whole.logits[row][tokens], rtol=1e-4, atol=1e-5)


def test_neighbours_in_the_batch_change_nothing(engine: TransformersEngine) -> None:
    """Some routers compute in single precision."""
    for rule in (FixedK(1), Skip(0.9), Without({engine.layout.layers[0]: [0, 1, 2]}, "replaced")):
        by_kind = ByKind({"image": rule, "text": Skip(0.7)})
        together = under(engine, by_kind, BATCH)
        swapped = under(engine, by_kind, BATCH[::-1])
        for row, text in enumerate(BATCH):
            alone = under(engine, by_kind, [text])
            np.testing.assert_array_equal(together.experts[row], swapped.experts[2 - row])
            np.testing.assert_array_equal(together.experts[row], alone.experts[0])
            torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_a_layer_computes_what_is_left_for_each_token_by_hand(olmoe: TransformersEngine) -> None:
    """Image tokens go to the expert of the greatest weight alone, text tokens to all three."""
    block: Any = olmoe.model.model.layers[1].mlp
    seen: dict[str, Tensor] = {}
    handle = block.register_forward_hook(lambda _m, args, output: seen.update(given=args[0], returned=output))
    under(olmoe, ByKind({"image": FixedK(1, normalisation="kept", layers=(1,))}), [PICTURE])
    handle.remove()
    probabilities = (seen["given"][0] @ block.gate.weight.T).softmax(-1)
    for token, hidden in enumerate(seen["given"][0]):
        weights, experts = probabilities[token].topk(1 if PICTURE.is_image[token] else 3)
        by_hand = torch.zeros_like(hidden)
        for weight, expert in zip(weights, experts, strict=True):
            gate, up = (block.experts.gate_up_proj[expert] @ hidden).chunk(2)
            by_hand += block.experts.down_proj[expert] @ (nn.functional.silu(gate) * up) * weight
        torch.testing.assert_close(seen["returned"][0, token], by_hand)


def test_selections_below_a_threshold_are_skipped_and_a_token_may_be_left_with_none(
    olmoe: TransformersEngine,
) -> None:
    """0.5 · weight < 0.06 in the first layer, and nothing is ever below 0 in the second."""
    whole = under(olmoe, None, [PICTURE])
    rule = Below((0.5, 0.0, 0.5), 0.06, normalisation="kept", layers=(0,))
    found = under(olmoe, ByKind({"image": rule}), [PICTURE])
    weights = whole.weights[0][:, 0].astype(np.float64)
    left = (0.5 * weights >= 0.06) | ~PICTURE.is_image[:, None]
    np.testing.assert_array_equal(found.experts[0][:, 0], np.where(left, whole.experts[0][:, 0], -1))
    assert 0 < left[PICTURE.is_image].sum() < left[PICTURE.is_image].size
    nothing = under(olmoe, ByKind({"image": Below((0.0, 1.0, 1.0), 0.1, layers=(0,))}), [PICTURE])
    assert (nothing.experts[0][PICTURE.is_image, 0] == -1).all()
    assert torch.isfinite(nothing.logits[0]).all()


@pytest.mark.parametrize("name", ["olmoe", "mixtral", "gpt_oss"])
def test_every_experts_implementation_computes_the_same(name: str) -> None:
    reference = TransformersEngine(loaded(name, "float64"))
    cast = random_model(FAMILIES[name](), torch.float64).float()
    layers = reference.layout.layers
    parts = [FixedK(1), Skip(0.8), Given({layers[0]: [4]}), Without({layers[0]: [0, 1, 2]}, "replaced")]
    for implementation in ("eager", "grouped_mm", "batched_mm"):
        engine = TransformersEngine(LoadedModel(name, cast, tokenizer_of_letters()))
        cast.set_experts_implementation(implementation)
        for part in parts:
            found = under(engine, ByKind({"image": part}), BATCH)
            for one, other in zip(found.logits, under(reference, ByKind({"image": part}), BATCH).logits, strict=True):
                torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)
        engine.close()


def test_a_router_that_selects_what_is_banned_for_a_kind_is_refused(olmoe: TransformersEngine) -> None:
    """Only tokens of that kind are looked at: others may select those experts."""
    whole = under(olmoe, None, BATCH)
    banned = np.unique(whole.experts[0][:, 0])[:4].tolist()
    found = under(olmoe, ByKind({"image": Without({0: banned}, "replaced")}), BATCH)
    assert not np.isin(found.experts[0][PICTURE.is_image, 0], banned).any()
    assert np.isin(found.experts[0][~PICTURE.is_image, 0], banned).any()


def test_a_layer_that_cannot_follow_is_named() -> None:
    engine = TransformersEngine(loaded("olmoe", "float64"))
    del engine.model.model.layers[1].mlp.gate.top_k
    engine.model.model.layers[1].mlp.gate.__dict__["top_k"] = np.int64(3)  # no plain number: no router is found
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.experts: no router was found"):
        under(engine, ByKind({"image": FixedK(1)}), [PICTURE])
