"""Replies of servers, read with suspicion: whose tokens they are, where they end, and the rows that go with them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray import strict_json
from moexray.engines.server.features import FLAG, Kind
from moexray.engines.server.routed import ReplyError, from_bare, from_npy

_MISSING = {
    "vllm": (
        f"its reply has no routed experts: start it with {FLAG} (vLLM 0.22 or later); if it was, a gateway takes the "
        "field out, or vLLM has no routed experts of this model"
    ),
    "sglang": (
        f"its reply has no routed experts: start it with {FLAG}; if it was, a gateway takes `return_routed_experts` "
        "out of requests, or SGLang has no routed experts of this model"
    ),
}


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes
    ----------
    new_ids
        All tokens that it generated, an end token included.
    rows
        Expert ids ``(tokens that passed the routers, layers, k)``.
    weights
        The version of the weights, which SGLang names and training may change; None from others.
    """

    new_ids: list[int]
    rows: NDArray[np.integer]
    weights: str | None = None


def read_answer(body: bytes, kind: Kind, *, token_ids: Sequence[int], vocabulary: int, layers: int, k: int) -> Answer:
    """Read the reply to a request.

    Parameters
    ----------
    token_ids
        What was sent.
    vocabulary
        How many tokens the model has.
    layers
        All decoder layers, dense ones included.

    Raises
    ------
    ReplyError
        If it is no reply to this request, or something in it is missing or wrong.
    """
    found = _object(body)
    choices = found.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        message = "its reply holds no choice, or several, and one is expected"
        raise ReplyError(message)
    choice = choices[0]
    _check_prompt(choice.get("prompt_token_ids"), token_ids)
    new_ids = _token_ids(choice.get("token_ids"), "token_ids")
    if not new_ids or max(new_ids) >= vocabulary:
        message = f"its new tokens are {new_ids!s:.60}, which this model cannot have written"
        raise ReplyError(message)
    field = _routed(found, choice, kind)
    if field is None:
        raise ReplyError(_MISSING[kind])
    rows = len(token_ids) + len(new_ids) - 1  # the last token passes no router
    if kind == "sglang":
        metadata = found.get("metadata")
        weights = metadata.get("weight_version") if isinstance(metadata, dict) else None
        named = None if weights is None else str(weights)
        return Answer(new_ids, from_bare(field, rows=rows, layers=layers, k=k), named)
    array = from_npy(field)
    if array.shape[0] != rows:
        message = f"its routed experts are of {array.shape[0]} tokens, and {rows} passed the routers"
        raise ReplyError(message)
    return Answer(new_ids, array)


def ended(new_ids: Sequence[int], most: int, ends: Collection[int]) -> int | None:
    """Return how many of the new tokens the text has, its end token included; None where it ended before its end.

    Parameters
    ----------
    most
        How many tokens were asked for.
    ends
        The tokens at which the text ends.

    Raises
    ------
    ReplyError
        If there are more than were asked for.
    """
    if len(new_ids) > most:
        message = f"it generated {len(new_ids)} tokens, and at most {most} were asked for"
        raise ReplyError(message)
    first = next((place for place, token in enumerate(new_ids) if token in ends), None)
    if first is not None:
        return first + 1
    return len(new_ids) if len(new_ids) == most else None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = strict_json.loads(body, finite=True)
    except ValueError as error:
        message = f"its reply is no JSON: {error!s:.100}"
        raise ReplyError(message) from error
    if not isinstance(found, dict):
        message = f"its reply is {type(found).__name__}, and an object is expected"
        raise ReplyError(message)
    return found


def _check_prompt(found: Any, expected: Sequence[int]) -> None:
    """Refuse the reply to another prompt: its rows would look right."""
    seen = _token_ids(found, "prompt_token_ids")
    if seen == list(expected):
        return
    place = next((i for i, (one, other) in enumerate(zip(seen, expected, strict=False)) if one != other), None)
    place = min(len(seen), len(expected)) if place is None else place
    message = (
        f"it ran {len(seen)} tokens of which number {place + 1} is not the one that was sent ({len(expected)} were): "
        "its routing is of another text"
    )
    raise ReplyError(message)


def _token_ids(found: Any, name: str) -> list[int]:
    if found is None:
        message = f"its reply has no {name}: a gateway takes the field out, or the server is too old to return it"
        raise ReplyError(message)
    if not isinstance(found, list) or any(type(one) is not int or one < 0 for one in found):
        message = f"its {name} are no list of token ids"
        raise ReplyError(message)
    return found


def _routed(found: Mapping[str, Any], choice: Mapping[str, Any], kind: Kind) -> Any:
    """Return the routed experts from wherever the releases of a server put them."""
    if kind == "vllm":
        return choice.get("routed_experts")
    for holder in (found.get("sglext"), choice.get("sgl_ext"), choice.get("sglext"), choice.get("meta_info")):
        if isinstance(holder, dict) and holder.get("routed_experts") is not None:
            return holder["routed_experts"]
    return None
