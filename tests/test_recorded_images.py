"""What is recorded of images survives its JSON, and what describes none is refused."""

import json

import pytest

from moexray.errors import SignaturesError
from moexray.recorded_images import RecordedImage, images_of_text, text_of_images

IMAGES = (
    RecordedImage("ä \u202e.png", "ab" * 32, 640, 480, tokens=6, rows=2, columns=3),
    RecordedImage("image 2", "cd" * 32, 1, 1),
)


def test_images_come_back_from_their_text() -> None:
    assert images_of_text(text_of_images(IMAGES)) == IMAGES
    assert images_of_text(text_of_images(())) == ()


def test_the_text_is_a_json_list_of_what_the_documentation_names() -> None:
    names = ["name", "sha256", "width", "height", "tokens", "rows", "columns"]
    assert [list(one) for one in json.loads(text_of_images(IMAGES))] == [names] * 2


WHOLE = json.loads(text_of_images(IMAGES))[0]


@pytest.mark.parametrize(
    "found",
    [
        "",
        "{}",
        "[1]",
        "[" * 100_000,
        json.dumps([{**WHOLE, "more": 1}]),
        text_of_images(IMAGES[:1]).replace('"rows"', '"rows": 6, "rows"'),  # which of both counts is not known
        text_of_images(IMAGES[:1]).replace("640", "9" * 5000),
        json.dumps([{name: value for name, value in WHOLE.items() if name != "rows"}]),
        *(
            json.dumps([{**WHOLE, **changed}])
            for changed in (
                {"tokens": 7},
                {"tokens": None},
                {"rows": -2, "columns": -3},
                {"rows": None},
                {"width": "640"},
                {"height": True},
                {"name": None},
                {"sha256": 5},
                {"name": "\ud800"},
            )
        ),
    ],
)
def test_what_describes_no_image_is_refused(found: str) -> None:
    with pytest.raises(SignaturesError, match="'images'"):
        images_of_text(found)
