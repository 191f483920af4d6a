"""A chat keeps its messages, and its text is their contents."""

from typing import Any

import pytest

from moexray.errors import PromptsError
from moexray.prompts import chat_prompt


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_the_text_of_a_chat_is_the_contents_of_its_messages() -> None:
    messages = [{"role": "system", "content": "Be brief.\n"}, user('Say "a"'), {"role": "assistant", "content": "a"}]
    prompt = chat_prompt(messages, category="c", id="i", group="g")
    assert prompt.text == 'Be brief.\n\n\nSay "a"\n\na'
    assert prompt.messages == tuple(messages)
    assert (prompt.category, prompt.id, prompt.group) == ("c", "i", "g")


def test_a_chat_of_one_message_has_its_text() -> None:
    assert chat_prompt([user("abc")], category="c", id="i").text == "abc"


def test_further_keys_of_a_message_are_kept_without_the_none_that_tables_fill_in() -> None:
    messages = [{"role": "user", "content": "a", "name": "Ada", "tool_calls": None}]
    assert chat_prompt(messages, category="c", id="i").messages == ({"role": "user", "content": "a", "name": "Ada"},)


def test_text_parts_are_joined_and_an_empty_message_adds_nothing() -> None:
    parts = [{"type": "text", "text": "a", "image": None}, {"type": "text", "text": "b"}]
    prompt = chat_prompt([{"role": "system", "content": ""}, user(parts)], category="c", id="i")
    assert prompt.text == "ab"
    assert prompt.messages == ({"role": "system", "content": ""}, user("ab"))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "a chat is empty: none of its messages has a text"),
        ([user(" ")], "a chat is empty: none of its messages has a text"),
        (["x"], "message 1 is str, not an object with a role and a content"),
        ([user("a"), {"content": "x"}], "message 2 has no \"role\" .*: it has 'content'"),
        ([{"from": "human", "value": "x"}], "message 1 has no \"role\" .*: it has 'from', 'value'"),
        ([{"role": "user"}], 'message 1 has no "content" that is a text'),
        ([user(None)], 'message 1 has no "content" that is a text'),
        ([user(3)], 'message 1 has no "content" that is a text'),
        ([user([{"type": "text", "text": "a"}, {"type": "video"}])], r"a part that is neither a text nor .* \(video\)"),
        ([user([{"type": "text", "text": "a", "image": "x"}])], r"neither a text nor an image \(text\)"),
        ([user(["a"])], r"neither a text nor an image \(str\)"),
        ([user("a\ud800")], "cannot be written as JSON"),
        ([{**user("a"), "picture": b"x"}], "cannot be written as JSON"),
    ],
)
def test_a_malformed_chat_is_refused(messages: list[Any], problem: str) -> None:
    with pytest.raises(PromptsError, match=problem):
        chat_prompt(messages, category="c", id="i")
