"""Selections of a training are counted once, whatever the loop does, and those of no one else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, PreTrainedModel

from moexray.engines.transformers.counting import SelectionCounter
from moexray.engines.transformers.hooks import Tap
from moexray.engines.transformers.taps import find_taps
from moexray.engines.transformers.training import plain_model
from moexray.errors import ModelError

from ...tiny_models import FAMILIES, SHAPE, VOCABULARY, olmoe, random_model

# Three sequences: padded on the right, padded on the left, whole.
TOKENS = torch.randint(VOCABULARY, (3, 10), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 6 + [0] * 4, [0] * 2 + [1] * 8, [1] * 10])
K = 3  # of the tiny OLMoE
DYNAMO = pytest.mark.filterwarnings("ignore:The .grad attribute")  # it looks at it, and warnings are errors here


def train(model: Any, tokens: Tensor = TOKENS, mask: Tensor | None = MASK) -> None:
    model(input_ids=tokens, attention_mask=mask, labels=tokens).loss.backward()


def tiny(*, training: bool = True) -> PreTrainedModel:
    return random_model(olmoe(), torch.float32).train(training)


def checkpoint(model: Any, *, reentrant: bool) -> None:
    """Compute activations again in the backward pass; transformers 5.24 renamed it."""
    name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": reentrant})


@contextmanager
def counting(model: nn.Module, **options: Any) -> Iterator[SelectionCounter]:
    counter = SelectionCounter(model, **options)
    yield counter
    counter.close()


def by_hand(model: PreTrainedModel, mask: Tensor) -> list[NDArray[np.int64]]:
    """Run the batch once more without a counter, and count the tokens of each expert that are no padding in a loop."""
    taps, found = find_taps(model), {}

    def listen(tap: Tap) -> Any:
        def keep(_module: nn.Module, args: Any, kwargs: Any) -> None:
            found[tap.path] = tap.experts_of(args, kwargs, None).tolist()

        return tap.module.register_forward_pre_hook(keep, with_kwargs=True)

    hooks = [listen(tap) for tap in taps]
    with torch.no_grad():
        model(input_ids=TOKENS, attention_mask=mask)
    for hook in hooks:
        hook.remove()
    counts = []
    for tap in taps:
        of_layer = np.zeros(tap.experts, dtype=np.int64)
        for chosen, real in zip(found[tap.path], mask.reshape(-1).tolist(), strict=True):
            for expert in chosen:
                of_layer[expert] += real
        counts.append(of_layer)
    return counts


@pytest.mark.parametrize("family", FAMILIES)
def test_each_expert_is_counted_as_often_as_a_real_token_selects_it(family: str) -> None:
    model = random_model(FAMILIES[family](), torch.float32).train()
    with counting(model) as counter:
        train(model)
        found = counter.take()
    expected = by_hand(model, MASK)
    assert found.experts == tuple(map(len, expected))
    for layer, of_layer in enumerate(expected):
        assert found.selections[0, layer].tolist() == of_layer.tolist()
    assert (found.tokens, found.unmasked, found.passes) == (24, 0, 1)


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_gradient_checkpointing_computes_again_is_counted_once(reentrant: bool) -> None:
    model = tiny()
    expected = by_hand(model, MASK)
    checkpoint(model, reentrant=reentrant)
    ran = []
    find_taps(model)[0].module.register_forward_pre_hook(lambda *_: ran.append(1))
    with counting(model) as counter:
        train(model)
        found = counter.take()
    assert len(ran) == 2  # in the forward pass, and again in the backward pass
    assert found.selections[0].tolist() == [of_layer.tolist() for of_layer in expected]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_whole_model_that_is_checkpointed_is_counted_once() -> None:
    model = tiny()
    expected = by_hand(model, MASK)
    with counting(model) as counter:
        loss = torch.utils.checkpoint.checkpoint(
            lambda: model(input_ids=TOKENS, attention_mask=MASK, labels=TOKENS).loss, use_reentrant=False
        )
        loss.backward()
        assert counter.take().selections[0].tolist() == [of_layer.tolist() for of_layer in expected]


def test_tokens_without_a_mask_are_all_counted_and_named() -> None:
    """As where a collator packs sequences: what tells them apart is then in the positions, or in a mask of blocks."""
    model = tiny()
    blocks = torch.ones(3, 1, 10, 10, dtype=torch.bool).tril()
    with counting(model) as counter:
        train(model, mask=None)
        train(model, mask=blocks)
        found = counter.take()
    assert (found.tokens, found.unmasked) == (60, 60)
    assert found.selections.sum(axis=2).tolist() == [[60 * K] * 3]


def test_accumulated_passes_are_one_batch_and_steps_divide_a_window() -> None:
    model = tiny()
    with counting(model) as counter:
        for _ in range(2):
            train(model)
            train(model, mask=None)
            counter.end_batch()
        found = counter.take()
        train(model)
        assert counter.take().tokens == 24  # a new window
    assert found.selections.sum(axis=2).tolist() == [[(24 + 30) * K] * 3] * 2
    assert found.passes == 4


@pytest.mark.parametrize("way", ["evaluation mode", "no gradients", "generation"])
def test_evaluation_and_generated_text_are_left_out(way: str) -> None:
    model = tiny()
    with counting(model) as counter:
        train(model)
        model.train(way != "evaluation mode")
        with torch.set_grad_enabled(way == "evaluation mode"):
            if way == "generation":
                model.generate(TOKENS, attention_mask=MASK, max_new_tokens=3, do_sample=False, pad_token_id=0)
            else:
                model(input_ids=TOKENS, attention_mask=MASK)
        found = counter.take()
    assert (found.tokens, found.passes, found.left_out) == (24, 1, 3 if way == "generation" else 1)


def test_all_passes_are_counted_where_they_are_asked_for_and_a_cache_adds_no_token_twice() -> None:
    model = tiny(training=False)
    with counting(model, passes="all") as counter:
        model.generate(TOKENS, attention_mask=MASK, max_new_tokens=3, do_sample=False, pad_token_id=0)
        assert counter.take().tokens == 24 + 2 * 3  # the last new token passes no router


def test_a_pass_that_fails_halfway_is_not_counted() -> None:
    model = tiny()

    def fail(*_: object) -> None:
        message = "out of memory"
        raise RuntimeError(message)

    with counting(model) as counter:
        broken = model.model.layers[2].register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            train(model)
        broken.remove()
        train(model)
        assert counter.take().tokens == 24


def test_replicas_in_threads_are_counted_together() -> None:
    """As `DataParallel` runs them: at the same time, each in a thread of its own."""
    model = tiny()
    with counting(model) as counter:
        threads = [threading.Thread(target=train, args=(model,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = counter.take()
    assert (found.tokens, found.passes) == (4 * 24, 4)
    assert found.selections[0].tolist() == [(4 * of_layer).tolist() for of_layer in by_hand(model, MASK)]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # peft's own
@pytest.mark.parametrize("targets", [{}, {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}])
def test_a_model_with_adapters_of_peft_is_counted(targets: dict[str, Any]) -> None:
    adapted = get_peft_model(tiny(), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], **targets))
    adapted.train()
    with counting(plain_model(adapted)) as counter:
        train(adapted)
        assert counter.take().tokens == 24


def test_a_window_without_training_says_what_was_left_out() -> None:
    model = tiny(training=False)
    with counting(model) as counter:
        model(input_ids=TOKENS)
        with pytest.raises(ModelError, match="1 forward passes were in evaluation mode or without gradients"):
            counter.take()


def test_a_step_without_a_pass_is_refused() -> None:
    model = tiny()
    with counting(model) as counter:
        train(model)
        counter.end_batch()
        counter.end_batch()
        with pytest.raises(ModelError, match="1 forward passes were counted in 2 batches"):
            counter.take()


def test_a_dense_model_is_refused_in_one_sentence() -> None:
    dense = random_model(LlamaConfig(**SHAPE, num_hidden_layers=1), torch.float32)
    with pytest.raises(ModelError, match="it has no experts"):
        SelectionCounter(dense)


class Experts(nn.Module):
    """Four experts that compute nothing, of which a token selects what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = 4

    def forward(self, hidden: Tensor, top_k_index: Tensor) -> Tensor:
        del top_k_index
        return hidden


class Told(nn.Module):
    """A model whose selections are given; it may leave out tokens on the way to its experts."""

    def __init__(self, chosen: list[list[int]], *, kept: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 2)
        self.layers = nn.ModuleList([Experts()])
        self.chosen, self.kept = torch.tensor(chosen), kept

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        del attention_mask
        hidden = self.embedding(input_ids).reshape(-1, 2)[: self.kept]
        return self.layers[0](hidden, self.chosen[: self.kept])


def test_selections_that_a_router_drops_are_in_no_load() -> None:
    model = Told([[0, 3], [0, -1], [-1, -1]])
    with counting(model) as counter:
        model(torch.tensor([[1, 2, 3]]))
        found = counter.take()
    assert found.selections.tolist() == [[[2, 0, 0, 1]]]
    assert (found.dropped.tolist(), found.tokens) == ([3], 3)


def test_an_expert_that_there_is_not_is_refused() -> None:
    model = Told([[0, 4]])
    with counting(model) as counter:
        model(torch.tensor([[1]]))
        with pytest.raises(ModelError, match=r"layers\.0 was handed an expert beyond its 4"):
            counter.take()


def test_experts_that_see_some_of_the_tokens_are_refused_at_once() -> None:
    model = Told([[0, 1], [1, 2]], kept=1)
    with counting(model), pytest.raises(ModelError, match=r"2 tokens passed layers\.0 as \[1\] rows"):
        model(torch.tensor([[1, 2]]))


@pytest.mark.nightly
@DYNAMO
def test_a_compiled_olmoe_is_counted_if_it_is_compiled_after_the_hooks_came() -> None:
    torch._dynamo.reset()
    model = tiny()
    expected = by_hand(model, MASK)
    with counting(model) as counter:
        compiled = torch.compile(model, backend="eager")
        for _ in range(2):
            train(compiled)
        found = counter.take()
    assert found.selections[0].tolist() == [(2 * of_layer).tolist() for of_layer in expected]


@pytest.mark.slow
@DYNAMO
def test_a_model_that_is_compiled_after_the_hooks_came_is_counted() -> None:
    torch._dynamo.reset()
    model = Told([[0, 3], [0, 1]])
    with counting(model) as counter:
        compiled = torch.compile(model, backend="eager")
        for _ in range(2):
            compiled(torch.tensor([[1, 2]]))
        assert counter.take().selections.tolist() == [[[4, 2, 0, 2]]]


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [False, True])
def test_a_model_that_was_compiled_before_is_refused_as_no_hook_runs(in_place: bool) -> None:
    torch._dynamo.reset()
    model = Told([[0, 3], [0, 1]])
    if in_place:
        model.compile(backend="eager")
    compiled = model if in_place else torch.compile(model, backend="eager")
    compiled(torch.tensor([[1, 2]]))
    with (
        counting(plain_model(compiled)),
        pytest.raises(ModelError, match=r"passed .* as no rows: they cannot be counted where layers are compiled"),
    ):
        compiled(torch.tensor([[1, 2]]))


def test_a_window_in_which_no_hook_ran_is_refused() -> None:
    """As where the whole model was compiled before: nothing tells the counter that it trains."""
    with (
        counting(tiny()) as counter,
        pytest.raises(ModelError, match=r"0 forward passes were counted in 1 batches .* compiled before they came"),
    ):
        counter.take()


def test_a_model_has_no_hook_left_and_the_same_gradients() -> None:
    model, other = tiny(), tiny()
    train(other)
    with counting(model):
        train(model)
    modules = list(model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
