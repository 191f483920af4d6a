"""What a rule changes is what it says, in every experts implementation, alone and in a batch; afterwards nothing is."""

import contextlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._C import _len_torch_function_stack

from moexray.engines.rules import (
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
from moexray.engines.transformers.draws import uniforms
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.checking import check_sequence
from moexray.routing import RoutedSequence

from ...tiny_models import FAMILIES, loaded, prompts_of_letters, random_model, routed, tokenizer_of_letters

IDS = torch.tensor([[3, 14, 15, 9, 26, 5, 35, 8]])
GENERATION = Generation(3)


@pytest.fixture(scope="module", params=list(FAMILIES))
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    """Return the engine of a family whose random weights are large enough that tokens scatter."""
    return TransformersEngine(loaded(request.param, "float64"))


@pytest.fixture(scope="module")
def olmoe() -> TransformersEngine:
    return TransformersEngine(loaded("olmoe", "float64"))


@torch.inference_mode()
def logits(engine: TransformersEngine, ids: Tensor = IDS) -> Tensor:
    found: Tensor = engine.model(input_ids=ids, use_cache=False).logits
    return found


def everything(engine: TransformersEngine, **options: Any) -> list[RoutedSequence]:
    return routed(engine, prompts_of_letters()[:3], GENERATION, want={"weights"}, **options)


def nothing(engine: TransformersEngine) -> list[Rule]:
    """Rules that leave every selection."""
    k, layers = engine.layout.top_k[0], len(engine.layout.layers)
    return [
        FixedK(k),
        FixedK(k, normalisation="rescaled"),
        PerLayer(engine.layout.top_k),
        TopP(1.0),
        TopP(1.0, normalisation="rescaled"),
        Skip(0.0),
        Skip(0.0, normalisation="rescaled"),
        # The next three compute what they keep, and keep all.
        Skip(1e-30),
        Skip(1e-30, normalisation="rescaled"),
        OnDemand((1,) * layers, tuple((-1.0,) * (k - 1) for k in engine.layout.top_k)),
        OnDemand((k,) * layers, ((),) * layers),
        RandomDrop(float(k)),
        LeaveOutRanks(()),
        LeaveOutRanks((), normalisation="rescaled"),
        Without({}),
        Without({engine.layout.layers[0]: []}),
        Without({engine.layout.layers[0]: []}, "replaced"),
        Given({}),
    ]


def test_a_rule_that_leaves_everything_changes_no_bit_and_no_text(engine: TransformersEngine) -> None:
    before, whole = logits(engine), everything(engine)
    for rule in nothing(engine):
        with engine.ruled(rule):
            assert torch.equal(logits(engine), before), rule
            for one, other in zip(everything(engine), whole, strict=True):
                np.testing.assert_array_equal(one.token_ids, other.token_ids)
                np.testing.assert_array_equal(one.experts, other.experts)
                np.testing.assert_array_equal(one.gate_weights, other.gate_weights)


def test_leaving_out_experts_that_no_token_selects_changes_no_bit(engine: TransformersEngine) -> None:
    before = logits(engine)
    (whole,) = routed(engine, [prompt_of(IDS)], Generation(0))
    unselected = {
        layer: sorted(set(range(number)) - set(whole.experts[:, place].ravel().tolist()))
        for place, (layer, number) in enumerate(zip(engine.layout.layers, engine.layout.experts, strict=True))
    }
    assert any(unselected.values())
    for normalisation in ("kept", "rescaled", "native"):
        with engine.ruled(Without(unselected, normalisation=normalisation)):
            assert torch.equal(logits(engine), before)


def prompt_of(ids: Tensor) -> Prompt:
    return Prompt(tokenizer_of_letters().decode(ids[0]).replace(" ", ""), category="c", id="p")


def test_afterwards_the_model_is_as_it_was(engine: TransformersEngine) -> None:
    before, description = logits(engine), dict(engine.description)
    hooks = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in engine.model.modules()]
    with contextlib.suppress(KeyboardInterrupt), engine.ruled(Skip(0.9)):
        assert engine.description["rule"]["beta"] == 0.9
        assert engine.description["router_may_drop"] is True
        assert not torch.equal(logits(engine), before)
        raise KeyboardInterrupt
    with engine.ruled(FixedK(1)):
        assert not torch.equal(logits(engine), before)
    assert torch.equal(logits(engine), before)
    assert engine.description == description
    after = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in engine.model.modules()]
    assert after == hooks
    assert not any(getattr(module, "_is_expert_parallel", False) for module in engine.model.modules())


def test_what_a_user_interrupts_within_a_router_leaves_nothing_on(
    olmoe: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch calls no hook then, and a mode that stayed on would change what any model does later."""
    before, modes = logits(olmoe), _len_torch_function_stack()
    router = olmoe.model.get_submodule("model.layers.1.mlp.gate")

    def interrupt(*_call: object) -> None:
        raise KeyboardInterrupt

    with olmoe.ruled(Without({1: (0,)}, "replaced")):
        monkeypatch.setattr(router, "forward", interrupt)
        with pytest.raises(KeyboardInterrupt):
            logits(olmoe)
    assert _len_torch_function_stack() == modes
    with pytest.raises(KeyboardInterrupt):
        routed(olmoe, prompts_of_letters()[:3], GENERATION, want={"scores"})
    assert _len_torch_function_stack() == modes
    monkeypatch.undo()
    assert torch.equal(logits(olmoe), before)


def test_a_batch_gives_each_prompt_what_it_gets_alone(engine: TransformersEngine) -> None:
    prompts, generation = prompts_of_letters()[:3], Generation(5, stop_at_eos=False)
    for rule in (RandomDrop(1.4, seed=5), TopP(0.6), FixedK(1)):
        with engine.ruled(rule):
            together = routed(engine, prompts, generation)
            alone = [routed(engine, [prompt], generation)[0] for prompt in prompts]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one.token_ids, other.token_ids)
            np.testing.assert_array_equal(one.experts, other.experts)


def first_layer(engine: TransformersEngine, rule: Rule | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the selections and weights of the first MoE layer, which sees the same tokens under every rule."""
    prompts = [Prompt("abcdefgh", category="c", id="p")]
    if rule is None:
        (found,) = routed(engine, prompts, Generation(0), want={"weights"})
    else:
        with engine.ruled(rule):
            (found,) = routed(engine, prompts, Generation(0), want={"weights"})
    assert found.gate_weights is not None
    return found.experts[:, 0], found.gate_weights[:, 0].astype(np.float64)


def by_hand(kept: Callable[[NDArray[Any]], Sequence[int]], found: tuple[NDArray[Any], NDArray[Any]]) -> list[set[int]]:
    """Return the experts of each token that a function of its falling weights keeps, by rank."""
    experts, weights = found
    order = np.argsort(-weights, axis=1, kind="stable")
    return [
        {int(experts[token, order[token, rank]]) for rank in kept(weights[token, order[token]])}
        for token in range(len(experts))
    ]


def entropy(weights: NDArray[Any]) -> float:
    shares = weights / weights.sum()
    return float(-(shares * np.log(shares)).sum())


HAND = [
    (FixedK(2, normalisation="kept"), lambda _w: [0, 1]),
    (FixedK(1), lambda _w: [0]),
    (PerLayer((2, 1, 3)), lambda _w: [0, 1]),
    (TopP(0.7), lambda w: [j for j in range(3) if w[:j].sum() < 0.7 * w.sum()]),
    (Skip(0.6), lambda w: [j for j in range(3) if w[j] >= 0.6 * w[0]]),
    (Skip((0.8, 0.0, 0.0)), lambda w: [j for j in range(3) if w[j] >= 0.8 * w[0]]),
    (LeaveOutRanks((0, 2)), lambda _w: [1]),
    (LeaveOutRanks((1,), layers=(1,)), lambda _w: [0, 1, 2]),
    (OnDemand((1, 1, 1), ((0.95, 1.05),) * 3), lambda w: list(range(1 + (entropy(w) > 0.95) + (entropy(w) > 1.05)))),
]


@pytest.mark.parametrize(("rule", "kept"), HAND, ids=[repr(rule) for rule, _ in HAND])
def test_the_recording_shows_exactly_what_the_rule_keeps(
    olmoe: TransformersEngine, rule: Rule, kept: Callable[[NDArray[Any]], Sequence[int]]
) -> None:
    experts, weights = first_layer(olmoe, rule)
    expected = by_hand(kept, first_layer(olmoe))
    assert [set(row.tolist()) - {-1} for row in experts] == expected
    assert ((experts >= 0).sum(1) == [len(one) for one in expected]).all()
    assert (weights[experts < 0] == 0).all()


def test_weights_are_kept_or_scaled_to_the_sum_of_before(olmoe: TransformersEngine) -> None:
    _, before = first_layer(olmoe)
    for rule in (LeaveOutRanks((1,), normalisation="kept"), FixedK(2, normalisation="kept"), LeaveOutRanks((1,))):
        _, weights = first_layer(olmoe, rule)
        np.testing.assert_allclose(np.sort(weights)[:, -1], before.max(1), rtol=2e-3)  # float16
    for changed in (LeaveOutRanks((1,), normalisation="rescaled"), FixedK(2, normalisation="rescaled")):
        _, weights = first_layer(olmoe, changed)
        np.testing.assert_allclose(weights.sum(1), before.sum(1), rtol=2e-3)
        assert ((weights > 0).sum(1) == 2).all()


def test_native_is_what_the_router_does_with_fewer() -> None:
    """Mixtral's weights always sum to one; OLMoE's are the probabilities of a softmax over all experts."""
    with TransformersEngine(loaded("mixtral", "float64")) as mixtral:
        _, weights = first_layer(mixtral, LeaveOutRanks((0,)))
        np.testing.assert_allclose(weights.sum(1), 1)
        _, weights = first_layer(mixtral, FixedK(1))
        np.testing.assert_allclose(weights.sum(1), 1)
    for normalised in (False, True):
        config = FAMILIES["olmoe"]()
        config.norm_topk_prob = normalised
        model = LoadedModel("m", random_model(config, torch.float64), tokenizer_of_letters())
        with TransformersEngine(model) as engine:
            _, before = first_layer(engine)
            _, weights = first_layer(engine, LeaveOutRanks((2,)))
            expected = before.sum(1) if normalised else np.sort(before)[:, 1:].sum(1)
            np.testing.assert_allclose(weights.sum(1), expected, rtol=2e-3)


@torch.inference_mode()
def test_dropping_all_but_one_in_a_layer_is_that_experts_output_times_its_weight(olmoe: TransformersEngine) -> None:
    """OLMoE's layer is the weighted sum of its experts: W_down(silu(W_gate x) * W_up x)."""
    block: Any = olmoe.model.model.layers[1].mlp
    seen: dict[str, Tensor] = {}
    handle = block.register_forward_hook(lambda _m, args, output: seen.update(given=args[0], returned=output))
    with olmoe.ruled(FixedK(1, normalisation="kept", layers=(1,))):
        logits(olmoe)
    handle.remove()
    tokens = seen["given"][0]
    probabilities = (tokens @ block.gate.weight.T).softmax(-1)
    for token, hidden in enumerate(tokens):
        expert = int(probabilities[token].argmax())
        gate, up = (block.experts.gate_up_proj[expert] @ hidden).chunk(2)
        by_hand = block.experts.down_proj[expert] @ (nn.functional.silu(gate) * up) * probabilities[token, expert]
        torch.testing.assert_close(seen["returned"][0, token], by_hand)


IMPLEMENTATIONS = ["eager", "grouped_mm", "batched_mm"]
SPARSE = [Skip(0.8), RandomDrop(1.2), LeaveOutRanks((0, 1)), Skip(0.8, normalisation="rescaled"), FixedK(1)]


@pytest.mark.parametrize("name", ["olmoe", "mixtral", "gpt_oss"])
def test_every_experts_implementation_leaves_out_the_same_and_computes_the_same(name: str) -> None:
    """GPT-OSS's eager loop cannot step over a selection: there its weight is 0."""
    model = loaded(name, "float32")
    exact = deepcopy(model.model).double()
    exact.set_experts_implementation("eager")
    reference = TransformersEngine(LoadedModel(name, exact, tokenizer_of_letters()))
    rules = [rule for rule in SPARSE if not (isinstance(rule, LeaveOutRanks) and name != "olmoe")]
    for implementation in IMPLEMENTATIONS:
        model.model.set_experts_implementation(implementation)
        for rule in rules:
            engine = TransformersEngine(model)
            model.model.set_experts_implementation(implementation)  # an engine takes grouped_mm for batched_mm
            with reference.ruled(rule), engine.ruled(rule):
                torch.testing.assert_close(logits(engine).double(), logits(reference), rtol=1e-3, atol=1e-3)
            engine.close()


def test_a_selection_that_is_left_out_costs_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that the grouped product multiplies are those of its offsets: as many as there are selections left."""
    from transformers.integrations import moe

    rows: list[int] = []
    original = moe._grouped_mm

    def counted(hidden: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
        rows.append(int(offs[-1]))
        found: Tensor = original(hidden, weight, offs=offs)
        return found

    monkeypatch.setattr(moe, "_grouped_mm", counted)
    with TransformersEngine(loaded("olmoe", "float32")) as engine:
        engine.model.set_experts_implementation("grouped_mm")
        for rule, left in ((LeaveOutRanks(()), 3), (LeaveOutRanks((0,)), 2), (FixedK(1), 1)):
            with engine.ruled(rule):
                rows.clear()
                logits(engine)
            assert set(rows) == {left * IDS.numel()}


def test_memory_that_nobody_wrote_enters_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows beyond the offsets are filled with NaN, as fresh memory may be."""
    from transformers.integrations import moe

    original = moe._grouped_mm

    def poisoned(hidden: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
        found = original(hidden, weight, offs=offs).clone()
        found[int(offs[-1]) :] = torch.nan
        return found

    monkeypatch.setattr(moe, "_grouped_mm", poisoned)
    with TransformersEngine(loaded("olmoe", "float32")) as engine:
        engine.model.set_experts_implementation("grouped_mm")
        with engine.ruled(RandomDrop(1.5)):
            assert torch.isfinite(logits(engine)).all()


def test_random_drops_have_their_mean_and_depend_on_id_place_layer_and_seed_alone(olmoe: TransformersEngine) -> None:
    prompt = Prompt("abcdefghijklmnopqrstuvwxyz" * 4, category="c", id="one")

    def kept(prompt_id: str, seed: int = 0, mean: float = 1.75) -> NDArray[np.bool_]:
        with olmoe.ruled(RandomDrop(mean, seed=seed)):
            (found,) = routed(olmoe, [Prompt(prompt.text, category="c", id=prompt_id)], Generation(0))
        return found.experts >= 0

    one = kept("one")
    number = one.sum(2)
    assert set(np.unique(number)) == {1, 2}
    assert abs(number.mean() - 1.75) < 4 * np.sqrt(0.75 * 0.25 / number.size)
    np.testing.assert_array_equal(kept("one"), one)
    for other in (kept("two"), kept("one", seed=1)):
        assert (other != one).mean() > 0.2
    assert (one[:, 0] != one[:, 1]).mean() > 0.2
    assert (kept("one", mean=1.0).sum(2) == 1).all()


def test_every_rank_is_dropped_equally_often() -> None:
    draws = uniforms(np.full(20_000, 7, dtype=np.uint64), np.arange(20_000), (0, 3, 0), 4)
    assert abs(draws.mean() - 0.5) < 0.005
    assert abs(draws.var() - 1 / 12) < 0.002
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.03
    shares = np.bincount(draws[:, :3].argmin(1), minlength=3) / 20_000
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 20_000)


def test_given_experts_get_the_weights_in_their_order(olmoe: TransformersEngine) -> None:
    _, before = first_layer(olmoe)
    experts, weights = first_layer(olmoe, Given({0: [7, 2]}, normalisation="kept"))
    assert (experts == [7, 2, -1]).all()
    np.testing.assert_allclose(weights[:, :2], -np.sort(-before)[:, :2], rtol=2e-3)
    _, weights = first_layer(olmoe, Given({0: [7]}, normalisation="rescaled"))
    np.testing.assert_allclose(weights.sum(1), before.sum(1), rtol=2e-3)


@torch.inference_mode()
def test_experts_that_are_replaced_have_logits_of_minus_infinity(olmoe: TransformersEngine) -> None:
    """The softmax runs over the others, and the greatest three of it are selected: written out here."""
    banned = {0: [0, 3, 5, 11], 2: [1, 2, 4, 6, 7, 8, 9, 10]}
    block: Any = olmoe.model.model.layers[0].mlp
    seen: dict[str, Tensor] = {}
    handle = block.register_forward_pre_hook(lambda _m, args: seen.update(given=args[0]))
    experts, weights = first_layer(olmoe, Without(banned, "replaced"))
    handle.remove()
    masked = seen["given"][0] @ block.gate.weight.T
    masked[:, banned[0]] = -torch.inf
    expected = masked.softmax(-1).topk(3)
    np.testing.assert_array_equal(experts, expected.indices)
    np.testing.assert_allclose(weights, expected.values, rtol=2e-3)


def test_what_cannot_be_is_refused_in_a_sentence(olmoe: TransformersEngine) -> None:
    with pytest.raises(CaptureError, match="layer 0 selects 3 experts"), olmoe.ruled(FixedK(4)):
        pass
    with olmoe.ruled(FixedK(2)):
        with pytest.raises(CaptureError, match="one rule at a time"), olmoe.ruled(FixedK(1)):
            pass
        with pytest.raises(CaptureError, match="not while a rule"):
            olmoe.verify()
        with pytest.raises(CaptureError, match="without a rule"):
            routed(olmoe, [prompt_of(IDS)], Generation(0), want={"scores"})
    with TransformersEngine(loaded("olmoe", "float32")) as engine:
        module: Any = engine.taps[1].module
        module._is_expert_parallel = True
        with pytest.raises(Exception, match="expert parallelism"), engine.ruled(Skip(0.5)):
            pass
        assert module._is_expert_parallel
        module._is_expert_parallel = False
    with pytest.raises(CaptureError, match="closed"), engine.ruled(FixedK(1)):
        pass


@pytest.mark.slow
def test_the_embedded_model_follows_rules_in_generation_as_a_capture_checks_it() -> None:
    with TransformersEngine(load_model("scale", device="cpu")) as engine:
        prompts = [Prompt(f"prompt number {i} " * (i + 1), category="c", id=str(i)) for i in range(4)]
        lengths = engine.lengths(prompts, Generation(8))
        for rule in (TopP(0.5), RandomDrop(2.5), Without({0: list(range(32))})):
            with engine.ruled(rule):
                found = routed(engine, prompts, Generation(8), want={"weights"})
            for prompt, tokens, sequence in zip(prompts, lengths, found, strict=True):
                check_sequence(sequence, engine.layout, prompt=prompt.id, prompt_tokens=int(tokens), may_drop=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", list(FAMILIES))
def test_how_a_router_weighs_fewer_is_found_in_half_precision_as_well(name: str, dtype: str) -> None:
    model = loaded(name, "float64").model
    exact, half = (
        TransformersEngine(LoadedModel(name, one, tokenizer_of_letters()))
        for one in (model, deepcopy(model).to(getattr(torch, dtype)))
    )
    kept = []
    for engine in (exact, half):
        with engine.ruled(FixedK(1)):
            assert engine._routers is not None
            kept.append([None if one is None else one.native for one in engine._routers])
    assert kept[0] == kept[1]
    assert None not in kept[0]


def test_a_capture_under_a_rule_says_so_and_counts_what_the_rule_left(olmoe: TransformersEngine) -> None:
    with olmoe.ruled(FixedK(2)):
        found = capture_with(olmoe, prompts_of_letters()[:4], Generation(2))
    assert found.meta["rule"] == {"rule": "FixedK", "normalisation": "native", "k": 2}
    assert found.meta["router_may_drop"] is True
    np.testing.assert_array_equal(found.counts.sum(axis=3), 2 * np.repeat(found.tokens[:, :, None], 3, axis=2))
