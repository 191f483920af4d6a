"""What every reader of a format returns: a layout, and one prompt after the other, with or without its tokens."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ImportingError
from moexray.importing.stated import SEGMENTS, Stated
from moexray.recording.counting import count_selections
from moexray.routing import RoutedSequence, RouterLayout

# More would be no model, and counts of it would not fit into memory.
_MOST_CELLS = 2**20
_MOST_EXPERTS = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class ImportedPrompt:
    """One prompt, or a pool of tokens whose prompts are not known.

    Attributes
    ----------
    id, category, group, text, output
        As in a `PromptTable`; None where the file has no such field.
    counts
        Selections ``(segments, layers, experts)`` of `SEGMENTS`.
    tokens
        Routed tokens ``(segments,)``.
    sequence
        The routing of every token, where it is known and the file has token ids.
    """

    id: str
    category: str
    counts: NDArray[Any]
    tokens: NDArray[Any]
    group: str | None = None
    text: str | None = None
    output: str | None = None
    sequence: RoutedSequence | None = None


@dataclass(frozen=True)
class Reading:
    """A file that was opened.

    Attributes
    ----------
    layout
        The MoE layers.
    prompts
        Reads the file from its start and yields its prompts, as often as it is called.
    files
        What was read, for `meta`.
    model
        The model's name, where it is known.
    has_sequences
        Whether prompts have the routing of every token, so that a trace can be written.
    unknown
        What the file does not tell.
    notes
        What is to be known of how it was read, as `meta` says it.
    """

    layout: RouterLayout
    prompts: Callable[[], Iterator[ImportedPrompt]]
    files: tuple[Path, ...]
    model: str | None = None
    has_sequences: bool = False
    unknown: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)


Reader = Callable[[Path, Stated], Reading]


def layout_of(layers: tuple[int, ...], experts: int, top_k: int, source: object) -> RouterLayout:
    """Return the layout of layers that are alike; `ImportingError` where k or sizes cannot be."""
    if not 1 <= top_k <= experts <= _MOST_EXPERTS or len(layers) * experts > _MOST_CELLS or not layers:
        message = f"{source}: {len(layers)} layers of {experts} experts and k = {top_k} are not those of a model"
        raise ImportingError(message)
    return RouterLayout(layers, (experts,) * len(layers), (top_k,) * len(layers), SEGMENTS)


def check_selections(experts: NDArray[np.integer[Any]], layout: RouterLayout, place: str) -> NDArray[np.int16]:
    """Return the experts of tokens ``(tokens, layers, k)`` as they are stored, if every row is one of a router.

    A router selects k distinct experts of those that there are. Rows that were never written, of zeros, −1 or 255,
    break this for every k of two or more.

    Raises
    ------
    ImportingError
        If a row breaks it.
    """
    width = np.array(layout.experts)[:, None]
    wrong = (experts < 0) | (experts >= width)
    if wrong.any():
        token, layer, rank = np.argwhere(wrong)[0]
        message = (
            f"{place}: token {token} is sent to expert {experts[token, layer, rank]} in layer {layout.layers[layer]}, "
            f"which has experts 0 to {layout.experts[layer] - 1}: the row was never written, the ids are physical ones "
            "(after EPLB), or the layer has more experts"
        )
        raise ImportingError(message)
    ordered = np.sort(experts, axis=2)
    twice = (ordered[:, :, 1:] == ordered[:, :, :-1]).any(axis=2)
    if twice.any():
        token, layer = np.argwhere(twice)[0]
        message = (
            f"{place}: token {token} is sent to one expert twice in layer {layout.layers[layer]}, as in rows "
            "that were never written: the recording is not whole"
        )
        raise ImportingError(message)
    return experts.astype(np.int16)


def routed_prompt(
    experts: NDArray[np.int16],
    segments: NDArray[np.integer[Any]],
    token_ids: NDArray[np.integer[Any]] | None,
    layout: RouterLayout,
    **facts: Any,
) -> ImportedPrompt:
    """Return the prompt of tokens that were checked, counted; without token ids it has no sequence.

    Parameters
    ----------
    experts
        ``(tokens, layers, k)``, as `check_selections` returns them.
    segments
        The place of each token's segment among `SEGMENTS`.
    token_ids
        Id of each token.
    facts
        Id, category and what else the prompt has.
    """
    ids = np.zeros(len(experts), dtype=np.int32) if token_ids is None else token_ids.astype(np.int32)
    sequence = RoutedSequence(ids, segments.astype(np.int8), experts, output="", segment_names=SEGMENTS)
    return ImportedPrompt(
        counts=count_selections(sequence, layout),
        tokens=np.bincount(sequence.segments, minlength=len(SEGMENTS)),
        sequence=None if token_ids is None else sequence,
        **facts,
    )


def counted_prompt(
    counts: NDArray[np.integer[Any]], layout: RouterLayout, *, segment: int, source: object, **facts: Any
) -> ImportedPrompt:
    """Return the pool of tokens behind counts ``(layers, experts)``.

    Every layer selects k experts for each token, so that all add up to the same multiple of k.

    Raises
    ------
    ImportingError
        If they do not.
    """
    if counts.min(initial=0) < 0:
        message = f"{source}: a count is {counts.min()}: counts are zero or more"
        raise ImportingError(message)
    sums, k = counts.sum(axis=1, dtype=np.float64), layout.top_k[0]
    for layer, total in zip(layout.layers, sums.tolist(), strict=True):
        if total != sums[0]:
            message = (
                f"{source}: layer {layer} adds up to {total:,.0f} selections, layer {layout.layers[0]} to "
                f"{sums[0]:,.0f}: every layer selects k experts for the same tokens; `layers` names those to read"
            )
            raise ImportingError(message)
    if sums[0] % k or not 0 < sums[0] // k < 2**31 or counts.max() > sums[0] // k:
        message = (
            f"{source}: {sums[0]:,.0f} selections a layer, {counts.max():,} of them of one expert, are not those of "
            f"some tokens (fewer than 2^31) with k = {k}: is k another?"
        )
        raise ImportingError(message)
    placed = np.zeros((len(SEGMENTS), *counts.shape), dtype=np.uint64)
    placed[segment] = counts
    tokens = np.zeros(len(SEGMENTS), dtype=np.int64)
    tokens[segment] = int(sums[0]) // k
    return ImportedPrompt(counts=placed, tokens=tokens, **facts)


def read_counts(
    counts: NDArray[np.integer[Any]],
    layout: RouterLayout,
    stated: Stated,
    *,
    segment: int,
    files: tuple[Path, ...],
    name: str,
    notes: Mapping[str, Any] | None = None,
) -> Reading:
    """Return the reading of counts ``(layers, experts)`` of a whole recording: one pool of tokens.

    Parameters
    ----------
    counts
        Selections of each expert.
    segment
        The place of all tokens among `SEGMENTS`.
    files
        What was read.
    name
        The id of the pool, and its category where none was stated.
    notes
        What `meta` says of how it was read.

    Raises
    ------
    ImportingError
        If counts are not those of some tokens: see `counted_prompt`.
    """
    category = stated.category or name
    prompt = counted_prompt(counts, layout, segment=segment, source=files[0], id=name, category=category)
    phases = ["phases"] if segment == len(SEGMENTS) - 1 else []
    return Reading(
        layout,
        lambda: iter([prompt]),
        files=files,
        model=stated.model,
        unknown=("prompts", "tokens", *phases),
        notes=dict(notes or {}),
    )


def check_uneven(counts: NDArray[np.integer[Any]], layout: RouterLayout, source: object, *, cause: str) -> None:
    """Refuse counts ``(layers, experts)`` that are the same for all experts, as files have them by mistake.

    Parameters
    ----------
    counts, layout, source
        What was read, and of what.
    cause
        How such a file comes about.
    """
    if layout.top_k[0] < layout.experts[0] and (counts == counts[:, :1]).all():
        message = f"{source} counts every expert of a layer equally often: {cause}"
        raise ImportingError(message)
