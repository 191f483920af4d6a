"""What of a prompt's tokens is shown as one: the parts of one character, and the tokens of one image."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from moexray.recorded_images import RecordedImage
from moexray.segments import WORDLESS
from moexray.studies.shown_report import ShownPiece, ShownToken

# A part of a character, by itself.
PART = "\ufffd"
# Letters on either side that find the character in the text.
_AROUND = 16


def pieces_of(
    tokens: Sequence[ShownToken], *, images: Sequence[RecordedImage], texts: Mapping[str, str]
) -> list[ShownPiece]:
    """Return the pieces of a prompt's tokens, without their leading experts.

    Parameters
    ----------
    tokens
        In their order.
    images
        Of the prompt, in their order.
    texts
        The text of a phase, ``prompt`` or ``generated``, where it is recorded: in it characters are found that the
        tokens hold in parts.
    """
    owners = _owners(tokens, images)
    pieces: list[ShownPiece] = []
    for (phase, kind, owner, parts), some in groupby(
        range(len(tokens)),
        key=lambda i: (tokens[i].phase, tokens[i].kind, owners[i], PART in (tokens[i].text or "")),
    ):
        places = list(some)
        if kind in WORDLESS:
            image = images[owner] if owner is not None else None
            grid = (None, None) if image is None else (image.rows, image.columns)
            pieces.append(ShownPiece("", places[0], len(places), kind, *grid))
        elif parts:
            text = _whole([one.text or "" for one in tokens], places, texts.get(phase, ""))
            pieces.append(ShownPiece(text, places[0], len(places)))
        else:
            for i in places:
                said = tokens[i].text
                pieces.append(ShownPiece(f"#{tokens[i].token_id}" if said is None else said, i, 1))
    return pieces


def _whole(texts: Sequence[str], places: Sequence[int], recorded: str) -> str:
    """Return what tokens say together that hold parts of characters: as the recorded text says it, where that is clear.

    A part is a byte at least, so no more parts than bytes are taken.
    """
    found = "".join(texts[i] for i in places)
    before = "".join(texts[max(0, places[0] - _AROUND) : places[0]]).rpartition(PART)[2][-_AROUND:]
    after = "".join(texts[places[-1] + 1 : places[-1] + 1 + _AROUND]).partition(PART)[0][:_AROUND]
    middle = "".join(
        f"([^\\x00-\\x7f]{{1,{len(part)}}})" if part[0] == PART else re.escape(part)
        for part in re.findall(f"{PART}+|[^{PART}]+", found)
    )
    end = re.escape(after) if places[-1] + 1 < len(texts) else r"\Z"
    matches = {one.group(1) for one in re.finditer(f"(?=({middle}){end})", recorded) if _follows(recorded, one, before)}
    whole = next(iter(matches)) if len(matches) == 1 else None
    if whole is None or len(whole.encode("utf-8", "surrogatepass")) < len(places):
        return re.sub(f"{PART}+", PART, found)
    return whole


def _follows(text: str, match: re.Match[str], before: str) -> bool:
    return text[: match.start()].endswith(before)


def _owners(tokens: Sequence[ShownToken], images: Sequence[RecordedImage]) -> list[int | None]:
    """Return which image each token stands for; None for text, and where images cannot be told apart.

    Images come in order, each with so many tokens. Where a model has further tokens of image kind around or inside of
    them, those of the most frequent id are the patches, and the others belong to the image that they stand beside.
    """
    every = [i for i, one in enumerate(tokens) if one.kind == "image"]
    owners: list[int | None] = [None] * len(tokens)
    lengths = [one.tokens or 0 for one in images]
    if not every or not lengths or 0 in lengths:
        return owners
    usual = Counter(tokens[i].token_id for i in every).most_common(1)[0][0]
    patches = [i for i in every if tokens[i].token_id == usual]
    chosen = next((some for some in (every, patches) if len(some) == sum(lengths)), None)
    if chosen is None:
        return owners
    of_image = (image for image, length in enumerate(lengths) for _ in range(length))
    for i, image in zip(chosen, of_image, strict=True):
        owners[i] = image
    for i in every:  # what follows a patch belongs to its image
        if owners[i] is None and i and owners[i - 1] is not None:
            owners[i] = owners[i - 1]
    for i in reversed(every):  # what comes before the first patch
        if owners[i] is None and i + 1 < len(tokens):
            owners[i] = owners[i + 1]
    return owners
