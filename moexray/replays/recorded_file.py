"""A file of signatures and its trace, looked at row by row, and the rows of a few prompts kept to be replayed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.checks.alignment import Layers
from moexray.checks.integrity import Inspector, Integrity
from moexray.checks.recording import PHASES
from moexray.checks.rows import ABSENT, Rows
from moexray.errors import AnalysisError, MoexrayError, SignaturesError, TraceError
from moexray.files import find_companion
from moexray.replays.trace_rows import tokens_by_phase, trace_rows
from moexray.signatures import MOST_IN_MEMORY, Signatures
from moexray.trace import Trace
from moexray.trace_file import SCORES, open_trace_file
from moexray.trace_weights import check_gate_weights

_TRACE = "trace.parquet"


@dataclass(frozen=True)
class Kept:
    """The rows of one prompt, as they were recorded.

    Attributes
    ----------
    experts
        ``(tokens, recorded layers, k or more)``, −1 where there is none.
    known
        Which rows there are ``(tokens, recorded layers)``.
    """

    name: str
    token_ids: NDArray[np.int64]
    phases: NDArray[np.int64]
    experts: NDArray[np.int64]
    known: NDArray[np.bool_]


@dataclass
class RecordedFile:
    """What a file holds, and what is wrong with it.

    Attributes
    ----------
    signatures
        The signatures; None where they could not be opened.
    trace
        The trace beside them, if there is one.
    integrity
        What was looked at without a model.
    kept
        The prompts that are to be replayed.
    notes
        What could not be looked at.
    """

    signatures: Signatures | None
    trace: Path | None
    integrity: Integrity
    kept: list[Kept] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> Layers:
        """The recorded layers."""
        assert self.signatures is not None
        return Layers.of(*(getattr(self.signatures, name) for name in ("layers", "experts", "top_k")))


def read_recorded(source: Path | Signatures, trace: Path | None, *, prompts: int, seed: int) -> RecordedFile:
    """Look at a file without a model, and keep some prompts.

    Parameters
    ----------
    source
        The file of signatures, or signatures.
    trace
        The trace; by default the one beside the file.
    prompts, seed
        How many prompts to keep, and the seed of their choice: as many of each category as can be.

    Raises
    ------
    MoexrayError
        If the file is missing, or is none of signatures.
    """
    if isinstance(source, Signatures):
        signatures, found = source, trace
    else:
        if not source.is_file():
            message = (
                f"{source} is not there: `moexray capture` writes signatures, `moexray import` reads those of others"
            )
            raise SignaturesError(message)
        found = trace or find_companion(source, _TRACE)
        try:
            signatures = Signatures.open(source)
            check_counts(signatures)
        except SignaturesError as error:
            inspector = Inspector((), (), ())
            inspector.refuse(str(error))
            return RecordedFile(None, found, inspector.result(has_rows=False))
    if found is None:
        return _counts_alone(signatures)
    return _with_trace(signatures, found, chosen_prompts(signatures, prompts, seed))


def check_counts(signatures: Signatures) -> None:
    """Read all counts, some prompts at a time; what does not add up is a SignaturesError."""
    for block in signatures.blocks():
        del block


def chosen_prompts(signatures: Signatures, number: int, seed: int) -> NDArray[np.int64]:
    """Return the places of some prompts with tokens: drawn by turns from each category.

    Raises
    ------
    AnalysisError
        If fewer than one is asked for.
    """
    if number < 1:
        message = f"`number` is {number}: the least is 1"
        raise AnalysisError(message)
    with_tokens = np.flatnonzero(signatures.lengths() > 0)
    categories = [signatures.prompts.categories[place] for place in with_tokens.tolist()]
    return with_tokens[by_turns(categories, number, seed)]


def by_turns(categories: Sequence[str], number: int, seed: int) -> list[int]:
    """Return the places of some of these, in order: drawn, by turns from each category."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, int]] = []
    for place in np.random.default_rng(seed).permutation(len(categories)).tolist():
        category = categories[place]
        turn[category] = turn.get(category, -1) + 1
        order.append((turn[category], len(order), place))
    return sorted(place for _, _, place in sorted(order)[:number])


def _counts_alone(signatures: Signatures) -> RecordedFile:
    inspector = Inspector(*(getattr(signatures, name).tolist() for name in ("layers", "experts", "top_k")))
    whole = Integrity(len(signatures), int(signatures.tokens.sum()), 0, has_rows=False)
    notes = {"integrity.rows": "there is no trace, so no rows: counts add up to tokens times k, which is all they tell"}
    first = _only_first_expert(signatures)
    if first is not None:
        inspector.refuse(first)
        whole = Integrity(whole.prompts, whole.tokens, 0, has_rows=False, faults=inspector.result().faults)
    return RecordedFile(signatures, None, whole, notes=notes)


def _only_first_expert(signatures: Signatures) -> str | None:
    """Say which layer with k = 1 sent every token to expert 0, as rows do that were never written."""
    places = np.flatnonzero((signatures.top_k == 1) & (signatures.experts > 1))
    others = np.zeros(len(signatures.layers), dtype=bool)
    for block in signatures.blocks() if len(places) else ():
        others |= block.counts[..., 1:].any(axis=(0, 1, 3))
    wrong = [int(signatures.layers[place]) for place in places if not others[place]]
    if not wrong or not signatures.tokens.any():
        return None
    return f"every token of layer {wrong[0]} is sent to expert 0, as in rows that were never written"


def _with_trace(signatures: Signatures, path: Path, chosen: NDArray[np.int64]) -> RecordedFile:
    layers, experts, top_k = (getattr(signatures, name).tolist() for name in ("layers", "experts", "top_k"))
    inspector = Inspector(layers, experts, top_k, may_drop=bool(signatures.meta.get("router_may_drop")))
    kept: list[Kept] = []
    notes: dict[str, str] = {}
    seen = np.zeros(len(signatures), dtype=bool)
    totals = _Totals(signatures)
    try:
        for places, rows in trace_rows(path, signatures):
            inspector.add(rows, tokens_by_phase(signatures, places))
            totals.add(rows)
            seen[places] = True
            for number, place in enumerate(places.tolist()):
                if place in chosen:
                    kept += _kept(rows, number, int(signatures.tokens[place].sum()), len(signatures.layers), notes)
        lacking = np.flatnonzero(~seen & (signatures.lengths() > 0))
        if len(lacking):
            inspector.refuse(f"{path} has no row of prompt {signatures.prompts.ids[lacking[0]]!r}")
        _refuse_strictly(path, signatures, inspector)
        totals.check(path, inspector)
    except TraceError as error:
        inspector.refuse(str(error))
    first = _only_first_expert(signatures)
    if first is not None:
        inspector.refuse(first)
    if (signatures.top_k == 1).any():
        notes["integrity.faults"] = (
            "with k = 1 a row that was never written looks like one that was sent to expert 0: only the model tells"
        )
    return RecordedFile(signatures, path, inspector.result(), kept, notes)


class _Totals:
    """Adds up what rows select, for files whose counts are not compared prompt by prompt."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._is_needed = not signatures.in_memory and len(signatures) > MOST_IN_MEMORY
        self._found = np.zeros((len(PHASES), *signatures.shape[2:]), dtype=np.int64)

    def add(self, rows: Rows) -> None:
        if not self._is_needed:
            return
        inside = (rows.ids >= 0) & (rows.ids < self._found.shape[2]) & (rows.layers >= 0)[:, None]
        row, column = np.nonzero(inside)
        np.add.at(self._found, (rows.phases[row], rows.layers[row], rows.ids[row, column]), 1)

    def check(self, path: Path, inspector: Inspector) -> None:
        """Compare the sums with those of the signatures."""
        if not self._is_needed:
            return
        expected = np.zeros_like(self._found)
        for block in self._signatures.blocks():
            for place, segment in enumerate(self._signatures.segments):
                expected[PHASES.index(segment.phase)] += block.counts[:, place].sum(axis=0, dtype=np.int64)
        wrong = np.argwhere(self._found != expected)
        if len(wrong):
            phase, layer, expert = wrong[0].tolist()
            held, known = self._found[phase, layer, expert], expected[phase, layer, expert]
            inspector.refuse(
                f"{path}: expert {expert} of layer {self._signatures.layers[layer]} is selected {held:,} times in "
                f"{PHASES[phase]} rows, and {known:,} times by the signatures"
            )


def _refuse_strictly(path: Path, signatures: Signatures, inspector: Inspector) -> None:
    """Read the trace as every other command does: what that refuses is a fault, whatever else was found."""
    with open_trace_file(path) as file:
        has_scores = SCORES in file.schema_arrow.names
    try:
        for block in Trace.open(path, signatures).blocks(scores=has_scores):
            del block
        check_gate_weights(path)
    except MoexrayError as error:
        inspector.refuse(str(error))


def _kept(rows: Rows, number: int, tokens: int, layers: int, notes: dict[str, str]) -> Sequence[Kept]:
    """Return the rows of one prompt as an array, or none and a note where its tokens are not all there."""
    which = np.flatnonzero(
        (rows.prompts == number) & (rows.layers >= 0) & (rows.positions >= 0) & (rows.positions < tokens)
    )
    positions, of_layer = rows.positions[which], rows.layers[which]
    token_ids, phases = np.full(tokens, -1, dtype=np.int64), np.zeros(tokens, dtype=np.int64)
    token_ids[positions], phases[positions] = rows.token_ids[which], rows.phases[which]
    if (token_ids < 0).any():
        place = int(np.argmax(token_ids < 0))
        notes.setdefault("comparison.prompts", f"prompt {rows.names[number]!r} is left out: token {place} is missing")
        return []
    experts = np.full((tokens, layers, rows.ids.shape[1]), -1, dtype=np.int64)
    known = np.zeros((tokens, layers), dtype=bool)
    experts[positions, of_layer] = np.where(rows.ids[which] == ABSENT, -1, rows.ids[which])
    known[positions, of_layer] = True
    return [Kept(rows.names[number], token_ids, phases, experts, known)]
