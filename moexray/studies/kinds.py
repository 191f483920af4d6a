"""Two kinds of tokens: how each loads the experts, and how far apart they are routed, beside chance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable, SignaturesError
from moexray.formats import count, listed
from moexray.segments import Segment
from moexray.signatures import Signatures
from moexray.stats.inference.jackknife import LEAST_UNITS
from moexray.stats.kinds.bias import KindsInLayer, kinds_by_layer
from moexray.stats.kinds.even import EvenLoad, even_counts, mean_balance
from moexray.stats.kinds.exchange import KindDifference, difference_within
from moexray.stats.kinds.matched import matched_counts
from moexray.stats.kinds.separate import difference_between
from moexray.stats.kinds.shift import msi_shift, shift_of_kinds
from moexray.studies.kind_counts import KindCounts, kind_counts, two_kinds
from moexray.studies.kind_devices import check_devices, kind_devices
from moexray.studies.kinds_result import KindLoad, Kinds, LayerKinds, Shift, ShiftedKind
from moexray.studies.notes import Notes

_FEW_UNITS = 10


def study_kinds(
    signatures: Signatures,
    kinds: Sequence[str] | None = None,
    *,
    other: Signatures | None = None,
    devices: int | None = None,
    permutations: int = 10_000,
    seed: int = 0,
) -> Kinds:
    """Compare the routing of two kinds of tokens; see docs/kinds.md.

    Parameters
    ----------
    signatures
        What was recorded; read some prompts at a time.
    kinds
        Two selectors (`moexray.segments.places`) of different tokens. By default the two kinds of tokens, or the two
        phases where all tokens are of one kind.
    other
        Another set of prompts by the same routers, whose kinds are compared with those of the first.
    devices
        Devices that hold the experts of each layer, neighbours together, to find the busiest of.
    permutations, seed
        Exchanges of kinds, and their seed.

    Raises
    ------
    AnalysisError
        If there are not two kinds, a kind has no selection, experts cannot be dealt evenly to the devices, or the other
        set has other layers or shares a group.
    """
    for name, value, least in (("permutations", permutations, 1), ("seed", seed, 0)):
        if value < least:
            message = f"`{name}` is {value}: it must be at least {least}"
            raise AnalysisError(message)
    if devices is not None:
        check_devices(signatures, devices)
    named = two_kinds(_segments_held(signatures) if kinds is None else signatures.segments, kinds)
    counts, notes = kind_counts(signatures, named, seed=seed), Notes()
    design, difference = _difference(counts, notes, permutations=permutations, seed=seed)
    even, matched = _even(signatures, counts, seed), _matched(counts, notes, seed)
    layers = _layers(signatures, counts, even, matched)
    if len(counts.first) < counts.units:
        notes.add(
            "units",
            f"floor, intervals and tests look at {len(counts.first):,} of {counts.units:,} prompts or groups, drawn at "
            "random",
        )
    unbiased = sum(one.bias.count(None) for one in layers)
    if unbiased:
        notes.add("bias", f"neither kind selects {count(unbiased, 'expert')}: no bias, and no part in MSI")
    if devices is not None:
        _note_few(counts, named, notes)
    shift = None
    if other is not None:
        shift = _shift(signatures, other, counts, named, notes, permutations=permutations, seed=seed)
    model = signatures.meta.get("model")
    return Kinds(
        model=None if model is None else str(model),
        kinds=named,
        tokens=counts.tokens,
        prompts=counts.prompts,
        msi=float(np.mean([one.msi for one in layers])),
        information_share=float(np.mean([one.information_share for one in layers])),
        design=design,
        difference=difference,
        layers=layers,
        devices=None if devices is None else kind_devices(signatures, counts, devices, even=even, matched=matched),
        shift=shift,
        permutations=permutations,
        seed=seed,
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


def _note_few(counts: KindCounts, kinds: tuple[str, str], notes: Notes) -> None:
    few = [kind for kind, held in zip(kinds, counts.held, strict=True) if held.sum() < LEAST_UNITS]
    if few:
        notes.add("devices.ci", f"fewer than {LEAST_UNITS} prompts or groups hold {listed(few)} tokens")


def _segments_held(signatures: Signatures) -> list[Segment]:
    """Return the segments with tokens: a model that could be shown images may have been given texts alone."""
    held = signatures.tokens.sum(axis=0) > 0
    return [one for one, has in zip(signatures.segments, held.tolist(), strict=True) if has]


def _difference(counts: KindCounts, notes: Notes, *, permutations: int, seed: int) -> tuple[str, KindDifference | None]:
    first, second = counts.held
    both = first & second
    if both.any():
        alone = int((first ^ second).sum())
        if alone:
            notes.add("difference", f"floor and test leave out prompts or groups that hold one kind only: {alone:,}")
        found = notes.attempt(
            "difference",
            lambda: difference_within(counts.first[both], counts.second[both], permutations=permutations, rng=seed),
        )
    else:
        notes.add(
            "design", "no prompt or group holds both kinds: what a kind does and what its prompts do look the same here"
        )
        found = notes.attempt(
            "difference",
            lambda: difference_between(counts.first[first], counts.second[second], permutations=permutations, rng=seed),
        )
    if found is not None and found.units < _FEW_UNITS:
        notes.add(
            "p_value", f"{found.units} prompts or groups give few exchanges: p cannot be small, and the floor is high"
        )
    return ("within" if both.any() else "between"), found


def _even(signatures: Signatures, counts: KindCounts, seed: int) -> NDArray[np.int64]:  # (draws, 2, layers, experts)
    generator = np.random.default_rng(seed)
    of_kinds = [
        even_counts(loads.sum(axis=1), tokens, signatures.experts, rng=generator)
        for loads, tokens in zip(counts.totals, counts.tokens, strict=True)
    ]
    return np.stack(of_kinds, axis=1)


def _matched(counts: KindCounts, notes: Notes, seed: int) -> NDArray[np.int64] | None:  # (draws, 2, layers, experts)
    rng, tokens = np.random.default_rng([seed, 1]), np.array(counts.tokens)
    return notes.attempt("matched", lambda: matched_counts(counts.totals, tokens, rng=rng))


def _layers(
    signatures: Signatures, counts: KindCounts, even: NDArray[np.int64], matched: NDArray[np.int64] | None
) -> tuple[LayerKinds, ...]:
    sizes = signatures.experts
    found = kinds_by_layer(counts.totals[0], counts.totals[1], sizes)
    of_even = [mean_balance(even[:, kind], sizes) for kind in (0, 1)]
    of_both = None if matched is None else [mean_balance(matched[:, kind], sizes) for kind in (0, 1)]
    return tuple(
        _layer(
            layer, one, [(of_even[kind][place], None if of_both is None else of_both[kind][place]) for kind in (0, 1)]
        )
        for place, (layer, one) in enumerate(zip(signatures.layers.tolist(), found, strict=True))
    )


def _layer(layer: int, found: KindsInLayer, drawn: Sequence[tuple[EvenLoad, EvenLoad | None]]) -> LayerKinds:
    loads = [KindLoad(tuple(found.shares[n].tolist()), found.balance[n], *drawn[n]) for n in (0, 1)]
    return LayerKinds(
        layer=layer,
        loads=(loads[0], loads[1]),
        bias=tuple(None if np.isnan(one) else one for one in found.bias.tolist()),
        msi=found.msi,
        information=found.information,
        information_share=found.information / found.entropy,
    )


def _shift(
    signatures: Signatures,
    other: Signatures,
    counts: KindCounts,
    kinds: tuple[str, str],
    notes: Notes,
    *,
    permutations: int,
    seed: int,
) -> Shift | None:
    _check_same_routers(signatures, other)
    if signatures.meta.get("model") != other.meta.get("model"):
        notes.add("shift", f"the other set is of model {other.meta.get('model')!r}: models and prompts both differ")
    theirs = _counts_of_other(other, kinds, seed)
    sets = [(_held(one), _held(two)) for one, two in ((counts.first, theirs.first), (counts.second, theirs.second))]
    try:
        found = shift_of_kinds(sets, signatures.experts, permutations=permutations, rng=seed)
    except NotComputable as reason:
        notes.add("shift", str(reason))
        return None
    model = other.meta.get("model")
    return Shift(
        model=None if model is None else str(model),
        prompts=sum(theirs.prompts),
        fingerprint=other.fingerprint,
        layers=tuple(other.layers.tolist()),
        kinds=tuple(
            ShiftedKind(kind, (len(pair[0]), len(pair[1])), tuple(layers))
            for kind, pair, layers in zip(kinds, sets, found, strict=True)
        ),
        msi=notes.attempt(
            "shift.msi",
            lambda: msi_shift((counts.first, counts.second), (theirs.first, theirs.second), rng=seed),
        ),
    )


def _counts_of_other(other: Signatures, kinds: tuple[str, str], seed: int) -> KindCounts:
    try:
        return kind_counts(other, kinds, seed=seed)
    except (AnalysisError, SignaturesError) as error:
        message = f"the other set: {error}"
        raise AnalysisError(message) from error


def _held(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts[counts.any(axis=(1, 2))]


def _check_same_routers(signatures: Signatures, other: Signatures) -> None:
    for name in ("layers", "experts", "top_k"):
        ours, theirs = getattr(signatures, name).tolist(), getattr(other, name).tolist()
        if ours != theirs:
            message = f"one has {name.replace('_', ' ')} {ours}, the other {theirs}: capture both sets with one model"
            raise AnalysisError(message)
    if signatures.fingerprint == other.fingerprint:
        message = "the two sets hold the same prompts and counts: name another set of prompts as `other`"
        raise AnalysisError(message)
    groups = (set(one.prompts.groups or ()) - {""} for one in (signatures, other))
    shared = sorted(set.intersection(*groups))
    if shared:
        message = f"group {shared[0]!r} is in both sets, and a group is one unit: give the sets different groups"
        raise AnalysisError(message)
