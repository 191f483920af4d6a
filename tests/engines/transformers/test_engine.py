"""What the transformers engine does with a model's tokenizer, template, settings and limits."""

import subprocess
import sys

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.engines.transformers.sampling import Generation
from moexray.errors import CaptureError
from moexray.prompts import Prompt, chat_prompt

TEMPLATE = "{% for m in messages %}X{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}Y{% endif %}"


@pytest.fixture
def loaded(tiny_olmoe_folder: str) -> LoadedModel:
    return load_model(tiny_olmoe_folder, device="cpu", dtype="float32")


def run(engine: TransformersEngine, *texts: str, new_tokens: int = 3) -> list[list[int]]:
    prompts = [Prompt(text, category="c", id=text) for text in texts]
    return [s.token_ids.tolist() for s in engine.run(prompts, Generation(new_tokens))]


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
    with pytest.raises(CaptureError, match=r"'talk' is a chat, and no chat template is applied: leave out --raw, or"):
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
    with pytest.raises(CaptureError, match=r"'p' has 126 tokens: with 3 generated ones .* context of 128"):
        engine.lengths([fitting, beyond], Generation(3))
    assert engine.lengths([fitting], Generation(3)).tolist() == [125]


def test_a_prompt_without_a_token_is_refused_and_named(loaded: LoadedModel) -> None:
    with pytest.raises(CaptureError, match="gives no token"):
        run(TransformersEngine(loaded), "")


def test_float64_runs_and_says_which_experts_implementation_ran(tiny_olmoe_folder: str) -> None:
    """Torch's grouped product, which transformers prefers, refuses float64."""
    engine = TransformersEngine(load_model(tiny_olmoe_folder, device="cpu", dtype="float64"))
    run(engine, "abc")
    assert engine.experts_implementations == ["eager"]
    assert engine.description["dtype"] == "float64"


def test_the_last_generated_token_passes_no_router(loaded: LoadedModel) -> None:
    assert [len(ids) for ids in run(TransformersEngine(loaded), "abc", new_tokens=5)] == [3 + 5 - 1]


@pytest.mark.slow
def test_a_batch_too_large_for_memory_is_one_sentence(tiny_olmoe_folder: str) -> None:
    """In a process whose address space is limited, so that torch's allocator is refused for real."""
    program = f"""
import resource
from moexray.engines.transformers.sampling import Generation
from moexray.engines.transformers.loading import load_model
from moexray.engines.transformers.engine import TransformersEngine
from moexray.errors import CaptureError
from moexray.prompts import Prompt, chat_prompt
engine = TransformersEngine(load_model({tiny_olmoe_folder!r}, device="cpu", dtype="float32"))
prompts = [Prompt("a" * 120, category="c", id=str(i)) for i in range(4000)]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
try:
    engine.run(prompts, Generation(2))
except CaptureError as error:
    print(error)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stdout.startswith("a batch of 4000 prompts does not fit into memory"), finished.stderr[-2000:]


def test_a_sequence_is_torn_from_the_graph(loaded: LoadedModel) -> None:
    run(TransformersEngine(loaded), "abc")
    assert torch.is_grad_enabled()
