"""Router scores are those that decide what is selected, for every architecture, or refused by name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import CONFIG_MAPPING

from moexray.engines.transformers.architectures import moe_architectures
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.hooks import recorded_selections
from moexray.engines.transformers.loading import LoadedModel
from moexray.engines.transformers.scores import recorded_scores
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt
from moexray.recording.capture import capture_with
from moexray.recording.checking import check_sequence
from moexray.routing import RoutedSequence

from ...tiny_models import deepseek_v3, gpt_oss, olmoe, random_model, routed
from .zoo import released_choice, tiny_model
from .zoo_checks import NEW_TOKENS, TEXTS, letters, logits

RECORDED = sorted(one.model_type for one in moe_architectures() if one.tap != "refused")
# The first takes the experts of some layers from a table of tokens; the second passes a layer several times.
WITHOUT_SCORES = ("deepseek_v4", "inkling2_loop")
# Routers that return their logits after other values of all experts.
_LOGITS_LAST = {"JetMoeTopKGating", "Llama4Router"}
PAGE = Path(__file__).parents[3] / "docs" / "architectures.md"
# By architecture, what its top k is taken of and what experts of groups that are ruled out have.
FORMS = {
    name: (form, groups)
    for form, groups, names in re.findall(
        r"^\| (\w+(?: \+ bias)?) \| (none|0|−∞) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    for name in names.split(", ")
}
PROMPTS = [Prompt(text, category="c", id=text) for text in TEXTS]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def engine_of(model: Any) -> TransformersEngine:
    return TransformersEngine(LoadedModel("tiny", model, letters()))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", RECORDED)
def test_every_architecture_gives_the_scores_that_decide_or_is_refused(model_type: str) -> None:
    model = tiny_model(model_type)
    engine = engine_of(model)
    if model_type in WITHOUT_SCORES:
        with pytest.raises(CaptureError, match="engine transformers does not offer scores for this model"):
            routed(engine, PROMPTS[:1], Generation(1), want={"scores"})
        return
    alone = [routed(engine, [prompt], Generation(NEW_TOKENS), want={"scores"})[0] for prompt in PROMPTS]
    for prompt, sequence in zip(PROMPTS, alone, strict=True):
        check_sequence(sequence, engine.layout, prompt="p", prompt_tokens=len(prompt.text), want={"scores"})
    assert forms_of(engine, alone[0]) == {FORMS[model_type]}
    if model_type != "phimoe":  # it goes on with the logits that it had, less its first expert, in a way of its own
        check_next_in_line(engine, alone[0])
    groups = engine.groups(engine.lengths(PROMPTS, Generation(NEW_TOKENS)), Generation(NEW_TOKENS)).tolist()
    if len(set(groups)) == 1 and groups[0] >= 0:
        for one, other in zip(alone, routed(engine, PROMPTS, Generation(NEW_TOKENS), want={"scores"}), strict=True):
            assert_scores_equal(other, one)


@pytest.mark.nightly
@pytest.mark.parametrize("model_type", sorted(set(RECORDED) - set(WITHOUT_SCORES)))
def test_routers_that_choose_as_released_models_do_give_the_scores_that_decide(model_type: str) -> None:
    """With k, groups and numbers of experts of the released model that is an architecture's default."""
    engine = engine_of(tiny_model(model_type, **released_choice(model_type)))
    for prompt in PROMPTS:
        (sequence,) = routed(engine, [prompt], Generation(NEW_TOKENS), want={"scores"})
        check_sequence(sequence, engine.layout, prompt="p", prompt_tokens=len(prompt.text), want={"scores"})


def assert_scores_equal(one: RoutedSequence, other: RoutedSequence) -> None:
    assert one.scores is not None
    assert other.scores is not None
    np.testing.assert_array_equal(one.token_ids, other.token_ids)
    np.testing.assert_array_equal(np.isneginf(one.scores), np.isneginf(other.scores))
    np.testing.assert_allclose(one.scores.astype(float), other.scores.astype(float), rtol=2e-3, atol=1e-6)


def forms_of(engine: TransformersEngine, sequence: RoutedSequence) -> set[tuple[str, str]]:
    """Return which functions of what the routers return the scores are, and what ruled-out experts have.

    Found by comparing numbers, with a bias of the layer or without.
    """
    found = set()
    assert sequence.scores is not None
    for place, (values, biases) in enumerate(router_logits(engine, sequence.token_ids.tolist())):
        recorded = torch.from_numpy(sequence.scores[:, place, : values.shape[1]].astype(np.float64))
        out = torch.isneginf(recorded) | (recorded == 0)
        shapes = {"logits": values, "softmax": values.softmax(-1), "sigmoid": values.sigmoid()}
        if engine.model.config.model_type == "gemma4":  # its router returns what it has made of its logits
            shapes = {"softmax": values}
        forms = list(shapes.items())
        forms += [(f"{name} + bias", shape + bias) for name, shape in shapes.items() for bias in biases]
        near = [name for name, form in forms if bool((((recorded - form).abs() < 2e-3 * (1 + form.abs())) | out).all())]
        assert near, f"layer {engine.layout.layers[place]}"
        assert not out.all(dim=1).any()
        ruled_out = "none" if not out.any() else "−∞" if bool(torch.isneginf(recorded).any()) else "0"
        found.add((near[0], ruled_out))
    return found


def router_logits(engine: TransformersEngine, ids: Sequence[int]) -> list[tuple[Tensor, list[Tensor]]]:
    """Return what each router's module returns of all experts, and what may be the bias of its layer."""
    found: list[tuple[Tensor, list[Tensor]]] = []
    (experts,) = set(engine.layout.experts)
    size = experts * len(ids)

    def note(module: torch.nn.Module, _args: object, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        of_all = [one for one in parts if isinstance(one, Tensor) and one.is_floating_point() and one.numel() == size]
        if of_all:
            block = next(one for one in engine.model.modules() if module in one.children())
            biases = [*block.buffers(), *block.parameters()]
            returned = of_all[-1] if type(module).__name__ in _LOGITS_LAST else of_all[0]
            of_layer = [bias.double().flatten() for bias in biases if bias.numel() == experts]
            found.append((returned.reshape(-1, experts).double(), of_layer))

    handles = [
        module.register_forward_hook(note)
        for path, module in engine.model.named_modules()
        if re.search(r"(Router|Gate|TopKGating)$", type(module).__name__) and "self_attention" not in path
    ]
    logits(engine.model, ids)
    for handle in handles:
        handle.remove()
    return found


class _WithoutTheBest(TorchFunctionMode):
    """Takes the best expert away from the router whose scores these are, wherever they are looked at."""

    def __init__(self, scores: NDArray[np.float16]) -> None:
        super().__init__()
        self._scores = torch.from_numpy(scores)
        self.met = 0

    def __torch_function__(self, function: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in ("topk", "max") and args and isinstance(args[0], Tensor) and args[0].is_floating_point():
            given = args[0]
            if given.numel() == self._scores.numel() and given.shape[-1] == self._scores.shape[-1]:
                rows = given.reshape(self._scores.shape)
                if not self.met and torch.equal(rows.to(torch.float16), self._scores):
                    self.met += 1
                    less = rows.scatter(1, rows.argmax(dim=1, keepdim=True), -torch.inf)
                    args = (less.reshape(given.shape), *args[1:])
        return function(*args, **(kwargs or {}))


def check_next_in_line(engine: TransformersEngine, sequence: RoutedSequence) -> None:
    """Where a token's best expert is taken from its router, the one that comes next by score takes the last place."""
    assert sequence.scores is not None
    ids = sequence.token_ids.tolist()
    alone = scores_of_one_pass(engine, ids)
    for place in (0, len(engine.layout.layers) - 1):
        k, scores = engine.layout.top_k[place], alone[place]
        order = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")
        untied = np.take_along_axis(scores, order, axis=1)
        clear = (untied[:, :-1] > untied[:, 1:])[:, : k + 1].all(axis=1) & ~np.isneginf(untied[:, k])
        without = _WithoutTheBest(scores)
        with torch.inference_mode(), without, recorded_selections(engine.taps) as selections:
            logits(engine.model, ids)
        assert without.met == 1
        found = torch.cat(selections[place]).numpy()
        assert clear.sum() > len(ids) // 2
        np.testing.assert_array_equal(np.sort(found[clear], axis=1), np.sort(order[clear, 1 : k + 1], axis=1))


def scores_of_one_pass(engine: TransformersEngine, ids: Sequence[int]) -> list[NDArray[np.float16]]:
    with torch.inference_mode(), recorded_scores(engine.model, engine.taps) as scores:
        logits(engine.model, ids)
    return [torch.cat(rows).numpy() for rows in scores]


def of_olmoe_router(model: Any, ids: Sequence[int]) -> list[Tensor]:
    """Return the probabilities that each router of OLMoE makes of its logits, in float32 ``(tokens, experts)``."""
    found: list[Tensor] = []
    handles = [
        layer.mlp.gate.register_forward_hook(lambda _module, _args, output: found.append(output[0]))
        for layer in model.model.layers
    ]
    logits(model, ids)
    for handle in handles:
        handle.remove()
    return [one.float().softmax(-1) for one in found]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_are_the_routers_probabilities_in_each_number_format(dtype: torch.dtype) -> None:
    engine = engine_of(random_model(olmoe(), dtype))
    (sequence,) = routed(engine, PROMPTS[:1], Generation(0), want={"scores"})
    assert sequence.scores is not None
    for place, expected in enumerate(of_olmoe_router(engine.model, sequence.token_ids.tolist())):
        np.testing.assert_allclose(
            sequence.scores[:, place], expected.numpy(), rtol=2e-2 if dtype.itemsize < 4 else 1e-3
        )
    assert engine.observations()["router_scores"] == ["probabilities"]


def test_logits_are_not_called_probabilities() -> None:
    engine = engine_of(random_model(gpt_oss(), torch.float32))
    assert "router_scores" not in engine.observations()
    routed(engine, PROMPTS[:1], Generation(0), want={"scores"})
    assert engine.observations()["router_scores"] == ["other"]


@pytest.mark.parametrize("config", [olmoe, deepseek_v3, gpt_oss])
def test_texts_that_leave_their_batch_take_their_scores_with_them(config: Any) -> None:
    """Texts end at different tokens, so that the batch goes on with fewer rows, several times."""
    model = random_model(config(), torch.float32)
    model.generation_config.eos_token_id = list(range(0, 52, 5))
    engine = engine_of(model)
    prompts = [Prompt("aQwertyUiop"[: 1 + i], category="c", id=str(i)) for i in range(11)]
    together = routed(engine, prompts, Generation(12), want={"scores"})
    assert len({len(one.token_ids) - one.prompt_length for one in together}) > 3
    for prompt, sequence in zip(prompts, together, strict=True):
        check_sequence(sequence, engine.layout, prompt="p", prompt_tokens=len(prompt.text), want={"scores"})
        assert_scores_equal(sequence, routed(engine, [prompt], Generation(12), want={"scores"})[0])


def test_given_outputs_have_the_scores_of_generated_ones() -> None:
    engine = engine_of(random_model(deepseek_v3(), torch.float32))
    (written,) = routed(engine, PROMPTS[:1], Generation(6), want={"scores"})
    ids = written.token_ids[written.prompt_length :].tolist()
    given = replace(PROMPTS[0], output=(*ids, 0))
    assert_scores_equal(routed(engine, [given], Generation(6), want={"scores"})[0], written)


@pytest.mark.parametrize("factor", [1e6, -1e6])
def test_scores_beyond_half_precision_are_refused_by_prompt_and_layer(factor: float, tmp_path: Path) -> None:
    """Logits are, where a router takes its top k of them; −∞ would say that an expert was ruled out."""
    model = random_model(gpt_oss(), torch.float32)
    with torch.no_grad():
        model.model.layers[1].mlp.router.bias.fill_(factor)
    with pytest.raises(ModelError, match=r"prompt 'aQwertyU'.* router score of layer 1 is no number that half"):
        capture_with(engine_of(model), PROMPTS[:1], Generation(2), out=tmp_path / "out.npz", record=["scores"])


def test_nothing_listens_after_a_pass_that_failed() -> None:
    model = random_model(olmoe(), torch.float32)
    engine = engine_of(model)

    def fail(*_: object) -> None:
        message = "no"
        raise RuntimeError(message)

    handle = model.model.layers[1].mlp.gate.register_forward_pre_hook(fail)
    before = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    with pytest.raises(RuntimeError, match=r"^no$"):
        routed(engine, PROMPTS[:1], Generation(2), want={"scores"})
    assert torch.overrides._get_current_function_mode_stack() == []
    assert before == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    handle.remove()


def test_most_architectures_are_served() -> None:
    assert len(RECORDED) - len(WITHOUT_SCORES) > 60
    assert sorted({*FORMS, *WITHOUT_SCORES} & set(CONFIG_MAPPING)) == RECORDED
