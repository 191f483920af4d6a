"""Segments are named by one selector, which refuses what is not there."""

import pytest

from moexray.errors import SignaturesError
from moexray.segments import PLAIN, Segment, places, selectors, short_names

IMAGES = (Segment("prompt", "text"), Segment("prompt", "image"), Segment("generated", "text"))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("all", (0, 1, 2)),
        ("prompt", (0, 1)),
        ("generated", (2,)),
        ("text", (0, 2)),
        ("image", (1,)),
        ("prompt/image", (1,)),
        ("prompt/text", (0,)),
    ],
)
def test_a_selector_names_a_phase_a_kind_or_both(tokens: str, expected: tuple[int, ...]) -> None:
    assert places(tokens, IMAGES) == expected
    assert tokens in selectors(IMAGES)


@pytest.mark.parametrize("tokens", ["", "audio", "generated/image", "Prompt", "prompt/"])
def test_a_selector_that_names_nothing_is_refused_with_those_that_do(tokens: str) -> None:
    with pytest.raises(SignaturesError, match="there are all, prompt, generated, text, image, prompt/text"):
        places(tokens, IMAGES)


def test_a_capture_of_texts_is_described_by_its_phases() -> None:
    assert selectors(PLAIN) == ["all", "prompt", "generated"]
    assert short_names(PLAIN) == ["prompt", "generated"]
    assert short_names(IMAGES) == ["prompt/text", "prompt/image", "generated/text"]


@pytest.mark.parametrize("name", ["prompt/text", "prompt/image", "generated/answer"])
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    assert str(Segment.parse(name)) == name


@pytest.mark.parametrize("name", ["", "decode/text", "prompt", "prompt/", "prompt/a/b", "prompt/all", "text/prompt"])
def test_names_that_no_selector_could_tell_apart_are_refused(name: str) -> None:
    with pytest.raises(SignaturesError):
        Segment.parse(name)
