"""Every architecture that the taps can write follows every rule, and shows what it did; others are refused by name."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from moexray.engines.rules import (
    ByKind,
    FixedK,
    Given,
    LeaveOutRanks,
    OnDemand,
    RandomDrop,
    Rule,
    Skip,
    TopP,
    Without,
    k_of_pass,
)
from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.configuration import text_config
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt

from ...tiny_models import routed
from .kinds import Text, under
from .zoo import tiny_model
from .zoo_checks import TEXTS, garbage_in, letters, logits

LISTED = {architecture.model_type: architecture for architecture in moe_architectures()}
RECORDED = sorted(name for name, architecture in LISTED.items() if architecture.tap != "refused")
# Their experts are not told which are selected by an argument that could be changed.
NOT_WRITTEN = {"jetmoe", "llama4", "zaya"}
# No router is found that could be told to select fewer, or whose logits could be masked.
NO_ROUTER = {"dbrx", "phimoe"}
# Its routers weigh the selections together with the shared experts.
NEITHER_KEPT_NOR_RESCALED = {"inkling_mm_model"}
# Its own code fails with one selection.
NEVER_ONE = {"longcat_flash"}
# Their first layers select experts by a table of token ids.
SELECTED_BY_TABLE = {"deepseek_v4"}
# Their experts have one implementation.
EAGER_ONLY = {"dbrx", "longcat_flash", "step3p7"}
FEW = {"olmoe", "deepseek_v3", "gpt_oss", "longcat_flash", "gemma4"}
# Beside them, those that are named above, and every third of all others; the rest are swept nightly.
SOME = {*NO_ROUTER, *NEITHER_KEPT_NOR_RESCALED, *SELECTED_BY_TABLE, *EAGER_ONLY, *RECORDED[::3]}
EACH = [
    pytest.param(name, marks=() if name in FEW else pytest.mark.slow if name in SOME else pytest.mark.nightly)
    for name in RECORDED
    if name not in NOT_WRITTEN
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def opened(model_type: str) -> TransformersEngine:
    return TransformersEngine(LoadedModel(model_type, tiny_model(model_type), letters()))


@pytest.fixture(scope="module", params=EACH)
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    return opened(request.param)


def rules(engine: TransformersEngine) -> list[Rule]:
    """Rules that leave one of two selections in every layer, and one that swaps experts."""
    layers = engine.layout.layers
    two = tuple(1 for _ in layers)
    return [
        FixedK(1, normalisation="kept"),
        TopP(0.5, normalisation="rescaled"),
        Skip(0.9, normalisation="kept"),
        OnDemand(two, tuple((0.6,) for _ in layers), normalisation="rescaled"),
        RandomDrop(1.5, normalisation="kept"),
        LeaveOutRanks((0,), normalisation="kept"),
        Without({layers[-1]: [0, 1, 2]}, normalisation="kept"),
    ]


def test_every_rule_is_followed_and_recorded(engine: TransformersEngine) -> None:
    model_type = engine.description["model"]
    prompts = [Prompt(text, category="c", id=text) for text in TEXTS]
    groups = engine.groups(engine.lengths(prompts, Generation(2)), Generation(2))
    if len(set(groups.tolist())) > 1 or groups[0] < 0:
        prompts = prompts[:1]
    k = np.array(engine.layout.top_k)
    for rule in rules(engine):
        if isinstance(rule, FixedK) and model_type in NEVER_ONE:
            continue
        with engine.ruled(rule):
            generated = 2 if isinstance(rule, RandomDrop) else 0  # whose draws follow the positions
            found = routed(engine, prompts, Generation(generated), want={"weights"})
        for sequence in found:
            number = (sequence.experts >= 0).sum(2)  # (tokens, layers)
            assert (number <= k).all()
            assert sequence.gate_weights is not None
            assert np.isfinite(sequence.gate_weights).all()
            assert (sequence.gate_weights[sequence.experts < 0] == 0).all()
            if isinstance(rule, FixedK | LeaveOutRanks):
                assert (number == k // 2).all()
            if isinstance(rule, Without):
                assert not np.isin(sequence.experts[:, -1], [0, 1, 2]).any()


def test_what_a_rule_left_out_takes_no_part_and_what_it_left_does(engine: TransformersEngine) -> None:
    if any(one > 1 for one in engine.layout.passes):
        pytest.skip("a layer that is passed twice is seen by another test")
    ids = [3, 14, 15, 9]
    model = engine.model
    with engine.ruled(LeaveOutRanks((0,), normalisation="kept")):
        (sequence,) = routed(engine, [Prompt("dopj", category="c", id="p")], Generation(0))
        assert sequence.token_ids.tolist() == ids
        before = logits(model, ids)
        assert torch.isfinite(before).all()
        places = dict(enumerate(engine.layout.layers))
        used = {layer: set(np.unique(sequence.experts[:, place]).tolist()) - {-1} for place, layer in places.items()}
        unused = {layer: set(range(engine.layout.experts[place])) - used[layer] for place, layer in places.items()}
        with garbage_in(model, unused, engine.layout):
            assert torch.equal(logits(model, ids), before)
        layer = engine.layout.layers[-1]
        with garbage_in(model, {layer: used[layer]}, engine.layout) as overwritten:
            assert not overwritten or not torch.equal(logits(model, ids), before)


def test_fewer_selections_are_those_of_the_model_with_a_smaller_k(engine: TransformersEngine) -> None:
    model_type = engine.description["model"]
    ids = [3, 14, 15, 9, 2, 6]
    before = logits(engine.model, ids)
    if model_type in NO_ROUTER | SELECTED_BY_TABLE | NEVER_ONE:
        with pytest.raises(ModelError, match=r"name `kept` or `rescaled`|fails where"), engine.ruled(FixedK(1)):
            pass
    else:
        with engine.ruled(FixedK(1)):
            fewer = logits(engine.model, ids)
        assert not torch.equal(fewer, before)
        assert torch.equal(fewer, of_smaller_k(engine.model, ids))
    if model_type in NO_ROUTER | NEITHER_KEPT_NOR_RESCALED:
        with pytest.raises(ModelError, match="name one of these"), engine.ruled(Skip(0.5)):
            pass
    assert torch.equal(logits(engine.model, ids), before)


def of_smaller_k(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Return the logits of the same weights in a model that is built with one expert a token by its configuration."""
    config = deepcopy(model.config)
    text = text_config(config)
    for name in ("num_experts_per_tok", "top_k_experts", "moe_topk", "moe_k"):
        if getattr(text, name, None) == 2:
            setattr(text, name, 1)
    other = type(model)._from_config(config, dtype=model.dtype).eval()
    other.load_state_dict(model.state_dict())
    other.set_experts_implementation("eager")
    return logits(other, ids)


def test_experts_are_replaced_by_what_the_router_selects_of_the_others(engine: TransformersEngine) -> None:
    model_type = engine.description["model"]
    layer, place = engine.layout.layers[-1], len(engine.layout.layers) - 1
    prompt = Prompt("dopcg", category="c", id="p")
    (whole,) = routed(engine, [prompt], Generation(0))
    banned = np.unique(whole.experts[:, place, : engine.layout.top_k[place]])[:2].tolist()
    rule = Without({layer: banned}, "replaced")
    if model_type in NO_ROUTER:
        with pytest.raises(ModelError, match="skipped, not replaced"), engine.ruled(rule):
            pass
        return
    with engine.ruled(rule):
        (found,) = routed(engine, [prompt], Generation(0))
    assert not np.isin(found.experts, banned)[:, place].any()
    assert ((found.experts[:, place] >= 0).sum(1) == engine.layout.top_k[place]).all()
    grouped = any(getattr(module, "topk_group", 1) not in (None, 1) for module in engine.model.modules())
    others = ~np.isin(whole.experts[:, place], banned).any(1) & (not grouped)  # a masked expert changes its group
    np.testing.assert_array_equal(np.sort(found.experts[others, place]), np.sort(whole.experts[others, place]))


def test_tokens_of_one_kind_follow_a_rule_and_others_none(engine: TransformersEngine) -> None:
    """The first MoE layer sees the same tokens under every rule, so there all of it can be compared."""
    model_type = engine.description["model"]
    texts = [Text((3, 14, 15, 9, 2, 6), images=(1, 2, 3))]
    whole = under(engine, None, texts)
    native = model_type not in NO_ROUTER | SELECTED_BY_TABLE | NEVER_ONE
    for rule in (FixedK(1, normalisation="native" if native else "kept"), Skip(0.95, normalisation="kept")):
        plain = whole if model_type in NEVER_ONE and isinstance(rule, FixedK) else under(engine, rule, texts)
        found = under(engine, ByKind({"image": rule}), texts)
        image = texts[0].is_image
        for kind, expected in ((image, plain), (~image, whole)):
            if expected is whole and kind is image:
                assert ((found.experts[0][image] >= 0).sum(2) <= np.array(engine.layout.top_k) // 2).all()
                continue
            one, other = (np.sort(run.experts[0][kind, 0]) for run in (found, expected))
            np.testing.assert_array_equal(one, other)
            one, other = (np.sort(run.weights[0][kind, 0]) for run in (found, expected))
            np.testing.assert_allclose(one, other, rtol=2e-3)


def test_given_experts_get_every_token(engine: TransformersEngine) -> None:
    layer, place = engine.layout.layers[-1], len(engine.layout.layers) - 1
    rule = Given({layer: [5, 3]}, normalisation="kept")
    if engine.layout.passes[place] > 1 or k_of_pass(engine.layout)[place] < 2:
        pytest.skip("a layer that is passed twice takes no given experts")
    with engine.ruled(rule):
        (found,) = routed(engine, [Prompt("dopcg", category="c", id="p")], Generation(0))
    assert (found.experts[:, place, :2] == [5, 3]).all()


@pytest.mark.parametrize("model_type", sorted(NOT_WRITTEN))
def test_what_cannot_be_written_is_refused(model_type: str) -> None:
    engine = opened(model_type)
    assert "rules" not in engine.capabilities
    with pytest.raises(CaptureError, match="does not offer rules for this model"), engine.ruled(FixedK(1)):
        pass


@pytest.mark.parametrize("model_type", sorted(SELECTED_BY_TABLE))
def test_experts_that_a_table_selects_can_be_skipped_but_not_replaced(model_type: str) -> None:
    engine = opened(model_type)
    experts = {engine.layout.layers[0]: [0, 1]}
    with pytest.raises(ModelError, match="skipped, not replaced"), engine.ruled(Without(experts, "replaced")):
        pass
    with engine.ruled(Without(experts, normalisation="kept")):
        (found,) = routed(engine, [Prompt("dopcg", category="c", id="p")], Generation(0))
    assert not np.isin(found.experts[:, 0], [0, 1]).any()


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", sorted(set(RECORDED) - NOT_WRITTEN - EAGER_ONLY))
def test_every_experts_implementation_computes_the_same_under_a_rule(model_type: str) -> None:
    model = tiny_model(model_type, torch.float32)
    found = {}
    for implementation in ("eager", "grouped_mm", "batched_mm"):
        engine = TransformersEngine(LoadedModel(model_type, model, letters()))
        model.set_experts_implementation(implementation)
        with engine.ruled(RandomDrop(1.5, normalisation="kept")):
            found[implementation] = logits(model, [3, 14, 15, 9, 2, 6])
        engine.close()
    for implementation in ("grouped_mm", "batched_mm"):
        torch.testing.assert_close(found[implementation], found["eager"], rtol=1e-3, atol=1e-3)
