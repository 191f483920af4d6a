"""Every prompt reaches the model in the tokenizer's own format, or the capture says in one sentence why not."""

from collections.abc import Sequence
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from moexray.engines.transformers.prompt_tokens import PromptTokens
from moexray.errors import CaptureError
from moexray.prompts import Prompt, chat_prompt

from ...tiny_models import tokenizer_of_letters

TURNS = (
    "{% for m in messages %}{% if m['role'] == 'system' %}S{% elif m['role'] == 'user' %}U{% else %}A{% endif %}"
    "{{ m['content'] | trim }}{% if m['role'] == 'assistant' %}Z{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}A{% endif %}"
)
PROMPT = Prompt("abc", category="c", id="p")


def tokenizer(template: str | dict[str, str] | None) -> PreTrainedTokenizerFast:
    found = tokenizer_of_letters()
    found.chat_template = template
    return found


def chat(*contents: str, roles: Sequence[str] = ("user", "assistant") * 3) -> Prompt:
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return chat_prompt(messages, category="c", id="talk")


def text_of(template: str | dict[str, str], prompt: Prompt, **options: Any) -> str:
    """Return what the model reads of a prompt, each token a letter."""
    found = tokenizer(template)
    (token_ids,) = PromptTokens(found, **options).tokenize([prompt])
    return str(found.decode(token_ids)).replace(" ", "")


def test_a_chat_that_ends_with_the_assistant_is_left_open_to_be_continued() -> None:
    """The template closes an answer with Z; no Z follows the one that the model is to continue."""
    assert text_of(TURNS, chat("abc", "de")) == "UabcAde"
    assert text_of(TURNS, chat("abc", "de", "f")) == "UabcAdeZUfA"
    assert text_of(TURNS, PROMPT) == "UabcA"


def test_a_system_message_stands_before_every_prompt_and_a_chats_own_is_not_doubled() -> None:
    assert text_of(TURNS, PROMPT, system="be") == "SbeUabcA"
    assert text_of(TURNS, chat("abc", "de"), system="be") == "SbeUabcAde"
    own = chat("so", "abc", roles=("system", "user"))
    assert text_of(TURNS, own) == "SsoUabcA"
    with pytest.raises(CaptureError, match="'talk' has a system message of its own: leave out `system`"):
        text_of(TURNS, own, system="be")


def test_options_reach_the_template_and_those_that_it_does_not_read_are_refused() -> None:
    template = TURNS + "{% if enable_thinking is defined and enable_thinking is false %}NO{% endif %}"
    assert text_of(template, PROMPT) == "UabcA"
    assert text_of(template, PROMPT, template_options={"enable_thinking": False}) == "UabcANO"
    for options, reason in {
        "enable_thinkin": "reads no variable of that name",
        "add_generation_prompt": "that is no option of a template",
        "messages": "that is no option of a template",
    }.items():
        with pytest.raises(CaptureError, match=f"`template_options` sets {options} to 1: .*{reason}"):
            text_of(template, PROMPT, template_options={options: 1})
    with pytest.raises(CaptureError, match="it must be a JSON value"):
        text_of(template, PROMPT, template_options={"enable_thinking": {1}})


def test_one_of_several_templates_is_chosen_by_name_and_the_default_otherwise() -> None:
    both = {"default": TURNS, "rag": "R" + TURNS}
    assert text_of(both, PROMPT) == "UabcA"
    assert text_of(both, PROMPT, chat_template="rag") == "RUabcA"
    with pytest.raises(CaptureError, match=r'no chat template `chat_template="tool"`: it has .default., .rag.'):
        text_of(both, PROMPT, chat_template="tool")
    with pytest.raises(CaptureError, match="it has one without a name"):
        text_of(TURNS, PROMPT, chat_template="default")
    without = {"rag": TURNS, "tool_use": TURNS}
    with pytest.raises(CaptureError, match="has the chat templates 'rag', 'tool_use', and none is its default"):
        text_of(without, PROMPT)
    assert text_of(without, PROMPT, raw=True) == "abc"


@pytest.mark.parametrize(
    ("template", "cause"),
    [
        ("{{ 1 // 0 }}", "ZeroDivisionError: "),
        ("{{ messages[0]['content'] + 1 }}", "TypeError: can only concatenate str"),
        ("{{ '%d' | format('a') }}", "TypeError: %d format"),
        ("{{ strftime_now(3) }}", "TypeError: "),
        ("{{ messages | tojson | length }}{{ {}['a'] + 1 }}", "'dict object' has no attribute 'a'"),
        ("{{ range(1, 2, 0) }}", "ValueError: "),
        ("{{ messages.no.such }}", "'list object' has no attribute 'no'"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "RecursionError: "),
    ],
)
def test_whatever_a_template_raises_names_the_prompt_and_the_cause_in_one_line(template: str, cause: str) -> None:
    with pytest.raises(CaptureError, match="prompt 'p' does not suit this model's chat template: ") as caught:
        text_of(template, PROMPT)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("template", "prompt", "role"),
    [
        ("Hello", PROMPT, "user"),
        ("", PROMPT, "user"),
        ("U{{ messages[0]['role'] }}A", PROMPT, "user"),
        ("{{ messages[-1]['content'] }}", chat("abc", "de", "f"), "user"),
        ("{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}",
         chat("so", "abc", roles=("system", "user")), "system"),
    ],
)  # fmt: skip
def test_a_template_that_leaves_out_a_message_is_refused(template: str, prompt: Prompt, role: str) -> None:
    with pytest.raises(CaptureError, match=f"the text of its {role} message does not reach the model"):
        text_of(template, prompt)


def test_a_template_may_rewrite_what_it_reads() -> None:
    """Upper case, and a part of an earlier answer that is cut out, as templates do with reasoning."""
    assert text_of("U{{ messages[0]['content'] | upper }}", PROMPT) == "UABC"
    cut = "{% for m in messages %}{{ m['content'].split('q')[-1] }}{% endfor %}"
    assert text_of(cut, chat("abc", "deqf", "g")) == "abcfg"


def test_options_of_a_template_are_refused_where_none_is_applied() -> None:
    for options in ({"system": "be"}, {"chat_template": "rag"}, {"template_options": {"x": 1}}):
        for found, raw in ((tokenizer(TURNS), True), (tokenizer(None), False)):
            with pytest.raises(
                CaptureError, match=f"`{next(iter(options))}` is given, but no chat template is applied"
            ):
                PromptTokens(found, raw=raw, **options)
    assert PromptTokens(tokenizer(TURNS), raw=True, template_options={}).settings["template_options"] is None


class OwnFormat:
    """A tokenizer with code instead of a template, with the interface of mistral-common's."""

    chat_template = None

    def __init__(self) -> None:
        self._letters = tokenizer_of_letters()

    def __call__(self, texts: list[str]) -> dict[str, list[list[int]]]:
        found: dict[str, list[list[int]]] = self._letters(texts)
        return found

    def decode(self, token_ids: list[int]) -> str:
        return str(self._letters.decode(token_ids))

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        effort: str = "",
        **_: Any,
    ) -> dict[str, list[int]]:
        if add_generation_prompt and conversation[-1]["role"] == "assistant":
            raise ValueError
        text = effort + "".join(f"I{message['content']}" for message in conversation)
        return self._letters(text if continue_final_message else f"{text}J")


def test_a_tokenizer_that_chats_by_code_of_its_own_needs_no_template() -> None:
    tokens = PromptTokens(OwnFormat())
    found = ["".join(OwnFormat().decode(ids)).replace(" ", "") for ids in tokens.tokenize([PROMPT, chat("ab", "cd")])]
    assert found == ["IabcJ", "IabIcd"]
    assert tokens.settings["chat_template"]
    assert not PromptTokens(OwnFormat(), raw=True).settings["chat_template"]
    (thinking,) = PromptTokens(OwnFormat(), template_options={"effort": "xyz"}).tokenize([PROMPT])
    assert thinking == [23, 24, 25, *tokens.tokenize([PROMPT])[0]]
    with pytest.raises(CaptureError, match="reads no variable of that name"):
        PromptTokens(OwnFormat(), template_options={"nonsense": 1})


def test_a_prompt_that_the_tokenizer_fails_with_is_named() -> None:
    """The tokenizer of letters has no token for anything else, nor one for what is unknown."""
    prompts = [PROMPT, Prompt("a-b", "c", "dash")]
    for template in (None, TURNS):
        with pytest.raises(CaptureError, match=r"'dash' .*: Exception: WordLevel error: Missing \[UNK\] token"):
            PromptTokens(tokenizer(template)).tokenize(prompts)


def test_a_token_without_an_embedding_is_named_with_its_prompt() -> None:
    tokens = PromptTokens(tokenizer(None), embeddings=26)
    assert tokens.tokenize([Prompt("az", "c", "fits")]) == [[0, 25]]
    with pytest.raises(CaptureError, match=r"prompt 'p' holds token 27 \('B'\), but the model has embeddings of 26"):
        tokens.tokenize([Prompt("az", "c", "fits"), Prompt("AB", "c", "p")])
