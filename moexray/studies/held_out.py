"""Another capture to test a classifier on: whether it fits, and which of its prompts may be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.shown_images import Shown, images_shown

# What makes two captures ones of different models, where both say it.
_MODEL = ("model", "revision", "quantization")
# What else changes the routing of the same prompt.
_SETTINGS = (
    "dtype",
    "chat_template",
    "chat_template_name",
    "template_options",
    "system",
    "max_new_tokens",
    "do_sample",
    "temperature",
    "top_p",
)


@dataclass(frozen=True)
class HeldOut:
    """The prompts of a test that training does not hold.

    Attributes
    ----------
    signatures
        Of these prompts.
    left_out
        Ids of the prompts of the test that training holds.
    settings
        How the captures differ in settings that change routing; empty where they do not.
    """

    signatures: Signatures
    left_out: tuple[str, ...]
    settings: str


def held_out(training: Signatures, test: Signatures) -> HeldOut:
    """Check that a classifier of these signatures can be tested on others, and leave out prompts that both hold.

    Two prompts are the same if their texts are, up to white space around them, and their images; where either capture
    does not hold these, if their ids are.

    Raises
    ------
    AnalysisError
        If the test is the same capture, or of another model, other layers, experts or k; if it has a category that
        training lacks; or if training holds every prompt of it.
    """
    if training.fingerprint == test.fingerprint:
        message = "`test` is what is analyzed: name a capture of other prompts"
        raise AnalysisError(message)
    problem = next(_differences(training, test), None)
    if problem is not None:
        raise AnalysisError(problem)
    known = set(training.prompts.categories)
    unknown = sorted(set(test.prompts.categories) - known)
    if unknown:
        common = "" if known & set(test.prompts.categories) else "; no category is in both"
        message = f"`test` has the category {unknown[0]!r}, which is not in what is analyzed{common}"
        raise AnalysisError(message)
    return _unseen(training, test)


def _differences(training: Signatures, test: Signatures) -> Iterator[str]:
    for key in _MODEL:
        ours, theirs = training.meta.get(key), test.meta.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            yield f"`test` is of another model: its {key} is {theirs!r}, not {ours!r}"
    for name, of_each in (("layers", "layers"), ("experts", "experts"), ("k", "top_k")):
        ours, theirs = (getattr(one, of_each).tolist() for one in (training, test))
        if ours != theirs:
            yield f"`test` has other {name} than what is analyzed: {theirs}, not {ours}"


def _contents(signatures: Signatures) -> list[tuple[str, Shown]] | None:
    """Return the text and the images of each prompt; None where they are not known."""
    texts, images = signatures.prompts.texts, images_shown(signatures)
    if texts is None or None in images:
        return None
    return [(text.strip(), shown) for text, shown in zip(texts, images, strict=True)]


def _unseen(training: Signatures, test: Signatures) -> HeldOut:
    contents = _contents(training), _contents(test)
    known: set[Any]
    names: list[Any]
    if contents[0] is not None and contents[1] is not None:
        known, names = set(contents[0]), contents[1]
    else:
        known, names = set(training.prompts.ids), list(test.prompts.ids)
    kept = [place for place, name in enumerate(names) if name not in known]
    if not kept:
        message = "what is analyzed holds every prompt of `test`: name a capture of other prompts"
        raise AnalysisError(message)
    left_out = tuple(one for one, name in zip(test.prompts.ids, names, strict=True) if name in known)
    settings = [
        f"{key} {theirs!r}, not {ours!r}"
        for key in _SETTINGS
        if (theirs := test.meta.get(key)) != (ours := training.meta.get(key))
    ]
    return HeldOut(test.take(kept) if left_out else test, left_out, "; ".join(settings))
