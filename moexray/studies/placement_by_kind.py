"""Placements scored on each kind of tokens apart, which start from a device of their own."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moexray.formats import listed
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.stats.workloads.home_devices import homes_of, sends_at_home
from moexray.stats.workloads.random_placements import (
    drawn_balancedness,
    drawn_from_home,
    drawn_homes,
    drawn_sends,
    drawn_traffic,
)
from moexray.stats.workloads.slots import Slots
from moexray.stats.workloads.token_traffic import Traffic
from moexray.studies.notes import Notes
from moexray.studies.placement_measures import device_balance, drawn_measure, ratio
from moexray.studies.placement_results import KindOfTokens, KindScore, Measure
from moexray.studies.placement_scoring import Scored
from moexray.studies.placement_task import Task

ALL = "all"


def score_by_kind(
    task: Task, placements: Mapping[str, Slots], scored: Scored | None, drawn: NDArray[np.int64] | None, notes: Notes
) -> tuple[KindOfTokens, ...] | None:
    """Return the score of every placement for each part of the tokens, and for all; None where there is one kind.

    Parameters
    ----------
    task, scored
        The second half of the prompts, and its traffic; None without a trace.
    placements
        In the order in which they were scored.
    drawn
        The device of each expert of random placements ``(draws, layers, experts)``, which are named ``random``; None
        where there are none.
    """
    learnt, parts = task.learnt.of_tokens, task.parts
    if learnt is None:
        return None
    absent = [kind for kind, loads in zip(parts.kinds, learnt, strict=True) if not loads.any()]
    if absent:
        notes.add("by_kind", f"no prompt to learn from holds {listed(absent)} tokens, so these have no home device")
    few = _few_units(task)
    if few:
        notes.add(
            "by_kind.ci", f"fewer than {LEAST_UNITS} scored prompts or groups of a category hold {listed(few)} tokens"
        )
    found = []
    for number in [*range(len(parts)), None]:
        scores: dict[str, KindScore | None] = {}
        for place, (name, slots) in enumerate(placements.items()):
            homes = [None if not one.any() else int(homes_of(one[None], slots.shares)[0]) for one in learnt]
            traffic = None if scored is None else scored.by_part.part(number)
            score = _score(task, slots, traffic, place=place, homes=homes, number=number)
            few_here = number is not None and parts.names[number] in few
            scores[name] = _without_intervals(score) if few_here else score
        if drawn is not None:
            scores["random"] = _random(task, drawn, scored, number)
        tokens = _tokens(task)
        name, count = (ALL, tokens.sum()) if number is None else (parts.names[number], tokens[number])
        found.append(KindOfTokens(name, int(count), scores))
    return tuple(found)


def _tokens(task: Task) -> NDArray[np.int64]:  # (parts,)
    signatures, rows = task.signatures, task.rows[task.halves.scored]
    return np.array([signatures.lengths(name)[rows].sum() for name in task.parts.names])


def _few_units(task: Task) -> list[str]:
    """Return the parts that too few blocks of units hold for an interval, in a stratum where any does."""
    held = task.loads_by_part.sum(axis=(2, 3)) > 0  # (cells, parts)
    found = []
    for number, name in enumerate(task.parts.names):
        strata = task.cells.strata[np.unique(task.cells.blocks[held[:, number]])]
        if np.unique(strata, return_counts=True)[1].min(initial=LEAST_UNITS if len(strata) else 0) < LEAST_UNITS:
            found.append(name)
    return found


def _without_intervals(score: KindScore) -> KindScore:
    bare = {name: replace(value, ci=None) for name, value in vars(score).items() if isinstance(value, Measure)}
    return replace(score, **bare)  # type: ignore[arg-type]  # only measures are replaced


def _score(
    task: Task, slots: Slots, traffic: Traffic | None, *, place: int, homes: list[int | None], number: int | None
) -> KindScore:
    """Return the score of one placement for one part, or for all together where `number` is None.

    `place` is that of the placement in `traffic`, which is of the same part or of all.
    """
    cells, parts = task.cells, task.parts
    chosen = range(len(parts)) if number is None else [number]
    loads = task.loads_by_part[:, list(chosen)].sum(axis=1)
    starts = {part: homes[parts.kind_of[part]] for part in chosen}
    settled = all(home is not None for home in starts.values())
    sends = touched = cross = None
    if settled:
        by_part = [sends_at_home(task.loads_by_part[:, part], slots.shares, home or 0) for part, home in starts.items()]
        stay, every = np.sum(by_part, axis=0).T
        sends = ratio(cells, stay, every, write=_rest)
    if traffic is not None:
        bounds = (1.0, float(task.layout.devices))
        touched = ratio(cells, traffic.touched[:, place], traffic.visits, bounds=bounds)
        cross = ratio(cells, traffic.own[:, place], traffic.visits, write=_rest) if settled else None
    return KindScore(
        home=None if number is None else starts[number],
        balancedness=device_balance(cells, np.einsum("cle,led->cld", loads, slots.shares)),
        devices_touched=touched,
        cross_device=cross,
        sends=sends,
    )


def _rest(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - share


def _random(task: Task, device: NDArray[np.int64], scored: Scored | None, number: int | None) -> KindScore:
    """Return means and ranges of random placements for one part, or for all together where `number` is None."""
    parts, learnt = task.parts, task.learnt.of_tokens
    assert learnt is not None
    chosen = list(range(len(parts))) if number is None else [number]
    loads = task.loads_by_part.sum(axis=0)  # (parts, layers, experts)
    some = loads[chosen].sum(axis=0)
    homes = {kind: drawn_homes(device, learnt[kind]) for kind in {int(parts.kind_of[part]) for part in chosen}}
    settled = all(learnt[kind].any() for kind in homes)
    starts = {part: homes[int(parts.kind_of[part])] for part in chosen}
    sends = touched = cross = None
    if settled and some.any():
        weights = np.array([loads[part].sum() for part in chosen]) / some.sum()
        by_part = [
            drawn_sends(device, loads[part], home) if loads[part].any() else np.zeros(len(device))
            for part, home in starts.items()
        ]
        sends = drawn_measure(weights @ np.stack(by_part))
    if scored is not None:
        kept = {part: scored.kept[0][scored.kept_parts[0] == part] for part in chosen}
        visits = {part: int((one >= 0).any(axis=2).sum()) for part, one in kept.items()}
        total = sum(visits.values())
        if total:
            every = np.concatenate(list(kept.values()))
            touched = drawn_measure(drawn_traffic(device, every, None).touched)
        if total and settled:
            there = [part for part in chosen if visits[part]]
            leave = [visits[part] * drawn_from_home(device, kept[part], starts[part]) for part in there]
            cross = drawn_measure(np.sum(leave, axis=0) / total)
    return KindScore(
        home=None,
        balancedness=drawn_measure(drawn_balancedness(device, some)) if some.any() else None,
        devices_touched=touched,
        cross_device=cross,
        sends=sends,
    )
