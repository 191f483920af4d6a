"""The transformers engine respects a model's tokenizer, template and limits, and leaves the model as it was."""

import gc
import subprocess
import sys

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.errors import CaptureError, ModelError
from moexray.generation import Generation
from moexray.prompts import Prompt, chat_prompt

from ...tiny_models import loaded as tiny
from ...tiny_models import routed

TEMPLATE = "{% for m in messages %}X{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}Y{% endif %}"


@pytest.fixture
def loaded(tiny_olmoe_folder: str) -> LoadedModel:
    return load_model(tiny_olmoe_folder, device="cpu", dtype="float32")


def run(engine: TransformersEngine, *texts: str, new_tokens: int = 3) -> list[list[int]]:
    prompts = [Prompt(text, category="c", id=text) for text in texts]
    return [s.token_ids.tolist() for s in routed(engine, prompts, Generation(new_tokens))]


def test_the_chat_template_is_applied_where_there_is_one_and_raw_leaves_it_out(loaded: LoadedModel) -> None:
    tokenizer: PreTrainedTokenizerFast = loaded.tokenizer
    tokenizer.chat_template = TEMPLATE
    templated, raw = TransformersEngine(loaded), TransformersEngine(loaded, raw=True)
    prompt = [Prompt("abc", category="c", id="p")]
    assert tokenizer.decode(templated.tokenize(prompt)[0]).replace(" ", "") == "XabcY"
    assert tokenizer.decode(raw.tokenize(prompt)[0]).replace(" ", "") == "abc"
    assert templated.description["chat_template"]
    assert not raw.description["chat_template"]


def chat(*contents: str) -> Prompt:
    """Return a chat of a user and an assistant in turn."""
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return chat_prompt(messages, category="c", id="talk")


def test_a_chat_goes_through_the_template_as_it_is_and_the_models_turn_opens_unless_it_was_the_last(
    loaded: LoadedModel,
) -> None:
    loaded.tokenizer.chat_template = TEMPLATE
    prompts = [chat("abc"), chat("abc", "de"), chat("abc", "de", "f"), Prompt("abc", category="c", id="p")]
    token_ids = TransformersEngine(loaded).tokenize(prompts)
    found = [loaded.tokenizer.decode(ids).replace(" ", "") for ids in token_ids]
    assert found == ["XabcY", "XabcXde", "XabcXdeXfY", "XabcY"]


def test_a_chat_is_refused_where_no_template_is_applied(loaded: LoadedModel) -> None:
    prompts = [Prompt("abc", category="c", id="p"), chat("abc")]
    with pytest.raises(
        CaptureError, match=r"'talk' is a chat, and no chat template is applied: leave out `raw=True`, or"
    ):
        TransformersEngine(loaded).tokenize(prompts)
    loaded.tokenizer.chat_template = TEMPLATE
    with pytest.raises(CaptureError, match=r"'talk' is a chat, and no chat template is applied"):
        TransformersEngine(loaded, raw=True).tokenize(prompts)


def test_a_chat_that_a_template_refuses_is_named_with_the_templates_reason(loaded: LoadedModel) -> None:
    loaded.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(CaptureError, match=r"'talk' does not suit this model's chat template: roles must alternate"):
        TransformersEngine(loaded).tokenize([chat("abc")])


def test_decoding_is_greedy_whatever_the_checkpoint_asks_for(loaded: LoadedModel) -> None:
    plain = run(TransformersEngine(loaded), "abc", new_tokens=12)
    loaded.model.generation_config = GenerationConfig(do_sample=True, temperature=9.0, repetition_penalty=9.0)
    assert run(TransformersEngine(loaded), "abc", new_tokens=12) == plain


def test_a_prompt_beyond_the_models_context_is_refused_and_named(loaded: LoadedModel) -> None:
    engine, fitting, beyond = TransformersEngine(loaded), Prompt("a" * 125, "c", "fits"), Prompt("a" * 126, "c", "p")
    with pytest.raises(
        CaptureError, match=r"'p' has 126 tokens: with 3 generated ones it exceeds the model's context of 128"
    ):
        engine.lengths([fitting, beyond], Generation(3))
    assert engine.lengths([fitting], Generation(3)).tolist() == [125]


def test_a_prompt_without_a_token_is_refused_and_named(loaded: LoadedModel) -> None:
    with pytest.raises(CaptureError, match="gives no token"):
        run(TransformersEngine(loaded), "")


def test_float64_runs_and_says_which_experts_implementation_ran(tiny_olmoe_folder: str) -> None:
    """Torch's grouped product, which transformers prefers, refuses float64."""
    engine = TransformersEngine(load_model(tiny_olmoe_folder, device="cpu", dtype="float64"))
    run(engine, "abc")
    assert engine.observations() == {"experts_implementation": ["eager"]}
    assert engine.description["dtype"] == "float64"


def test_the_last_generated_token_passes_no_router(loaded: LoadedModel) -> None:
    assert [len(ids) for ids in run(TransformersEngine(loaded), "abc", new_tokens=5)] == [3 + 5 - 1]


@pytest.mark.slow
def test_a_batch_too_large_for_memory_is_one_sentence(tiny_olmoe_folder: str) -> None:
    """In a process whose address space is limited, so that torch's allocator is refused for real."""
    program = f"""
import resource
from moexray.generation import Generation
from moexray.engines.transformers.loading import load_model
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError
from moexray.prompts import Prompt, chat_prompt
engine = TransformersEngine(load_model({tiny_olmoe_folder!r}, device="cpu", dtype="float32"))
prompts = [Prompt("a" * 120, category="c", id=str(i)) for i in range(4000)]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
try:
    list(engine.run(prompts, Generation(2)))
except CaptureError as error:
    print(error)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stdout.startswith("a batch of 4000 prompts does not fit into memory"), finished.stderr[-2000:]


def test_gradients_are_on_again_after_a_run(loaded: LoadedModel) -> None:
    run(TransformersEngine(loaded), "abc")
    assert torch.is_grad_enabled()


def hooks_of(model: torch.nn.Module) -> list[tuple[int, int]]:
    return [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]


@pytest.fixture
def as_found() -> LoadedModel:
    """Return a model in training mode but for one module, with settings of its own that an engine must change."""
    found = tiny("deepseek_v3", "float64")
    found.model.train()
    found.model.model.layers[1].eval()
    found.model.set_experts_implementation("batched_mm")
    found.model.generation_config = GenerationConfig(do_sample=True, temperature=9.0)
    return found


def test_a_closed_engine_leaves_the_model_as_it_was_found(as_found: LoadedModel) -> None:
    """Its settings of generation, its hooks, how its experts are computed, and the mode of each module."""
    model = as_found.model
    before = model.generation_config, hooks_of(model), model.get_experts_implementation()
    modes = [module.training for module in model.modules()]
    with TransformersEngine(as_found) as engine:
        run(engine, "abc", "defgh")
        assert not model.training
        assert model.generation_config is not before[0]
        assert hooks_of(model) != before[1]
        assert model.get_experts_implementation() != before[2]
    assert model.generation_config is before[0]
    assert (hooks_of(model), model.get_experts_implementation()) == before[1:]
    assert [module.training for module in model.modules()] == modes
    engine.close()
    with pytest.raises(CaptureError, match="is closed: open it again"):
        run(engine, "abc")


def test_an_engine_that_is_forgotten_changes_nothing_of_another_on_the_same_model(loaded: LoadedModel) -> None:
    forgotten = TransformersEngine(loaded)
    engine = TransformersEngine(loaded)
    expected = loaded.model.generation_config, hooks_of(loaded.model)
    del forgotten
    gc.collect()
    assert (loaded.model.generation_config, hooks_of(loaded.model)) == expected
    run(engine, "abc")


@pytest.mark.parametrize("step", ["selections_per_token", "described_model"])
def test_a_refused_model_is_left_as_it_was_found(
    as_found: LoadedModel, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whether an early or the last step of opening fails."""
    model = as_found.model
    before = model.generation_config, hooks_of(model), model.get_experts_implementation(), model.training

    def refuse(*_: object, **__: object) -> None:
        raise ModelError

    monkeypatch.setattr(f"moexray.engines.transformers.engine.{step}", refuse)
    with pytest.raises(ModelError):
        TransformersEngine(as_found)
    assert (model.generation_config, hooks_of(model), model.get_experts_implementation(), model.training) == before


def test_each_prompt_is_tokenized_once_for_its_length_and_its_run(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt(text, category="c", id=text) for text in ("abc", "defg", "h")]
    engine = TransformersEngine(loaded)
    tokenized: list[str] = []
    plain = PromptTokens.tokenize

    def count(self: PromptTokens, some: list[Prompt]) -> list[list[int]]:
        tokenized.extend(prompt.id for prompt in some)
        return plain(self, some)

    monkeypatch.setattr(PromptTokens, "tokenize", count)
    assert engine.lengths(prompts, Generation(1)).tolist() == [3, 4, 1]
    first = routed(engine, prompts[1:], Generation(1))
    assert sorted(tokenized) == ["abc", "defg", "h"]
    again = routed(engine, prompts[1:], Generation(1))
    assert [one.token_ids.tolist() for one in first] == [one.token_ids.tolist() for one in again]
    monkeypatch.setattr("moexray.engines.transformers.prompt_tokens._MOST_KEPT", 4)
    assert engine.lengths(prompts, Generation(1)).tolist() == [3, 4, 1]
    assert [len(one.token_ids) for one in routed(engine, prompts, Generation(1))] == [3, 4, 1]


def test_tokens_are_told_as_they_pass_the_model(loaded: LoadedModel) -> None:
    """Those of the prompts first, then one of each sequence a step; padding is not among them."""
    told: list[int] = []
    prompts = [Prompt(text, category="c", id=text) for text in ("abc", "d")]
    found = routed(TransformersEngine(loaded), prompts, Generation(4), on_tokens=told.append)
    assert told == [4, 2, 2, 2]
    assert sum(told) == sum(len(one.token_ids) for one in found)


def test_what_a_model_cannot_give_is_refused_by_name(loaded: LoadedModel) -> None:
    engine = TransformersEngine(loaded)
    offered = {"weights", "scores", "norms", "verify", "outputs", "rules", "score", "route", "divergence"}
    assert engine.capabilities == offered
    with pytest.raises(
        CaptureError, match="engine transformers does not offer images for this model: it offers divergence, norms, out"
    ):
        routed(engine, [Prompt("abc", category="c", id="p")], Generation(1), want={"images"})
