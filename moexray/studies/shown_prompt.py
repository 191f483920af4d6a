"""One prompt's tokens with their experts in a layer, and what its tokens reach in every layer beside chance."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.formats import runs, token_text
from moexray.recorded_images import images_of_prompt
from moexray.segments import places
from moexray.signatures import Signatures
from moexray.stats.experts.leading import leading_experts
from moexray.stats.experts.sharing import shared_between, shared_within
from moexray.studies.explored_prompts import explore_prompts
from moexray.studies.explored_tokens import ExploredTokens, explore_tokens
from moexray.studies.notes import Notes
from moexray.studies.one_prompt import row_of
from moexray.studies.pictures import MOST_LEADING
from moexray.studies.prompt_pieces import pieces_of
from moexray.studies.shown_report import LeadingExpert, ShownLayer, ShownPiece, ShownPrompt, ShownToken
from moexray.trace import Trace

# A chosen expert tints in so many strengths.
STRENGTHS = 4


def show_prompt(
    trace: Trace, prompt: str, *, layer: int | None = None, expert: int | None = None, tokens: str = "all"
) -> ShownPrompt:
    """Return a prompt's tokens with their experts in a layer.

    A token is tinted by its first choice; where the order of a token's experts is not known, by the one of its experts
    that most of the prompt's tokens select.

    Parameters
    ----------
    trace
        Of the capture; it is read and checked whole.
    prompt
        The id of a prompt.
    layer
        Its index in the model; by default the middle one of the MoE layers.
    expert
        One expert of the layer, whose gate weight then tints tokens; the rank, where weights are not known.
    tokens
        Which tokens: see `moexray.segments.places`.

    Raises
    ------
    AnalysisError
        If there is no such prompt, layer or expert, or the prompt has no such token.
    SignaturesError
        If no tokens are called so.
    TraceError
        If the trace cannot be read or does not fit its signatures.
    """
    signatures, notes = trace.signatures, Notes()
    row = row_of(signatures, prompt)
    place = _place_of(signatures, layer)
    width, top_k = int(signatures.experts[place]), int(signatures.top_k[place])
    index = int(signatures.layers[place])
    if expert is not None and not 0 <= expert < width:
        message = f"`expert` is {expert}: layer {index} has experts 0 to {width - 1}"
        raise AnalysisError(message)
    if not signatures.lengths(tokens)[row]:
        message = f"prompt {prompt!r} has no {token_text(tokens)}: name others by `tokens`"
        raise AnalysisError(message)
    read = explore_tokens(trace, np.array([row]))
    kept = np.isin(read.segments, places(tokens, signatures.segments))
    experts = read.experts[kept, place]
    weights = None if read.weights is None else read.weights[kept, place]
    leading, own = _leading(experts, ranked=read.ranked)
    greatest = None if weights is None else float(weights.max(initial=0.0))
    sequence = _sequence(read, kept, signatures, experts=experts, weights=weights, own=own)
    if expert is not None:
        strengths = _strengths(experts, weights, greatest, expert=expert, ranked=read.ranked)
        sequence = [replace(one, strength=strength) for one, strength in zip(sequence, strengths, strict=True)]
    pieces = pieces_of(
        sequence, images=images_of_prompt(signatures.prompts.columns, row), texts=_texts(signatures, row)
    )
    model = signatures.meta.get("model")
    return ShownPrompt(
        model=None if model is None else str(model),
        prompt=prompt,
        category=signatures.prompts.categories[row],
        tokens=tokens,
        layer=index,
        experts=width,
        top_k=top_k,
        ranked=read.ranked,
        weighted=weights is not None,
        leading=tuple(leading),
        others=len(sequence) - int(np.isin(own, [one.expert for one in leading]).sum()),
        expert=None if expert is None else _counted(expert, own, experts),
        greatest_weight=greatest,
        layers=_layers(signatures, row, tokens, notes),
        sequence=tuple(sequence),
        pieces=tuple(_with_leading(piece, own, experts) for piece in pieces),
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


def _place_of(signatures: Signatures, layer: int | None) -> int:
    known = signatures.layers.tolist()
    if layer is None:
        return len(known) // 2
    if layer not in known:
        message = f"`layer` is {layer}, which has no experts: the MoE layers are {runs(known)}"
        raise AnalysisError(message)
    return int(known.index(layer))


def _leading(experts: NDArray[np.int16], *, ranked: bool) -> tuple[list[LeadingExpert], NDArray[np.int64]]:
    """Return the leading experts of ``(tokens, k)``, and the expert that tints each token, −1 for none."""
    numbers, _ = leading_experts(experts[:, :1] if ranked else experts, most=MOST_LEADING)
    own = experts[:, 0].astype(np.int64)
    if not ranked:
        hits = experts[:, None, :] == numbers[:, None]  # (tokens, leading, k)
        any_hit = hits.any(axis=2)
        own = np.where(any_hit.any(axis=1), numbers[any_hit.argmax(axis=1)] if len(numbers) else -1, -1)
    return [_counted(number, own if ranked else experts, experts) for number in numbers.tolist()], own


def _counted(expert: int, tinted: NDArray[np.integer], experts: NDArray[np.int16]) -> LeadingExpert:
    """Return an expert with how often it is in the first array, and how many tokens ``(tokens, k)`` select it."""
    return LeadingExpert(expert, int((tinted == expert).sum()), int((experts == expert).any(axis=1).sum()))


def _with_leading(piece: ShownPiece, own: NDArray[np.int64], experts: NDArray[np.int16]) -> ShownPiece:
    """Return a piece of several tokens with the experts that tint most of them."""
    if piece.tokens == 1:
        return piece
    inside = slice(piece.first, piece.first + piece.tokens)
    numbers, _ = leading_experts(own[inside], most=MOST_LEADING)
    found = tuple(_counted(number, own[inside], experts[inside]) for number in numbers.tolist())
    return replace(piece, leading=found)


def _sequence(
    read: ExploredTokens,
    kept: NDArray[np.bool_],
    signatures: Signatures,
    *,
    experts: NDArray[np.int16],
    weights: NDArray[np.float32] | None,
    own: NDArray[np.int64],
) -> list[ShownToken]:
    """Return the tokens that are shown, of experts and weights ``(tokens, k)``."""
    found, seen = [], set[int]()
    for i, position in enumerate(np.flatnonzero(kept).tolist()):
        selected = experts[i] >= 0
        numbers = tuple(experts[i][selected].tolist())
        seen.update(numbers)
        text, segment = read.text[position], signatures.segments[read.segments[position]]
        found.append(
            ShownToken(
                position=position,
                token_id=int(read.ids[text]),
                text=read.texts[text],
                phase=segment.phase,
                kind=segment.kind,
                experts=numbers,
                weights=None if weights is None else tuple(weights[i][selected].tolist()),
                expert=int(own[i]) if own[i] >= 0 else None,
                strength=None,
                reached=len(seen),
            )
        )
    return found


def _strengths(
    experts: NDArray[np.int16],
    weights: NDArray[np.float32] | None,
    greatest: float | None,
    *,
    expert: int,
    ranked: bool,
) -> list[int | None]:
    """Return how strongly an expert tints each token: by its gate weight, else its rank, else in one strength.

    Weights in quarters of the greatest in the layer; ranks in quarters of k, the first choice strongest.
    """
    k, found = experts.shape[1], list[int | None]()
    for i, row in enumerate(experts):
        at = np.flatnonzero(row == expert)
        if not len(at):
            found.append(None)
            continue
        if weights is not None:
            share = float(weights[i, at[0]]) / greatest if greatest else 0.0
        else:
            share = 1.0 - float(at[0]) / k if ranked else 0.6
        found.append(min(STRENGTHS, 1 + int(share * STRENGTHS)))
    return found


def _layers(signatures: Signatures, row: int, tokens: str, notes: Notes) -> tuple[ShownLayer, ...]:
    explored = explore_prompts(signatures, tokens=tokens, only=np.array([row]))
    length, own, k = int(explored.tokens[0]), explored.weights[0].astype(np.int64), signatures.top_k
    shared, elsewhere = shared_within(own, length, k), _shared_by_others(signatures, row, tokens, own)
    if length < 2:
        notes.add("layers.shared", "it takes two tokens")
    if np.isnan(explored.expected[0]).any():
        notes.add("layers.expected", f"no other prompt has any {token_text(tokens)}")
    if np.isnan(elsewhere).any():
        notes.add("layers.shared_between", f"there are no two other prompts with any {token_text(tokens)}")
    return tuple(
        ShownLayer(
            layer=int(signatures.layers[i]),
            experts=int(width),
            top_k=int(k[i]),
            reached=int(explored.reached[0, i]),
            expected=_finite(explored.expected[0, i]),
            uniform=float(width * (1.0 - (1.0 - k[i] / width) ** length)),
            shared=_finite(shared[i]),
            shared_between=_finite(elsewhere[i]),
        )
        for i, width in enumerate(signatures.experts.tolist())
    )


def _shared_by_others(signatures: Signatures, row: int, tokens: str, own: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `shared_between` of all other prompts, which are read some at a time."""
    load, squares = -own, -(own.astype(np.float64) ** 2)
    for block in signatures.blocks():
        loads = block.loads(tokens)
        load, squares = load + loads.sum(axis=0), squares + (loads.astype(np.float64) ** 2).sum(axis=0)
    return shared_between(load, squares, np.delete(signatures.lengths(tokens), row), signatures.top_k)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _texts(signatures: Signatures, row: int) -> Mapping[str, str]:
    table = signatures.prompts
    found = {"prompt": table.texts, "generated": table.outputs}
    return {phase: texts[row] for phase, texts in found.items() if texts is not None}
