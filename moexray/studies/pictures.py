"""Where the tokens of one picture went: which expert every place of its grid leads to, layer by layer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.recorded_images import RecordedImage, images_of_prompt
from moexray.routed_tokens import RoutedTokens
from moexray.stats.experts.leading import leading_experts
from moexray.studies.chosen_layers import chosen_layers
from moexray.studies.one_prompt import row_of
from moexray.trace import Trace
from moexray.trace_file import WEIGHTS
from moexray.trace_sequences import columns_of

# So many experts of a picture are told apart; a figure has colours for them.
MOST_LEADING = 7
_TOKENS = "prompt/image"


@dataclass(frozen=True, eq=False)
class PictureLayer:
    """One layer's experts for the tokens of a picture.

    Attributes
    ----------
    layer, experts, top_k
        Its index in the model, how many experts it has, and how many a token selects.
    strongest
        Of the experts that each token selects, the one with the greatest gate weight ``(rows, columns)``; −1 where a
        token selects none. Without gate weights, the one that most tokens of the picture select.
    leading
        The experts that most tokens of the picture select, `MOST_LEADING` at most, the most used first.
    shares, even
        The share of the picture's tokens that select each of them, and what it would be for every expert if routing
        were uniform.
    others
        How many further experts the picture's tokens select.
    """

    layer: int
    experts: int
    top_k: int
    strongest: NDArray[np.int64]
    leading: tuple[int, ...]
    shares: tuple[float, ...]
    even: float
    others: int


@dataclass(frozen=True, eq=False)
class PictureRouting:
    """The experts of one picture's tokens, in some layers.

    Attributes
    ----------
    model
        As the signatures name it.
    prompt
        The id of the picture's prompt.
    image
        The picture: name, checksum, size, and the grid of its tokens.
    weighted
        Whether the trace has gate weights, which decide the strongest expert of a token.
    layers
        Of each layer that was asked for.
    """

    model: str | None
    prompt: str
    image: RecordedImage
    weighted: bool
    layers: tuple[PictureLayer, ...]


def study_picture(trace: Trace, prompt: str, *, image: int = 1, layers: Sequence[int] | None = None) -> PictureRouting:
    """Return where each token of a picture went.

    Parameters
    ----------
    trace
        Of a capture of prompts with pictures.
    prompt
        The id of a prompt.
    image
        Which of its pictures, from 1.
    layers
        Indices in the model; by default the first MoE layer, the middle one and the last.

    Raises
    ------
    AnalysisError
        If there is no such prompt, picture or layer, or the grid of the picture's tokens is not known.
    TraceError
        If the trace cannot be read or does not fit its signatures.
    """
    signatures = trace.signatures
    row = row_of(signatures, prompt)
    pictures = _pictures(trace, row)
    if not 1 <= image <= len(pictures):
        message = f"prompt {prompt!r} has no image {image}: it has {len(pictures)}"
        raise AnalysisError(message)
    chosen = pictures[image - 1]
    if chosen.rows is None or chosen.columns is None:
        message = (
            f"image {chosen.name!r} of prompt {prompt!r} cannot be drawn: the model's processor does not tell the grid "
            "of its tokens, or the grid does not cover the whole image"
        )
        raise AnalysisError(message)
    known = signatures.layers.tolist()
    wanted = chosen_layers(known, layers)
    weighted = WEIGHTS in columns_of(trace)
    tokens = _tokens_of(trace, row, pictures, image, weighted=weighted)
    places = [known.index(layer) for layer in wanted]
    model = signatures.meta.get("model")
    return PictureRouting(
        model=None if model is None else str(model),
        prompt=prompt,
        image=chosen,
        weighted=weighted,
        layers=tuple(
            _layer(
                tokens.experts[:, place],
                tokens.weights[:, place] if tokens.weights is not None else None,
                grid=(chosen.rows, chosen.columns),
                layer=known[place],
                width=int(signatures.experts[place]),
                top_k=int(signatures.top_k[place]),
            )
            for place in places
        ),
    )


def _pictures(trace: Trace, row: int) -> tuple[RecordedImage, ...]:
    table = trace.signatures.prompts
    found = images_of_prompt(table.columns, row)
    if not found:
        message = f"prompt {table.ids[row]!r} has no image: name a prompt that was captured with one"
        raise AnalysisError(message)
    return found


def _tokens_of(
    trace: Trace, row: int, pictures: Sequence[RecordedImage], image: int, *, weighted: bool
) -> RoutedTokens:
    """Return the tokens of one picture, in their order.

    A model may count markers around a picture, or at the ends of its rows, as image tokens; these have other ids.
    """
    block = next(block for block in trace.blocks(weights=weighted) if (block.prompts == row).any())
    found = block.take(block.prompts == row).select(_TOKENS)
    ids = found.token_ids.tolist()
    placeholder = Counter(ids).most_common(1)[0][0] if ids else None
    found = found.take(found.token_ids == placeholder)
    tokens = [picture.tokens or 0 for picture in pictures]
    if 0 in tokens or sum(tokens) != len(found):
        recorded = ", ".join(str(picture.tokens) for picture in pictures)
        message = (
            f"{trace.path}: the {len(found)} image tokens of prompt {trace.signatures.prompts.ids[row]!r} cannot be "
            f"told apart, since its images are recorded with {recorded}: name a prompt with one image"
        )
        raise AnalysisError(message)
    start = sum(tokens[: image - 1])
    return found.take(np.arange(start, start + tokens[image - 1]))


def _layer(
    experts: NDArray[np.int16],
    weights: NDArray[np.float32] | None,
    *,
    grid: tuple[int, int],
    layer: int,
    width: int,
    top_k: int,
) -> PictureLayer:
    """Return one layer's part, of selections ``(tokens, k)`` and their gate weights."""
    selected = experts >= 0
    used = np.bincount(experts[selected], minlength=width)
    leading, tokens = leading_experts(experts, most=MOST_LEADING)
    rank = used[np.maximum(experts, 0)].astype(float) if weights is None else weights.astype(float)
    rank[~selected] = -np.inf
    strongest = np.take_along_axis(experts, rank.argmax(axis=1)[:, None], axis=1)[:, 0].astype(np.int64)
    return PictureLayer(
        layer=layer,
        experts=width,
        top_k=top_k,
        strongest=strongest.reshape(grid),
        leading=tuple(leading.tolist()),
        shares=tuple((tokens / len(experts)).tolist()),
        even=top_k / width,
        others=int((used > 0).sum()) - len(leading),
    )
