"""Recorded rows of a serving engine made a routed sequence: checked first, since engines return wrong rows silently.

A row that an engine never wrote is all 0, −1 or 255. Its ids are not distinct, which no router does for k of at
least 2: this one check finds every such row.
"""

from collections.abc import Iterator
from math import comb, log
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from moexray.engines.serving.model import ServedModel
from moexray.errors import ModelError
from moexray.routing import RoutedSequence, RouterLayout, plain_segments

_UNWRITTEN = (0, -1, 255, 65535)
# All tokens of a text routed alike are refused where chance does so less often than once in a million texts.
_RARE = log(1e6)


def rows_to_sequence(
    rows: Any,
    model: ServedModel,
    *,
    engine: str,
    prompt: str,
    prompt_ids: NDArray[np.int32],
    passed_ids: NDArray[np.int32],
    output: str,
) -> RoutedSequence:
    """Return the routed sequence of one prompt, its experts in ascending order.

    Parameters
    ----------
    rows
        What the engine returned: integers ``(P + passed, hidden layers, k)``, the rows of dense layers all 0.
    model
        The model that was served.
    engine
        The engine's name, for messages.
    prompt
        The prompt's id, for messages.
    prompt_ids
        Its tokens ``(P,)``.
    passed_ids
        The tokens after it that passed the routers: generated ones but for the last, or those of a given output.
    output
        The text of what was generated, or the given output.

    Raises
    ------
    ModelError
        If the rows have another shape, are no integers, hold ids in a dense layer, are not k distinct experts of a MoE
        layer, or are the same for all tokens of a phase.
    """
    tokens = np.concatenate([prompt_ids, passed_ids]).astype(np.int32)
    try:
        found = _array(rows, (len(tokens), model.hidden_layers, model.k))
        dense = np.setdiff1d(np.arange(model.hidden_layers), model.layout.layers)
        _check_dense(found, dense)
        experts = np.sort(found[:, list(model.layout.layers)].astype(np.int32), axis=2)  # (tokens, layers, k)
        for name, phase in _phases(len(prompt_ids), len(tokens)):
            _check_ids(experts[phase], model.layout, name)
            _check_variety(experts[phase], tokens[phase], model.layout, name)
    except _ProblemError as problem:
        message = f"{engine} returned no usable routing of prompt {prompt!r}: {problem}"
        raise ModelError(message) from None
    return RoutedSequence(
        token_ids=tokens,
        segments=plain_segments(len(prompt_ids), len(passed_ids)),
        experts=experts.astype(np.int16),
        output=output,
    )


class _ProblemError(Exception):
    """What is wrong with rows, as the end of a sentence."""


def _refuse(problem: str) -> NoReturn:
    raise _ProblemError(problem)


def _phases(prompt: int, tokens: int) -> Iterator[tuple[str, slice]]:
    yield "prompt", slice(0, prompt)
    yield "generated", slice(prompt, tokens)


def _array(rows: Any, shape: tuple[int, int, int]) -> NDArray[Any]:
    found = np.asarray(rows)
    if found.dtype.kind not in "iu":
        _refuse(f"its rows are {found.dtype}, and integers are expected")
    if found.shape != shape:
        _refuse(
            f"its rows have the shape {found.shape}, and (tokens, layers, k) {shape} is expected: the engine serves "
            "another model, or another version of it returns rows in another form"
        )
    return found


def _check_dense(found: NDArray[Any], dense: NDArray[np.int64]) -> None:
    written = found[:, dense].any(axis=(0, 2))
    if written.any():
        layer = int(dense[written.argmax()])
        _refuse(
            f"layer {layer} holds expert ids and is dense by the model's configuration: the engine numbers layers "
            "otherwise, or serves another model"
        )


def _check_ids(experts: NDArray[np.int32], layout: RouterLayout, phase: str) -> None:
    """Refuse rows that are not distinct ids of experts; `experts` is sorted by id."""
    same = (experts[:, :, 1:] == experts[:, :, :-1]).any(axis=2)  # (tokens, layers)
    outside = (experts[:, :, 0] < 0) | (experts[:, :, -1] >= np.array(layout.experts))
    wrong = same | outside
    if not wrong.any():
        return
    place = int(wrong.any(axis=0).argmax())
    token = int(wrong[:, place].argmax())
    row = experts[token, place].tolist()
    where = f"layer {layout.layers[place]}, {phase} tokens, {int(wrong[:, place].sum())} of {len(experts)}"
    expected = f"{len(row)} distinct ids below {layout.experts[place]} are expected"
    if len(set(row)) == 1 and row[0] in _UNWRITTEN:
        cause = "rows of one such number were never written (a kernel that routes by itself, or tokens from a cache)"
    else:
        cause = "the engine records other ids than those of the router's experts, or serves another model"
    _refuse(f"{where}, such as {row}: {expected}; {cause}")


def _check_variety(experts: NDArray[np.int32], tokens: NDArray[np.int32], layout: RouterLayout, phase: str) -> None:
    """Refuse one row repeated for different tokens, which some engines return for what they generate."""
    if len(experts) < 2 or (experts != experts[0]).any():
        return
    choices = sum(log(comb(width, k)) for width, k in zip(layout.experts, layout.top_k, strict=True))
    if (len(np.unique(tokens)) - 1) * choices > _RARE:
        _refuse(
            f"all {len(experts)} {phase} tokens have the same experts in every layer, though they differ: the engine "
            "repeats one row"
        )
