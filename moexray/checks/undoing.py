"""Causes that explain many of the rows that differ, each with the recordings that there would be without it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moexray.checks.comparing import DIFFERENT, Compared
from moexray.checks.diagnosis import Candidate, Diagnosis
from moexray.checks.recording import PHASES, Recording

# Share of rows that must agree before a cause is worth a try; the proof asks for all of them.
_WORTH = 0.5
# Rows that a cause must explain: fewer may agree by chance.
_FEWEST = 4
# How surely an expert's other id must follow from the rows that it is learnt from (1: always and only together).
_SURE = 0.8


def candidates(found: Sequence[Compared], layers: Sequence[int], experts: Sequence[int]) -> Iterator[Candidate]:
    """Yield causes that explain many rows, to be tried.

    Parameters
    ----------
    found
        All prompts, compared.
    layers, experts
        Index and experts of each layer.
    """
    yield from _tokens_shifted(found)
    yield from _layers_moved(found, layers)
    yield from _renamed(found, experts)
    yield from _padded(found)


def _tokens_shifted(found: Sequence[Compared]) -> Iterator[Candidate]:
    for phase in (None, *range(len(PHASES))):
        for shift in (1, -1):
            moved = tuple(_shifted(one.recording, shift, phase) for one in found)
            if _agreement(found, moved) >= _WORTH:
                of = "" if phase is None else f"{PHASES[phase]} "
                late = (
                    "late: each holds what the token before it got"
                    if shift == 1
                    else "early: each holds what the next token got"
                )
                text = f"the {of}rows are one token {late}; moved back, every row is true"
                yield Candidate(Diagnosis("tokens_shifted", text), moved)


def _shifted(one: Recording, shift: int, phase: int | None) -> Recording:
    """Return a recording whose row t is what was recorded at t + shift; rows without one are not known."""
    there = np.ones(len(one), dtype=bool) if phase is None else one.phases == phase
    source = np.arange(len(one)) + shift
    inside = (source >= 0) & (source < len(one))
    source = np.where(inside, source, 0)
    inside &= there[source]
    experts, known = one.experts.copy(), one.known.copy()
    moved = there & inside
    experts[moved], known[moved] = one.experts[source[moved]], one.known[source[moved]]
    known[there & ~inside] = False
    return replace(one, experts=experts, known=known)


def _layers_moved(found: Sequence[Compared], layers: Sequence[int]) -> Iterator[Candidate]:
    """Layers whose rows are those of other layers of the model."""
    number = len(layers)
    same, rows = np.zeros((number, number)), np.zeros(number)
    for one in found:
        recorded, own = (codes(experts) for experts in (one.recording.experts, one.own))
        known = one.recording.known
        rows += known.sum(axis=0)
        for place in range(number):
            same[place] += (known[:, place, None] & (recorded[:, place, None] == own)).sum(axis=0)
    share = same / np.maximum(rows, 1)[:, None]
    best = share.argmax(axis=1)
    sure = (share[np.arange(number), best] >= _WORTH) & (rows > 0)
    of_model = best[sure]
    if not sure.any() or len(set(of_model.tolist())) < len(of_model) or (of_model == np.flatnonzero(sure)).all():
        return
    if (_differing_by_layer(found) & ~sure).sum() > (_differing_by_layer(found) & sure).sum():
        return
    moved = []
    for one in found:
        experts, known = np.full_like(one.recording.experts, -1), np.zeros_like(one.recording.known)
        experts[:, of_model], known[:, of_model] = one.recording.experts[:, sure], one.recording.known[:, sure]
        moved.append(replace(one.recording, experts=experts, known=known))
    offsets = of_model - np.flatnonzero(sure)
    if len(set((offsets % number).tolist())) == 1:  # the last may have come round to the first place
        by = int(np.median(offsets))
        place = int(np.flatnonzero(offsets == by)[0]) if (offsets == by).any() else 0
        held, true = layers[np.flatnonzero(sure)[place]], layers[of_model[place]]
        text = (
            f"layers are shifted by {abs(int(offsets[place]))}: layer {held} holds what layer {true} of the model "
            "selects, and so on; moved back, every row is true"
        )
        yield Candidate(Diagnosis("layers_shifted", text), tuple(moved))
        return
    named = [
        f"{layers[place]} holds {layers[other]}"
        for place, other in zip(np.flatnonzero(sure).tolist(), of_model.tolist(), strict=True)
        if place != other
    ]
    shown = ", ".join(named[:4]) + (", …" if len(named) > 4 else "")
    text = f"layers stand in another order: {shown}; put back, every row is true"
    yield Candidate(Diagnosis("layers_moved", text), tuple(moved))


def _differing_by_layer(found: Sequence[Compared]) -> NDArray[np.bool_]:
    return np.asarray(np.any([(one.states == DIFFERENT).any(axis=0) for one in found], axis=0))


def _renamed(found: Sequence[Compared], experts: Sequence[int]) -> Iterator[Candidate]:
    """Ids that stand for other experts, by one rule within each layer; learnt from every other token."""
    names = [_renaming(found, place, width) for place, width in enumerate(experts)]
    if all((of == np.arange(len(of)))[of >= 0].all() for of in names):
        return
    moved = []
    for one in found:
        recording = one.recording
        renamed, known = np.full_like(recording.experts, -1), recording.known.copy()
        for place, of in enumerate(names):
            ids = recording.experts[:, place]
            there = (ids >= 0) & (ids < len(of))
            renamed[:, place] = np.where(there, of[np.where(there, ids, 0)], np.where(ids == -1, -1, -2))
            unsure = (there & (renamed[:, place] < 0)) | (~there & (ids != -1))
            known[:, place] &= ~unsure.any(axis=1)
        moved.append(replace(recording, experts=renamed, known=known))
    held_out = tuple(replace(one, known=one.known & (np.arange(len(one)) % 2 == 1)[:, None]) for one in moved)
    if _agreement(found, held_out) >= _WORTH:
        changed = sum(int((of[of >= 0] != np.flatnonzero(of >= 0)).sum()) for of in names)
        text = (
            f"experts have other ids ({changed:,} of {sum(experts):,}), by one fixed rule in each layer, as physical "
            "ids of an expert-parallel placement are; renamed, every row is true"
        )
        yield Candidate(Diagnosis("ids_renamed", text), tuple(moved))


def _renaming(found: Sequence[Compared], place: int, width: int) -> NDArray[np.int64]:  # (experts,)
    """Return the model's id of each recorded one, learnt from every other token; −1 where it does not follow."""
    together, mine, theirs = np.zeros((width, width)), np.zeros(width), np.zeros(width)
    for one in found:
        which = one.recording.known[:, place] & (np.arange(len(one.recording)) % 2 == 0)
        own, recorded = (_one_hot(ids[which, place], width) for ids in (one.own, one.recording.experts))
        together += recorded.T @ own
        mine, theirs = mine + own.sum(axis=0), theirs + recorded.sum(axis=0)
    fit = together**2 / np.maximum(theirs[:, None] * mine[None, :], 1)
    of = fit.argmax(axis=1)
    rows = np.arange(width)
    sure = fit[rows, of] >= _SURE
    sure &= fit[:, of].argmax(axis=0) == rows
    without = fit.copy()
    without[rows, of] = -1
    sure &= fit[rows, of] > without.max(axis=1)
    return np.where(sure, of, -1)


def _one_hot(ids: NDArray[np.int64], width: int) -> NDArray[np.float64]:  # (tokens, width)
    found = np.zeros((len(ids), width))
    row, column = np.nonzero((ids >= 0) & (ids < width))
    found[row, ids[row, column]] = 1
    return found


def _padded(found: Sequence[Compared]) -> Iterator[Candidate]:
    """Tokens before the prompt that are all one: padding that was counted."""
    leading = [_leading(one.recording.token_ids) for one in found]
    padding = {int(one.recording.token_ids[0]) for one, run in zip(found, leading, strict=True) if run > 1}
    if len(padding) != 1:
        return
    pad = padding.pop()
    cut = [run if one.recording.token_ids[0] == pad else 0 for one, run in zip(found, leading, strict=True)]
    if any(start >= len(one.recording) for start, one in zip(cut, found, strict=True)):
        return
    trimmed = tuple(one.recording.between(start, len(one.recording)) for one, start in zip(found, cut, strict=True))
    # The first token of a prompt may be the one that pads.
    one_less = tuple(
        one.recording.between(max(0, start - 1), len(one.recording)) for one, start in zip(found, cut, strict=True)
    )
    text = (
        f"padding was counted: up to {max(cut):,} tokens of id {pad} stand before {sum(start > 0 for start in cut)} of "
        f"{len(cut)} prompts; without them, every row is true"
    )
    yield Candidate(Diagnosis("padding", text), trimmed, one_less)


def _leading(token_ids: NDArray[np.int64]) -> int:
    others = np.flatnonzero(token_ids != token_ids[0])
    return int(others[0]) if len(others) else len(token_ids)


def _agreement(found: Sequence[Compared], moved: Sequence[Recording]) -> float:
    """Return the share of rows, among those that differed, that are as the model selects after a change."""
    same = rows = 0
    for one, other in zip(found, moved, strict=True):
        which = (one.states == DIFFERENT) & other.known
        rows += int(which.sum())
        same += int((which & (codes(other.experts) == codes(one.own))).sum())
    return same / rows if rows >= _FEWEST else 0.0


def codes(experts: NDArray[np.int64]) -> NDArray[np.uint64]:  # (tokens, layers)
    """Return a number for each set of experts; different sets have different ones but for one chance in 2^64."""
    ordered = np.sort(experts, axis=2).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    code = np.zeros(experts.shape[:2], dtype=np.uint64)
    for place in range(experts.shape[2]):
        code = (code ^ ordered[:, :, place]) * np.uint64(0x2545F4914F6CDD1D)
        code ^= code >> np.uint64(29)
    return code
