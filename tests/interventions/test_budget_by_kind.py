"""A budget by kind of token: losses of text alone, as many experts of each kind as asked, beside one share for all."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from moexray.engines.rules import Below, ByKind, FixedK, LeaveOutRanks, RandomDrop, Without
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError, NotComputable
from moexray.generation import Generation
from moexray.interventions.budget import BudgetOptions, measure_budget
from moexray.interventions.policies import Learnt, rule_by_kind
from moexray.prompts import opened as decoded
from moexray.recording.scoring import diverge, score
from moexray.routing import RouterLayout
from moexray.segments import WITH_IMAGES
from moexray.studies.budget_result import ALL, Budget

from ..engines.transformers.image_zoo import image_processor
from ..engines.transformers.image_zoo_checks import inputs_of
from ..tiny_models import loaded, routed
from .image_engine import NAME, opened, prompts_with_images

IMAGE_ONLY = {"image": 50.0, "text": 100.0}
OPTIONS = BudgetOptions(
    policies=("k", "threshold", "random"),
    keep=(),
    keep_kinds=(IMAGE_ONLY,),
    new_tokens=3,
    batches=(),
    layer_prompts=2,
)
LAYOUT = RouterLayout(layers=(0, 1), experts=(8, 8), top_k=(4, 2), segments=WITH_IMAGES)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    with opened() as one:
        yield one


@pytest.fixture(scope="module")
def found(engine: TransformersEngine) -> Budget:
    return measure_budget(engine, prompts_with_images(), OPTIONS)


@torch.inference_mode()
def logits_by_hand(engine: TransformersEngine, place: int = 3) -> tuple[Tensor, Tensor]:
    """Return the tokens of a prompt, and their logits, from plain transformers."""
    prompt = prompts_with_images()[place]
    pictures: list[Image.Image] = [decoded(one) for one in prompt.images]
    inputs = inputs_of(engine.model, image_processor(NAME), prompt.text, pictures)
    return inputs["input_ids"][0], engine.model(**inputs, use_cache=False).logits[0]


def test_losses_are_those_of_text_after_the_first_token(engine: TransformersEngine) -> None:
    (_, scored), *_ = score(engine, prompts_with_images()[3:4])
    ids, logits = logits_by_hand(engine)
    by_hand = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none").numpy()
    image = np.array([one.kind == "image" for one in scored.segment_names])[scored.segments]
    assert image.sum() > 0
    np.testing.assert_array_equal(scored.token_ids, ids)
    assert np.isnan(scored.losses[image]).all()
    np.testing.assert_array_equal(scored.predicted, ~image & (np.arange(len(ids)) > 0))
    np.testing.assert_allclose(scored.losses[scored.predicted], by_hand[scored.predicted[1:]], rtol=1e-5)


@torch.inference_mode()
def test_divergences_are_those_of_a_model_whose_layer_has_no_experts(engine: TransformersEngine) -> None:
    """The experts of one layer return zeros, by a hook; KL(full ‖ without) of every token's prediction by hand."""
    k = engine.layout.top_k[0]
    rules = [LeaveOutRanks(tuple(range(k)), normalisation="kept", layers=(layer,)) for layer in engine.layout.layers]
    ((_, by_rule),) = diverge(engine, prompts_with_images()[3:4], rules)
    _, before = logits_by_hand(engine)
    for place, tap in enumerate(engine.taps):
        handle = tap.module.register_forward_hook(lambda _m, _args, output: torch.zeros_like(output))
        _, after = logits_by_hand(engine)
        handle.remove()
        was, now = before.log_softmax(-1), after.log_softmax(-1)
        expected = (was.exp() * (was - now)).sum(-1)[:-1].numpy()
        there = ~np.isnan(by_rule[place])
        np.testing.assert_allclose(by_rule[place, there], expected[there[1:]], rtol=1e-6, atol=1e-12)
        assert there.sum() < len(there) - 1  # neither the first token, nor the image


def test_each_kind_has_as_many_experts_as_asked(found: Budget) -> None:
    for one in found.policies:
        if one.keep_kinds is not None and one.policy in ("k", "random"):
            assert one.kinds is not None
            assert {kind: of_kind.mean_k for kind, of_kind in one.kinds.items()} == {"text": 2.0, "image": 1.0}
    assert found.full.kinds is not None
    assert {kind: one.mean_k for kind, one in found.full.kinds.items()} == {"text": 2.0, "image": 2.0}


def test_kinds_and_segments_sum_to_the_whole(found: Budget) -> None:
    assert list(found.tokens) == ["prompt/text", "prompt/image", "generated/text"]
    assert found.tokens["prompt/image"] == 0
    for one in found.policies:
        assert one.kinds is not None
        total = sum(of_kind.tokens for of_kind in one.kinds.values())
        selections = sum(of_kind.tokens * (of_kind.mean_k or 0) for of_kind in one.kinds.values())
        assert selections / total == pytest.approx(one.mean_k)
        losses = sum(found.tokens[name] * (change.loss or 0) for name, change in one.segments.items())
        assert losses / sum(found.tokens.values()) == pytest.approx(one.loss[ALL].loss)
        assert one.segments["prompt/image"].loss is None


def test_shares_by_kind_stand_beside_one_share_that_comes_to_as_many(found: Budget) -> None:
    """Half of the experts of image tokens, all of text: what it comes to are the shares of their tokens."""
    by_kind = [one for one in found.policies if one.keep_kinds == IMAGE_ONLY]
    assert [one.policy for one in by_kind] == ["k", "threshold", "random"]
    for one in by_kind:
        even = [other for other in found.policies if other.keep_kinds is None and other.keep == one.keep]
        assert one.mean_k == pytest.approx(2 * one.keep / 100, abs=0.15)
        if one.policy == "k":
            assert one.against_even is None
            assert f"k at {one.keep:g} %" in found.notes
            continue
        (same,) = [other for other in even if other.policy == one.policy]
        assert one.against_even is not None
        assert one.against_even.mean == pytest.approx(one.loss[ALL].mean - same.loss[ALL].mean)
        random = next(other for other in by_kind if other.policy == "random")
        if one.policy != "random":
            assert one.against_random is not None
            difference = one.loss[ALL].mean - random.loss[ALL].mean
            assert one.against_random.mean == pytest.approx(difference)


def test_the_result_is_read_again_as_it_was_written(found: Budget, tmp_path: Any) -> None:
    found.save(tmp_path / "budget.json")
    assert Budget.load(tmp_path / "budget.json") == found


@pytest.mark.nightly
def test_what_shares_a_batch_changes_nothing(engine: TransformersEngine) -> None:
    options = replace(OPTIONS, keep=(50,), keep_kinds=(IMAGE_ONLY, {"image": 100.0, "text": 50.0}))
    found, alone = (
        measure_budget(engine, prompts_with_images(), replace(options, batch_tokens=size)) for size in (None, 1)
    )
    for one, other in zip(found.policies, alone.policies, strict=True):
        assert one.loss[ALL].mean == pytest.approx(other.loss[ALL].mean, abs=1e-4)
        assert one.mean_k == other.mean_k


def test_a_rule_of_image_tokens_changes_no_bit_of_prompts_without_images(engine: TransformersEngine) -> None:
    plain, pictured = prompts_with_images()[:2], prompts_with_images()[2:]
    before = [dict(score(engine, some)) for some in (plain, pictured)]
    for rule in (FixedK(1), RandomDrop(1.0), Without({0: (0, 1, 2)}), Without({0: (0, 1, 2)}, "replaced")):
        with engine.ruled(ByKind({"image": rule})):
            after = [dict(score(engine, some)) for some in (plain, pictured)]
        for place, one in before[0].items():
            np.testing.assert_array_equal(after[0][place].losses, one.losses)
            np.testing.assert_array_equal(after[0][place].routed.experts, one.routed.experts)
        for place, one in before[1].items():
            image = int(np.flatnonzero(one.segments == 1)[0])
            np.testing.assert_array_equal(after[1][place].routed.experts[:image], one.routed.experts[:image])
            assert not np.array_equal(after[1][place].losses, one.losses, equal_nan=True)


def test_generated_tokens_follow_the_rule_of_text(engine: TransformersEngine) -> None:
    prompts = prompts_with_images()[1:5]
    with engine.ruled(ByKind({"text": FixedK(1)})):
        together = routed(engine, prompts, Generation(4, stop_at_eos=False))
    for one in together:
        kinds = np.array([segment.kind for segment in one.segment_names])[one.segments]
        np.testing.assert_array_equal((one.experts >= 0).sum(2)[kinds == "text"], 1)
        np.testing.assert_array_equal((one.experts >= 0).sum(2)[kinds == "image"], 2)
        assert (one.segments == 2).sum() == 3


def test_every_kind_has_parameters_of_its_own() -> None:
    rng = np.random.default_rng(0)
    weights = {kind: rng.random((100, 2, 4)).astype(np.float16) for kind in ("image", "text")}
    learnt = {kind: Learnt(one, importance=(0.75, 0.25)) for kind, one in weights.items()}
    keep = {"image": 50.0, "text": 75.0}
    rule = rule_by_kind("threshold", keep, LAYOUT, learnt, normalisation="kept", seed=0)
    assert isinstance(rule, ByKind)
    for kind, part in rule.rules.items():
        assert isinstance(part, Below)
        worth = weights[kind].astype(np.float64) * np.array([0.75, 0.25])[:, None]
        kept = (worth[:, 0] >= part.threshold).sum() + (worth[:, 1, :2] >= part.threshold).sum()
        assert kept / 100 == pytest.approx(6 * keep[kind] / 100, abs=0.05)
    learnt["image"] = Learnt(weights["image"][:0], importance=(0.75, 0.25))
    with pytest.raises(NotComputable, match="no image token is among those that parameters are learnt from"):
        rule_by_kind("threshold", keep, LAYOUT, learnt, normalisation="kept", seed=0)


def test_shares_of_kinds_that_there_are_not_are_refused() -> None:
    with TransformersEngine(loaded("olmoe", "float64")) as text:
        prompts = [replace(one, images=()) for one in prompts_with_images()[:2]]
        with pytest.raises(CaptureError, match=r"by kind \(image, text\), but these prompts have tokens of kind text"):
            measure_budget(text, prompts, replace(OPTIONS, policies=("k",), keep_kinds=({"image": 100, "text": 50},)))
    with pytest.raises(CaptureError, match="named twice"):
        BudgetOptions(keep_kinds=(IMAGE_ONLY, IMAGE_ONLY))
