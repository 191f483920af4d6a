"""Tokens that are parts of one character, or of one image, are one piece; every token is in exactly one."""

import pytest

from moexray.recorded_images import RecordedImage
from moexray.studies.prompt_pieces import pieces_of
from moexray.studies.shown_report import ShownPiece, ShownToken

PATCH, MARKER = 90, 91


def token(text: str | None, *, phase: str = "prompt", kind: str = "text", number: int = 1) -> ShownToken:
    return ShownToken(0, number, text, phase, kind, (0,), None, 0, None, 1)


def texts(pieces: list[ShownPiece]) -> list[str]:
    return [one.text for one in pieces]


def image(rows: int | None, columns: int | None, tokens: int | None) -> RecordedImage:
    return RecordedImage("a.png", "0" * 64, 8, 8, tokens, rows, columns)


def patches(ids: str) -> list[ShownToken]:
    """Return image tokens: p for a patch, m for a marker, t for a token of text."""
    made = {"p": ("image", PATCH), "m": ("image", MARKER), "t": ("text", 1)}
    return [token("x", kind=made[one][0], number=made[one][1]) for one in ids]


def covered(pieces: list[ShownPiece], tokens: list[ShownToken]) -> bool:
    return [i for one in pieces for i in range(one.first, one.first + one.tokens)] == list(range(len(tokens)))


@pytest.mark.parametrize(
    ("parts", "text", "expected"),
    [
        (["so", " \ufffd", "\ufffd", "!"], "so 🙂!", ["so", " 🙂", "!"]),
        (["\ufffd", "\ufffd"], "é", ["é"]),
        (["\ufffd"] * 4, "🙂", ["🙂"]),
        (["a", "\ufffd", "\ufffd", "\ufffd", "b"], "a🙂b a🙁b", ["a", "\ufffd", "b"]),  # either of two
        (["a", "\ufffd", "\ufffd"], "", ["a", "\ufffd"]),  # no text is recorded
        (["a", "\ufffd", "\ufffd", "b"], "aéb", ["a", "é", "b"]),
        (["a", "\ufffd", "\ufffd", "\ufffd", "b"], "aéb", ["a", "\ufffd", "b"]),  # é has two bytes, not three
        (["a", "\ufffd", "b", "\ufffd"], "aéb", ["a", "é", "b", "\ufffd"]),
    ],
)
def test_parts_of_a_character_are_shown_as_the_recorded_text_has_them(
    parts: list[str], text: str, expected: list[str]
) -> None:
    tokens = [token(one) for one in parts]
    found = pieces_of(tokens, images=(), texts={"prompt": text})
    assert texts(found) == expected
    assert covered(found, tokens)


def test_signs_of_regular_expressions_in_a_text_are_signs() -> None:
    tokens = [token(one) for one in ("(.*", "\ufffd", "\ufffd", "+)")]
    assert texts(pieces_of(tokens, images=(), texts={"prompt": "xx é+) (.*é+)"})) == ["(.*", "é", "+)"]


def test_parts_on_either_side_of_the_generation_are_not_one_character() -> None:
    tokens = [token("\ufffd"), token("\ufffd", phase="generated")]
    assert [one.tokens for one in pieces_of(tokens, images=(), texts={})] == [1, 1]


def test_a_token_whose_text_is_not_known_is_shown_by_its_id() -> None:
    assert texts(pieces_of([token(None, number=7)], images=(), texts={})) == ["#7"]


@pytest.mark.parametrize(
    ("ids", "images", "expected"),
    [
        ("tppppt", [image(2, 2, 4)], [(1, 4, 2, 2)]),
        ("ppppppt", [image(2, 2, 4), image(1, 2, 2)], [(0, 4, 2, 2), (4, 2, 1, 2)]),  # side by side
        ("tmppppmt", [image(2, 2, 4)], [(1, 6, 2, 2)]),  # with the markers around it
        ("ppmppmt", [image(None, None, 4)], [(0, 6, None, None)]),  # a marker ends every row
        ("mppmmppppm", [image(1, 2, 2), image(2, 2, 4)], [(0, 5, 1, 2), (5, 5, 2, 2)]),
        ("tppptpp", [image(2, 2, 4)], [(1, 3, None, None), (5, 2, None, None)]),  # as many as no image has
        ("tppt", [], [(1, 2, None, None)]),
        ("tppt", [image(None, None, None)], [(1, 2, None, None)]),
    ],
)
def test_the_tokens_of_an_image_are_one_piece_with_the_grid_that_is_recorded(
    ids: str, images: list[RecordedImage], expected: list[tuple[int, int, int | None, int | None]]
) -> None:
    tokens = patches(ids)
    found = pieces_of(tokens, images=images, texts={})
    assert [(one.first, one.tokens, one.rows, one.columns) for one in found if one.image] == expected
    assert covered(found, tokens)
