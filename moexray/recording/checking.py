"""The check of what an engine yields: nothing that breaks the contract of engines reaches a journal or a file."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from moexray.errors import ModelError
from moexray.router_scores import problem_of_scores
from moexray.routing import RoutedSequence, RouterLayout


def check_sequence(
    sequence: RoutedSequence,
    layout: RouterLayout,
    *,
    prompt: str,
    prompt_tokens: int,
    want: Collection[str] = (),
    may_drop: bool = False,
) -> None:
    """Check a routed sequence against the layout of its engine.

    Parameters
    ----------
    prompt, prompt_tokens
        The prompt's id, and how many tokens it has.
    want
        What the sequence must hold beside the selected experts: ``weights``, ``scores``.
    may_drop
        Whether the router may select fewer than k experts for a token.

    Raises
    ------
    ModelError
        If the prompt's tokens or what is wanted are not there, or a token was not sent to k different experts of each
        layer, or router scores do not explain the selected experts.
    """
    problem = (
        _shapes(sequence, layout, prompt_tokens, want)
        or _selections(sequence, layout, may_drop=may_drop)
        or _weights(sequence)
        or _scores(sequence, layout, may_drop=may_drop)
        or _output(sequence)
    )
    if problem:
        message = f"the routing of prompt {prompt!r} cannot be recorded: {problem}"
        raise ModelError(message)


def _shapes(sequence: RoutedSequence, layout: RouterLayout, prompt_tokens: int, want: Collection[str]) -> str | None:
    if sequence.segment_names != layout.segments:
        return f"its segments are {', '.join(map(str, sequence.segment_names))}, not those of the model's layout"
    if sequence.prompt_length != prompt_tokens:
        return f"{sequence.prompt_length} of its prompt tokens were routed, but it has {prompt_tokens}"
    layers, k, experts = len(layout.layers), max(layout.top_k), max(layout.experts)
    arrays = {
        "experts": (sequence.experts, "i", (layers, k)),
        "weights": (sequence.gate_weights, "f", (layers, k)),
        "scores": (sequence.scores, "f", (layers, experts)),
    }
    for name, (array, kind, shape) in arrays.items():
        if array is None and name in want:
            return f"its {name} are missing"
        if array is not None and (array.dtype.kind != kind or array.shape[1:] != shape):
            return f"its {name} are {array.dtype} {array.shape[1:]} for each token, where {shape} are expected"
    return None


def _selections(sequence: RoutedSequence, layout: RouterLayout, *, may_drop: bool) -> str | None:
    if _alike(layout) and _are_whole(sequence.experts, layout.experts[0], layout.top_k[0]):
        return None
    each = zip(layout.layers, layout.experts, layout.top_k, layout.passes, strict=True)
    for place, (layer, experts, k, passes) in enumerate(each):
        of_layer = sequence.experts[:, place]  # (tokens, k)
        if of_layer.max(initial=-1) >= experts:
            return f"layer {layer} has {experts} experts, but expert {of_layer.max()} was selected"
        numbers = (of_layer >= 0).sum(axis=1)
        wrong = numbers[numbers > k if may_drop else numbers != k]
        if len(wrong):
            return f"layer {layer} selects {k} experts for a token, but {wrong[0]} were"
        in_order = np.sort(of_layer[:, :k].reshape(len(of_layer) * passes, -1), axis=1)
        if ((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)).any():
            return f"layer {layer} selected an expert twice for one token"
    return None


def _alike(layout: RouterLayout) -> bool:
    """Whether all layers have the same experts and k, and a token passes each once, as in nearly every model."""
    return len(set(zip(layout.experts, layout.top_k, layout.passes, strict=True))) == 1 and layout.passes[0] == 1


def _are_whole(selected: NDArray[np.int16], experts: int, k: int) -> bool:
    """Whether every token was sent to k different experts of every layer: all layers at once, for speed."""
    if selected.shape[2] != k or selected.size == 0:
        return False
    in_order = np.sort(selected, axis=2)
    within = in_order[..., 0].min() >= 0 and in_order[..., -1].max() < experts
    return bool(within and (in_order[..., 1:] != in_order[..., :-1]).all())


def _weights(sequence: RoutedSequence) -> str | None:
    if sequence.gate_weights is not None:
        weights = sequence.gate_weights[sequence.experts >= 0]
        if not (np.isfinite(weights) & (weights >= 0)).all():
            return f"its gate weights range from {weights.min()} to {weights.max()}"
    return None


def _scores(sequence: RoutedSequence, layout: RouterLayout, *, may_drop: bool) -> str | None:
    if sequence.scores is None:
        return None
    for layer, passes in zip(layout.layers, layout.passes, strict=True):
        if passes > 1:
            return f"its tokens pass layer {layer} {passes} times, and have more than one score there"
    return problem_of_scores(
        sequence.scores, sequence.experts, layers=layout.layers, widths=layout.experts, may_drop=may_drop
    )


def _output(sequence: RoutedSequence) -> str | None:
    try:
        sequence.output.encode()
    except UnicodeEncodeError as error:
        return f"its output holds {error.object[error.start]!r}, half of a character"
    return None
