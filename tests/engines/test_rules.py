"""A rule that does not fit a model is refused in a sentence that names what is wrong."""

import json

import pytest

from moexray.engines.rule_checks import check_rule
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
    described,
)
from moexray.errors import CaptureError
from moexray.routing import RouterLayout
from moexray.segments import WITH_IMAGES

LAYOUT = RouterLayout(layers=(1, 3), experts=(8, 6), top_k=(4, 2), segments=WITH_IMAGES)
TEXT = RouterLayout(layers=(1, 3), experts=(8, 6), top_k=(4, 2))
TWICE = RouterLayout(layers=(1,), experts=(8,), top_k=(4,), passes=(2,))

FITTING = [
    FixedK(2),
    FixedK(1, normalisation="kept", layers=(3,)),
    PerLayer((4, 1)),
    TopP(1.0),
    Skip(0.0),
    Skip((0.1, 1.0)),
    OnDemand((1, 2), ((0.1, 0.5, 0.5), ())),
    RandomDrop(1.5, seed=3),
    RandomDrop((3.2, 1.0)),
    LeaveOutRanks((0,)),
    LeaveOutRanks((3,), layers=(1,)),
    LeaveOutRanks(()),
    Without({1: [7, 0]}),
    Without({3: [1, 2, 3, 4]}, "replaced"),
    Given({1: [7, 6, 5, 4]}),
    Below((0.5, 0.0), 0.1),
    ByKind({}),
    ByKind({"text": FixedK(1), "image": Below((1.0, 1.0), 0.0, normalisation="kept")}),
    ByKind({"image": Without({1: [7, 0]}, "replaced")}),
]
REFUSED = [
    (FixedK(0), "layer 1 selects 4 experts for a token, so it can keep 1 to 4, not 0"),
    (FixedK(3), "layer 3 selects 2 experts for a token, so it can keep 1 to 2, not 3"),
    (FixedK(1.5), "k of layer 1 is 1.5, which is no whole number"),  # type: ignore[arg-type]
    (FixedK(1, normalisation="softmax"), "normalisation 'softmax' is none of native, kept, rescaled"),  # type: ignore[arg-type]
    (FixedK(1, layers=(2,)), "layer 2 routes no token: the MoE layers are 1, 3"),
    (PerLayer((1, 1, 1)), "3 values of k, but 2 MoE layers"),
    (TopP(0.0), "p must be above 0 and at most 1, not 0.0"),
    (TopP(float("nan")), "p must be above 0 and at most 1, not nan"),
    (Skip(-0.1), "beta must be from 0 to 1, not -0.1"),
    (Skip((0.1, float("nan"))), "beta must be from 0 to 1, not nan"),
    (OnDemand((1, 1), ((0.1, 0.2, 0.3, 0.4), ())), "layer 1 selects 4 experts, so it cannot keep 1 to 5"),
    (OnDemand((1, 0), ((), ())), "layer 3 selects 2 experts, so it cannot keep 0 to 0"),
    (OnDemand((1, 1), ((0.2, 0.1), ())), "the thresholds of layer 1 are no rising finite numbers"),
    (RandomDrop(0.5), "layer 1 selects 4 experts for a token, so a mean of 1 to 4 can be kept, not 0.5"),
    (RandomDrop(3.0), "layer 3 selects 2 experts for a token, so a mean of 1 to 2 can be kept, not 3.0"),
    (RandomDrop(2.0, seed=-1), "the seed must be at least 0, not -1"),
    (LeaveOutRanks((2,)), "layer 3 selects 2 experts: there is no rank 2"),
    (Without({2: [0]}), "layer 2 routes no token"),
    (Without({3: [6]}), "layer 3 has experts 0 to 5, not 6"),
    (Without({3: [-1]}), "layer 3 has experts 0 to 5, not -1"),
    (Without({3: [1, 1]}), "an expert of layer 3 is named twice"),
    (Without({3: [1]}, layers=(3,)), "its experts name the layers"),
    (Without({3: [1]}, "merged"), "meaning 'merged' is none of skipped, replaced"),  # type: ignore[arg-type]
    (Without({3: [0, 1, 2, 3, 4]}, "replaced"), "1 experts would be left of layer 3, which selects 2 for a token"),
    (Without({3: [0]}, "replaced", normalisation="kept"), "its normalisation is native"),
    (Given({3: []}), "layer 3 takes 1 to 2 experts for a token, not 0"),
    (Given({3: [0, 1, 2]}), "layer 3 takes 1 to 2 experts for a token, not 3"),
    (Below((0.5,), 0.1), "1 values of importance, but 2 MoE layers"),
    (Below((0.5, float("inf")), 0.1), "the importance of a layer is a finite number of at least 0, not inf"),
    (Below((0.5, 0.5), float("nan")), "the threshold must be a finite number of at least 0, not nan"),
    (ByKind({"audio": FixedK(1)}), "no token of this engine is of kind 'audio', there are text, image"),
    (ByKind({"image": FixedK(5)}), "of image tokens, FixedK: layer 1 selects 4 experts for a token"),
    (ByKind({"image": ByKind({})}), "the rule of image tokens is by kind itself"),
    (ByKind({"image": FixedK(1)}, normalisation="kept"), "names its own layers and normalisation"),
    (ByKind({"image": FixedK(1)}, layers=(1,)), "names its own layers and normalisation"),
    (Rule(), "there is no such rule: there are Below, ByKind, FixedK, Given"),
]


@pytest.mark.parametrize("rule", FITTING, ids=repr)
def test_a_rule_that_fits_is_taken_and_described_in_json(rule: Rule) -> None:
    check_rule(rule, LAYOUT)
    assert json.loads(json.dumps(described(rule)))["rule"] == type(rule).__name__


@pytest.mark.parametrize(("rule", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_one_that_does_not_fit_is_refused(rule: Rule, reason: str) -> None:
    with pytest.raises(CaptureError, match=f"^rule {type(rule).__name__}: ") as refusal:
        check_rule(rule, LAYOUT)
    assert reason in str(refusal.value)


def test_what_a_layer_selects_at_one_pass_is_the_most_that_it_can_keep() -> None:
    check_rule(FixedK(2), TWICE)
    with pytest.raises(CaptureError, match="keep 1 to 2, not 3"):
        check_rule(FixedK(3), TWICE)
    with pytest.raises(CaptureError, match="routes a token 2 times"):
        check_rule(Given({1: [0, 1]}), TWICE)


def test_a_description_names_experts_by_layer() -> None:
    assert described(Without({3: [1, 2]})) == {
        "rule": "Without",
        "normalisation": "native",
        "experts": {"3": [1, 2]},
        "meaning": "skipped",
    }


def test_a_rule_of_image_tokens_is_refused_by_name_where_there_are_none() -> None:
    check_rule(ByKind({"text": FixedK(1)}), TEXT)
    with pytest.raises(CaptureError, match="of kind 'image', there are text: open the engine with `images`"):
        check_rule(ByKind({"image": FixedK(1)}), TEXT)


def test_a_rule_by_kind_is_described_kind_by_kind() -> None:
    assert described(ByKind({"image": FixedK(2, normalisation="kept")})) == {
        "rule": "ByKind",
        "kinds": {"image": {"rule": "FixedK", "normalisation": "kept", "k": 2}},
    }
