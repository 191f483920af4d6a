"""Where experts go: placements on devices, learnt on half of the prompts and scored on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.formats import percent
from moexray.signatures import Signatures
from moexray.stats.workloads.batch_loads import Batches, batch_loads, expert_counts
from moexray.stats.workloads.device_loads import uniform_devices_touched, uniform_remote
from moexray.stats.workloads.plain_placements import random_devices
from moexray.stats.workloads.random_placements import drawn_balancedness, drawn_batch_loads, drawn_traffic
from moexray.stats.workloads.slots import Slots
from moexray.studies.notes import Notes
from moexray.studies.placement_by_kind import score_by_kind
from moexray.studies.placement_layout import DeviceLayout, device_layout
from moexray.studies.placement_learning import NO_TRACE, learnt_placements
from moexray.studies.placement_measures import batch_measure, device_balance, drawn_measure, ratio, traffic_measures
from moexray.studies.placement_results import (
    ClosedForm,
    Drift,
    LayerMap,
    Measure,
    PlacementMap,
    PlacementScore,
    PlacementStudy,
)
from moexray.studies.placement_scoring import Scored
from moexray.studies.placement_task import BATCHES, Task
from moexray.trace import Trace

BATCH, DRAWS = 16, 200
RANDOM = "random"


def place(
    signatures: Signatures,
    *,
    devices: int,
    trace: Trace | None = None,
    nodes: int = 1,
    groups: int | None = None,
    redundant: int = 0,
    tokens: str = "all",
    batch: int = BATCH,
    placement: str | None = None,
    seed: int = 0,
) -> PlacementStudy:
    """Compare placements of experts on devices, learnt on half of the prompts and scored on the other half.

    Parameters
    ----------
    signatures
        Loads are theirs.
    devices
        How many devices share the experts of each layer.
    trace
        Every token's experts, of these prompts. Without it only loads are scored.
    nodes, groups
        Nodes that the devices are on, and groups of neighbouring experts that stay on one node (by default each expert
        by itself): adds hierarchical EPLB.
    redundant
        Slots beyond one for each expert, which EPLB fills.
    tokens
        Which tokens: see `moexray.segments.places`.
    batch
        Prompts of a batch, each with one token.
    placement
        The placement whose map the result holds.
    seed
        Seed of the halves, the batches and the random placements.

    Raises
    ------
    AnalysisError
        If experts cannot be dealt to these devices, or there is no such placement.
    NotComputable
        If there are fewer than two units of prompts with such a token.
    """
    layout = device_layout(signatures, devices=devices, nodes=nodes, groups=groups, redundant=redundant)
    for name, value, least in (("batch", batch, 1), ("seed", seed, 0)):
        if value < least:
            message = f"`{name}` is {value}: it must be at least {least}"
            raise AnalysisError(message)
    notes = Notes()
    task = Task.of(signatures, trace, layout, tokens=tokens, seed=seed, notes=notes)
    placements = learnt_placements(task.learnt, layout, notes.under("placements"))
    shown = None if placement is None else _map_of(placement, placements, layout, notes)
    there = {name: slots for name, slots in placements.items() if slots is not None}
    drifting = task.drifting()
    if trace is None:
        notes.add("trace", NO_TRACE)
    batches = None if trace is None else notes.attempt("batch", lambda: task.batches(batch))
    scored = task.score([*there.values(), *(slots for *_, slots in drifting)], batches)
    scores: dict[str, PlacementScore | None] = dict.fromkeys(["contiguous", "round_robin", RANDOM, *placements])
    steps = None if scored is None or batches is None else _Steps.of(scored, batches, signatures.shape[3])
    scores |= _scores(task, there, scored, steps, notes)
    drawn = notes.under("placements").attempt(RANDOM, lambda: _drawn(layout, seed))
    scores[RANDOM] = None if drawn is None else _random_score(task, drawn, scored, steps)
    _note_dropped(task, notes)
    return PlacementStudy(
        model=None if (model := signatures.meta.get("model")) is None else str(model),
        tokens=tokens,
        layers=layout.layers,
        experts=tuple(layout.experts.tolist()),
        top_k=tuple(signatures.top_k.tolist()),
        prompts=len(task.rows),
        learnt=len(task.halves.learnt),
        scored=len(task.halves.scored),
        devices=devices,
        nodes=nodes,
        groups=groups,
        redundant=redundant,
        batch=batch,
        batches=0 if batches is None else BATCHES,
        draws=DRAWS,
        seed=seed,
        placements=scores,
        closed_form=notes.attempt(
            "closed_form", lambda: _closed_form(signatures, layout, kinds=bool(task.parts.kinds))
        ),
        drift=_drift(task, drifting, scored, first=len(there)),
        by_kind=score_by_kind(task, there, scored, drawn, notes),
        map=shown,
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


@dataclass(frozen=True)
class _Steps:
    """Batches, what their tokens select, and how many select each expert: see `expert_counts`."""

    batches: Batches
    selected: NDArray[np.int16]
    counts: NDArray[np.float32]

    @staticmethod
    def of(scored: Scored, batches: Batches, experts: int) -> "_Steps":
        selected = scored.of_batches(batches)
        return _Steps(batches, selected, expert_counts(selected, experts))


def _map_of(name: str, placements: Mapping[str, Slots | None], layout: DeviceLayout, notes: Notes) -> PlacementMap:
    if name == RANDOM:
        message = f"`placement` is random, of which {DRAWS} are drawn: name one of {', '.join(placements)}"
        raise AnalysisError(message)
    if name not in placements:
        message = f"`placement` is {name!r}: there are {', '.join(placements)}"
        raise AnalysisError(message)
    slots = placements[name]
    if slots is None:
        message = f"`placement` is {name}, which cannot be made: {notes.found[f'placements.{name}']}"
        raise AnalysisError(message)
    layers = (
        LayerMap(layer, tuple(tuple(expert for expert in device if expert >= 0) for device in held))
        for layer, held in zip(layout.layers, slots.held.tolist(), strict=True)
    )
    return PlacementMap(name, tuple(layers))


def _scores(
    task: Task, placements: Mapping[str, Slots], scored: Scored | None, steps: _Steps | None, notes: Notes
) -> dict[str, PlacementScore]:
    nodes = task.layout.nodes
    of_steps: dict[str, list[Measure]] = {}
    if steps is not None:
        for name, slots in placements.items():
            found = batch_loads(steps.selected, steps.counts, slots, rng=np.random.default_rng([task.seed, 4]))
            values = ((found.balancedness, 1.0), (found.busiest, float(slots.held.shape[2])))
            of_steps[name] = [batch_measure(one, steps.batches, task.halves, most=most) for one, most in values]
        if not task.cells.too_few and any(measure.ci is None for pair in of_steps.values() for measure in pair):
            notes.add(
                "batch", "hardly any batch is without each unit, so batches have no interval: use a smaller `batch`"
            )
    if scored is not None and scored.tops is None:
        notes.add("moves", "the trace has no gate weights, so the top expert of a token is not known")
    elif len(task.layout.layers) < 2:
        notes.add("moves", "there is one MoE layer only")
    scores = {}
    for place, (name, slots) in enumerate(placements.items()):
        balancedness, busiest = of_steps.get(name, (None, None))
        traffic: dict[str, Measure | None] = dict.fromkeys(("devices_touched", "moves", "remote"))
        if scored is not None:
            traffic = traffic_measures(task.cells, scored.traffic, place, devices=task.layout.devices, nodes=nodes)
        loads = np.einsum("cle,led->cld", task.loads, slots.shares)
        scores[name] = PlacementScore(
            balancedness=device_balance(task.cells, loads), balancedness_step=balancedness, busiest=busiest, **traffic
        )
    return scores


def _drawn(layout: DeviceLayout, seed: int) -> NDArray[np.int64]:  # (draws, layers, experts)
    """Draw random placements; NotComputable where devices cannot hold as many experts each."""
    if not layout.even:
        raise NotComputable(layout.uneven)
    return random_devices(layout.experts, layout.devices, draws=DRAWS, rng=np.random.default_rng([seed, 1]))


def _random_score(task: Task, device: NDArray[np.int64], scored: Scored | None, steps: _Steps | None) -> PlacementScore:
    layout = task.layout
    balanced = drawn_measure(drawn_balancedness(device, task.loads.sum(axis=0)))
    if scored is None:
        return PlacementScore(balanced, None, None, None, None, None)
    traffic = drawn_traffic(device, scored.kept[0], None if scored.tops is None else scored.tops[0])
    step = busiest = on_nodes = None
    if steps is not None:
        step, busiest = map(drawn_measure, drawn_batch_loads(device, steps.counts))
    if layout.nodes > 1:
        of_device = layout.devices // layout.nodes
        node = np.where(device < 0, -1, device // of_device)
        on_nodes = drawn_measure(drawn_traffic(node, scored.kept[0], None).touched)
    several = traffic.moved is not None and len(layout.layers) > 1
    return PlacementScore(
        balancedness=balanced,
        balancedness_step=step,
        devices_touched=drawn_measure(traffic.touched),
        busiest=busiest,
        moves=drawn_measure(traffic.moved) if several and traffic.moved is not None else None,
        remote=drawn_measure(1 - traffic.alone / layout.devices),
        nodes_touched=on_nodes,
    )


def _drift(
    task: Task, drifting: Sequence[tuple[str, str, Slots]], scored: Scored | None, *, first: int
) -> tuple[Drift, ...] | None:
    if not drifting:
        return None
    found = []
    for place, (learnt, placement, slots) in enumerate(drifting, start=first):
        loads = np.einsum("cle,led->cld", task.loads, slots.shares)
        for number, name in enumerate(task.names):
            touched = None
            if scored is not None:
                sums = scored.traffic
                bounds = (1.0, float(task.layout.devices))
                touched = ratio(task.cells, sums.touched[:, place], sums.visits, category=number, bounds=bounds)
            balanced = device_balance(task.cells, loads, number)
            if balanced is not None:
                found.append(Drift(placement, learnt, name, balanced, touched))
    return tuple(sorted(found, key=lambda one: one.placement))


def _note_dropped(task: Task, notes: Notes) -> None:
    """Note where tokens select fewer than the k experts that the closed form supposes."""
    signatures, scored = task.signatures, task.rows[task.halves.scored]
    full = int(signatures.lengths(task.tokens)[scored].sum()) * int(signatures.top_k.sum())
    dropped = full - int(task.loads.sum())
    if dropped:
        notes.add(
            "closed_form",
            f"it is of tokens with all of their k experts, and the router dropped {percent(dropped / full)} of the "
            "selections here, so fewer devices are touched at random",
        )


def _closed_form(signatures: Signatures, layout: DeviceLayout, *, kinds: bool) -> ClosedForm:
    if not layout.even:
        raise NotComputable(layout.uneven)

    def mean(of_layer: NDArray[np.float64]) -> float:
        return float(np.mean(of_layer))

    layers = list(zip(layout.experts.tolist(), signatures.top_k.tolist(), strict=True))
    devices, nodes = layout.devices, layout.nodes
    return ClosedForm(
        devices_touched=mean(np.array([uniform_devices_touched(experts, k, devices) for experts, k in layers])),
        moves=1 - 1 / devices,
        remote=mean(np.array([uniform_remote(experts, k, devices) for experts, k in layers])),
        nodes_touched=(
            mean(np.array([uniform_devices_touched(experts, k, nodes) for experts, k in layers])) if nodes > 1 else None
        ),
        sends=1 - 1 / devices if kinds else None,
    )
