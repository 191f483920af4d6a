"""Each row that reaches the experts is a known token of a known prompt, in every stretch of a generation."""

import numpy as np
import pytest

from moexray.engines.transformers.places import NO_KIND, Cursor, Places
from moexray.errors import ModelError
from moexray.segments import WITH_IMAGES

TEXT, IMAGE = 0, 1


def begun() -> Places:
    """Return a batch of prompts of four and two tokens: text, image, image, text; and image, text."""
    places = Places(WITH_IMAGES)
    segments = [np.array([0, 1, 1, 0], dtype=np.int8), np.array([1, 0], dtype=np.int8)]
    places.begin(["a", "b"], [4, 2], segments)
    return places


def test_rows_of_left_padded_prompts_and_of_what_they_generate_have_the_kinds_of_their_tokens() -> None:
    places = begun()
    cursor = Cursor(places, "experts", 1)
    positions, call = cursor.next(8)
    assert call == 0
    np.testing.assert_array_equal(positions, [[0, 1, 2, 3], [-2, -1, 0, 1]])
    np.testing.assert_array_equal(
        places.kinds_at(positions, places.rows), [[TEXT, IMAGE, IMAGE, TEXT], [NO_KIND, NO_KIND, IMAGE, TEXT]]
    )
    positions, _ = cursor.next(2)
    np.testing.assert_array_equal(positions, [[4], [2]])
    assert (places.kinds_at(positions, places.rows) == TEXT).all()
    places.passed(5)
    places.run(np.array([1]))
    positions, _ = cursor.next(1)
    np.testing.assert_array_equal(positions, [[3]])


def test_a_layer_that_runs_twice_sees_the_same_tokens_twice() -> None:
    cursor = Cursor(begun(), "experts", 2)
    (first, call), (second, again) = cursor.next(8), cursor.next(8)
    np.testing.assert_array_equal(first, second)
    assert (call, again) == (0, 1)
    np.testing.assert_array_equal(cursor.next(2)[0], [[4], [2]])


def test_without_segments_all_tokens_are_text() -> None:
    places = Places(WITH_IMAGES)
    places.begin(["a", "b"], [2, 1])
    positions, _ = Cursor(places, "experts", 1).next(4)
    np.testing.assert_array_equal(places.kinds_at(positions, places.rows), [[TEXT, TEXT], [NO_KIND, TEXT]])
    assert places.kinds() == ["text", "image"]


def test_rows_that_belong_to_no_token_are_refused() -> None:
    with pytest.raises(ModelError, match="7 rows came for 2 prompts"):
        Cursor(begun(), "experts", 1).next(7)
