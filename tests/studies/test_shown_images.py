"""Prompts of the same words are the same only where their images are: pictures are what most such prompts differ in."""

from collections.abc import Sequence
from typing import Any

import pytest

from moexray.errors import AnalysisError, SignaturesError
from moexray.recorded_images import RecordedImage, text_of_images
from moexray.segments import WITH_IMAGES
from moexray.signatures import Signatures
from moexray.studies.alignment import aligned
from moexray.studies.cohort import Cohort
from moexray.studies.held_out import held_out
from moexray.studies.notes import Notes
from moexray.studies.pooling import pool
from moexray.studies.sections.controls import near_duplicate_prompts
from moexray.studies.shown_images import images_shown

from .. import made

QUESTION = "what is there to see in this picture"


def asked(pictures: Sequence[str] | None, *, seed: int = 0, **more: Any) -> Signatures:
    """Return prompts that ask the same of pictures, named by their hashes; an empty one for no picture."""
    pictures = [] if pictures is None else pictures
    shown = [[RecordedImage(f"{name}.png", name, 8, 8, 4)] if name else [] for name in pictures]
    number = len(pictures) or 6
    tokens = [[9, 4 * bool(name), 3] for name in pictures] or [[9, 4, 3]] * 6
    columns = {"images": [text_of_images(one) for one in shown]} if pictures else None
    texts = [QUESTION] * number
    return made.signatures(number, segments=WITH_IMAGES, tokens=tokens, columns=columns, texts=texts, seed=seed, **more)


def test_images_are_known_by_their_hashes_or_said_not_to_be() -> None:
    assert images_shown(asked(["a", "b", ""])) == [("a",), ("b",), ()]
    assert images_shown(asked(None)) == [None] * 6
    assert images_shown(made.signatures(2)) == [(), ()]
    with pytest.raises(SignaturesError, match="describes no images"):
        images_shown(made.signatures(1, segments=WITH_IMAGES, columns={"images": ["{]"]}))


def test_a_question_to_another_picture_is_no_duplicate() -> None:
    notes = Notes()
    found = near_duplicate_prompts(Cohort.of(asked(["a", "b", "", "a", "", "c"])), notes)
    assert [pair[:2] for pair in found] == [("p0", "p3"), ("p2", "p4")]
    notes = Notes()
    assert near_duplicate_prompts(Cohort.of(asked(None)), notes) == ()
    assert notes.found == {"prompts": "6 prompts whose images were not recorded are compared with no other"}


def test_a_test_keeps_the_question_to_another_picture() -> None:
    training = asked(["a", "b", "c", "d"])
    other = asked(["e", "b", "f", "g"], seed=1, ids=["q0", "q1", "q2", "q3"])
    assert held_out(training, other).left_out == ("q1",)
    # Where images are not known, two prompts are the same if their ids are.
    unknown = asked(None, seed=1, ids=["p0", "x", "y", "z", "v", "w"])
    assert held_out(training, unknown).left_out == ("p0",)


def test_captures_of_other_pictures_are_not_of_the_same_prompts() -> None:
    one, other = asked(["a", "b", "c", "d"]), asked(["a", "b", "x", "d"], seed=1)
    with pytest.raises(AnalysisError, match="prompt 'p2' has not the same images in both"):
        aligned(one, other, common=False)
    with pytest.raises(AnalysisError, match="prompt 'p2' has other images in capture 2 than in capture 1"):
        pool([one, other])
    assert len(aligned(one, asked(["a", "b", "c", "d"], seed=1), common=False)[0]) == 4
