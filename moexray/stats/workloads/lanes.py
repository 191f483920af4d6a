"""Sequences of requests side by side, so that one step of NumPy advances them all: a lane is a prompt's own cache."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Room of lanes, in tokens, that is not worth saving; and how much more than its tokens a group may have.
_SMALL, _SPARE = 2**15, 4


@dataclass(frozen=True)
class Lanes:
    """Sequences of requests, the longest first. Each request is a set of at most k experts.

    Attributes
    ----------
    experts
        What each step requests of each lane ``(steps, k, lanes)``; −1 for nothing, after what is requested.
    lengths
        Steps of each lane, falling ``(lanes,)``.
    prompts, layers
        Place of the prompt and of the layer that each lane belongs to ``(lanes,)``; layers are 0 where all are in one
        lane.
    width
        Number of experts that a lane may request.
    """

    experts: NDArray[np.int32]
    lengths: NDArray[np.int64]
    prompts: NDArray[np.int64]
    layers: NDArray[np.int64]
    width: int

    @property
    def steps(self) -> int:
        """Steps of the longest lane."""
        return len(self.experts)

    @property
    def active(self) -> NDArray[np.int64]:  # (steps,)
        """How many lanes, the first ones, have a request at each step."""
        return np.searchsorted(-self.lengths, -np.arange(self.steps), side="left")


def like_lengths(prompts: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Return the tokens of prompts of like length together, so that one long prompt does not make room for all.

    Parameters
    ----------
    prompts
        The prompt of each token ``(tokens,)``: the tokens of a prompt stand together.

    Returns
    -------
    Places of tokens, ascending. Lanes of each group have room for at most four times its tokens, unless it is small.
    """
    starts = np.flatnonzero(np.diff(prompts, prepend=-1))
    lengths = np.diff([*starts, len(prompts)])
    groups: list[list[int]] = []
    longest = tokens = 0
    for place in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[place])
        room = longest * (len(groups[-1]) + 1) if groups else 0
        if not groups or room > max(_SMALL, _SPARE * (tokens + length)):
            groups.append([])
            longest, tokens = length, 0
        groups[-1].append(place)
        tokens += length
    group_of = np.empty(len(starts), dtype=np.int64)
    for number, places in enumerate(groups):
        group_of[places] = number
    of_token = np.repeat(group_of, lengths)
    return [np.flatnonzero(of_token == number) for number in range(len(groups))]


def lanes_by_layer(experts: NDArray[np.integer], prompts: NDArray[np.integer], width: int) -> Lanes:
    """Return a lane for each prompt and layer.

    Parameters
    ----------
    experts
        Experts of each token ``(tokens, layers, k)``; negative for no selection.
    prompts
        The prompt of each token ``(tokens,)``: the tokens of a prompt stand together, in their order.
    width
        Experts of the widest layer.
    """
    held, lengths, order = _padded(experts, prompts)
    steps, number, layers, k = held.shape
    lanes = np.ascontiguousarray(held.transpose(0, 3, 1, 2)).reshape(steps, k, number * layers)
    return Lanes(lanes, np.repeat(lengths, layers), np.repeat(order, layers), np.tile(np.arange(layers), number), width)


def lanes_of_all_layers(experts: NDArray[np.integer], prompts: NDArray[np.integer], width: int) -> Lanes:
    """Return a lane for each prompt, whose steps are the layers of its tokens: a cache that all layers share.

    Expert e of layer l is number ``l * width + e``. For the parameters see `lanes_by_layer`.
    """
    held, lengths, order = _padded(experts, prompts)
    steps, number, layers, k = held.shape
    numbered = np.where(held >= 0, held + (np.arange(layers, dtype=np.int32) * width)[:, None], -1)
    lanes = np.ascontiguousarray(numbered.transpose(0, 2, 3, 1)).reshape(steps * layers, k, number)
    return Lanes(lanes, lengths * layers, order, np.zeros(number, dtype=np.int64), layers * width)


def _padded(
    experts: NDArray[np.integer], prompts: NDArray[np.integer]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return experts ``(steps, prompts, layers, k)`` with −1 past the end, the lengths, and the prompts' places."""
    starts = np.flatnonzero(np.diff(prompts, prepend=-1))
    lengths = np.diff([*starts, len(prompts)])
    order = np.argsort(-lengths, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    positions = np.arange(len(prompts)) - np.repeat(starts, lengths)
    held = np.full((lengths.max(initial=0), len(lengths), *experts.shape[1:]), -1, dtype=np.int32)
    held[positions, np.repeat(place, lengths)] = _selected_first(experts)
    return held, lengths[order], order


def _selected_first(experts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the experts of each token with those that are none at the end."""
    missing = experts < 0
    if not (missing[..., :-1] & ~missing[..., 1:]).any():
        return experts
    return np.take_along_axis(experts, np.argsort(missing, axis=-1, kind="stable"), axis=-1)


@dataclass(frozen=True)
class Uses:
    """Where each request of some lanes stands among the requests for the same expert.

    Attributes
    ----------
    next_use
        The step, from one, at which the expert is requested next; one past the last step for never
        ``(steps, k, lanes)``.
    so_far
        How often it was requested, this time among them ``(steps, k, lanes)``.
    """

    next_use: NDArray[np.int32]
    so_far: NDArray[np.int32]


def uses_of(lanes: Lanes) -> Uses:
    """Find the next request for the same expert, and count those so far, by one sort of all requests."""
    steps, k, number = lanes.experts.shape
    step, slot, lane = np.nonzero(lanes.experts >= 0)
    expert = lanes.experts[step, slot, lane].astype(np.int64)
    of_slot, of_step, of_expert = k.bit_length(), steps.bit_length(), lanes.width.bit_length()
    packed = np.sort(((lane << of_expert | expert) << of_step | step) << of_slot | slot)
    slot = packed & ((1 << of_slot) - 1)
    step = packed >> of_slot & ((1 << of_step) - 1)
    line = packed >> (of_slot + of_step)
    lane = line >> of_expert
    first = np.diff(line, prepend=-1) != 0
    next_use = np.append(np.where(first[1:], steps, step[1:]), steps)[: len(step)] + 1
    place = np.arange(len(line))
    so_far = place - np.maximum.accumulate(np.where(first, place, 0)) + 1
    found = np.zeros((2, steps, k, number), dtype=np.int32)
    found[:, step, slot, lane] = next_use, so_far
    return Uses(found[0], found[1])
