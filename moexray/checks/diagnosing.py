"""One cause that would explain every row that differs, and how to prove it.

Two kinds of proof: a property that every row in question has (`explained`), or recordings with the cause undone
(`candidates`), which must be true when they are compared anew. What is not proven is not named.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from moexray.checks.comparing import DIFFERENT, EQUAL, TIE, Compared
from moexray.checks.diagnosis import Diagnosis
from moexray.checks.recording import PHASES, Recording
from moexray.checks.undoing import candidates, codes
from moexray.formats import listed, runs

# Share of a layer's rows that differ where another router wrote it, and of the rows in question that a proof keeps.
_WORTH = 0.5
# Share of the rows of one layer that are those of other tokens where rows were moved: few agree by chance.
_OTHERS = 0.8
# Rows that a cause must explain: fewer may agree by chance.
_FEWEST = 4


def explained(found: Sequence[Compared], layers: Sequence[int], top_k: Sequence[int]) -> Diagnosis | None:
    """Return the cause that every row that differs shows by itself; None where there is none.

    Parameters
    ----------
    found
        All prompts.
    layers, top_k
        Index and k of each layer.
    """
    return _same_row(found, layers, top_k) or _stale(found) or _one_layer(found, layers)


def proof(before: Sequence[Compared], after: Sequence[Compared]) -> tuple[int, int] | None:
    """Return how many of the rows that differed are true now, and how many differed.

    None where some row is not true now, or fewer than half of those that differed are known still: what was undone
    may leave rows without a counterpart.
    """
    rows = held = 0
    for one, other in zip(before, after, strict=True):
        which, known = one.states == DIFFERENT, other.recording.known
        which = which[len(which) - len(known) :]  # tokens that were cut off stood before the others
        rows += int(which.sum())
        held += int((which & known).sum())
    return (held, rows) if all(one.is_true for one in after) and held >= max(_FEWEST, rows * _WORTH) else None


def where(found: Sequence[Compared], layers: Sequence[int]) -> str:
    """Return in which phases and layers rows differ."""
    differing = [one.states == DIFFERENT for one in found]
    of_layer = np.any([rows.any(axis=0) for rows in differing], axis=0)
    phases = [
        name
        for phase, name in enumerate(PHASES)
        if any(rows[one.recording.phases == phase].any() for rows, one in zip(differing, found, strict=True))
    ]
    which = [layer for layer, there in zip(layers, of_layer, strict=True) if there]
    named = "all layers" if len(which) == len(layers) else f"layer{'s' * (len(which) > 1)} {runs(which)}"
    return f"{listed(phases)} rows of {named}"


def _same_row(found: Sequence[Compared], layers: Sequence[int], top_k: Sequence[int]) -> Diagnosis | None:
    """Rows that differ hold the same ids in a layer throughout each prompt: they were written once, or never."""
    ids: list[tuple[int, ...]] = []
    rows = 0
    for one in found:
        for place, k in enumerate(top_k):
            which = one.states[:, place] == DIFFERENT
            if not which.any():
                continue
            of_layer = one.recording.experts[:, place, :k]
            alike = of_layer[which]
            if k == 1:  # such a row may be true by chance, but all rows of its phase hold the same
                phases = np.unique(one.recording.phases[which])
                alike = of_layer[np.isin(one.recording.phases, phases) & one.recording.known[:, place]]
            if (alike != alike[0]).any():
                return None
            rows += len(alike)
            ids.append(tuple(alike[0].tolist()))
    if rows < max(_FEWEST, 3 * len(ids)):
        return None
    if all(len(set(row)) == 1 and (len(row) > 1 or row[0] in (0, -1, 255)) for row in ids):
        values = listed([str(value) for value in sorted({row[0] for row in ids})])
        text = f"the {where(found, layers)} that differ hold {values} in every place: they were never written"
        return Diagnosis("unwritten", text)
    text = (
        f"the {where(found, layers)} that differ hold one and the same row throughout a prompt: they were written once"
    )
    return Diagnosis("one_row", text)


def _stale(found: Sequence[Compared]) -> Diagnosis | None:
    """Rows that differ are those of another prompt at the same positions."""
    pairs = []
    for one in found:
        if one.is_true:
            continue
        which = one.states == DIFFERENT
        if which.sum() < _FEWEST:
            return None
        other = next((other for other in found if other is not one and _holds(one, other, which)), None)
        if other is None:
            return None
        pairs.append((one.recording.name, other.recording.name))
    if not pairs:
        return None
    first, second = pairs[0]
    more = "" if len(pairs) == 1 else f", and so of {len(pairs) - 1} more"
    text = (
        f"the rows of prompt {first!r} that differ are those that prompt {second!r} has at the same positions{more}: "
        "they are stale rows of another prompt"
    )
    return Diagnosis("stale", text)


def _holds(one: Compared, other: Compared, which: NDArray[np.bool_]) -> bool:
    """Whether another prompt has, and rightly, what was recorded of these rows."""
    tokens = int(np.flatnonzero(which.any(axis=1)).max()) + 1
    if tokens > len(other.recording):
        return False
    rows = which[:tokens]
    same = (one.recording.experts[:tokens][rows] == other.recording.experts[:tokens][rows]).all()
    return bool(same and np.isin(other.states[:tokens][rows], (EQUAL, TIE)).all())


def _one_layer(found: Sequence[Compared], layers: Sequence[int]) -> Diagnosis | None:
    """All rows that differ are of one layer, most of that layer's: something else wrote it."""
    differing = np.sum([(one.states == DIFFERENT).sum(axis=0) for one in found], axis=0)
    which = np.flatnonzero(differing)
    if len(which) != 1 or len(layers) < 2:
        return None
    place = int(which[0])
    rows = sum(int(one.recording.known[:, place].sum()) for one in found)
    if differing[place] < max(_FEWEST, _WORTH * rows):
        return None
    draft = ", as a draft (MTP) layer does that writes over it" if place == 0 else ""
    cause = (
        "most of these rows are what it selects for other tokens of the prompt, so that they stand at wrong tokens"
        if _are_of_other_tokens(found, place)
        else f"the rows of layer {layers[place]} are those of another router{draft}"
    )
    text = (
        f"only layer {layers[place]} differs, in {differing[place]:,} of {rows:,} rows, and every other layer is true: "
        f"{cause}"
    )
    return Diagnosis("one_layer", text)


def _are_of_other_tokens(found: Sequence[Compared], place: int) -> bool:
    """Whether the model selects most of a layer's rows that differ for some other token of their prompt."""
    there = rows = 0
    for one in found:
        recorded, own = (codes(ids)[:, place] for ids in (one.recording.experts, one.own))
        which = one.states[:, place] == DIFFERENT
        there += int(np.isin(recorded[which], own).sum())
        rows += int(which.sum())
    return there > _OTHERS * rows


def _limited(diagnosis: Diagnosis, held: int, rows: int) -> Diagnosis:
    """Return a diagnosis that says how many rows it does not reach: another fault may be in those."""
    if held == rows:
        return diagnosis
    text = f"{diagnosis.text} that can be; {rows - held:,} of the {rows:,} rows that differ are not explained by it"
    return Diagnosis(diagnosis.name, text)


Recompare = Callable[[Sequence[Recording]], Sequence[Compared]]


def diagnose(
    found: Sequence[Compared],
    layers: Sequence[int],
    experts: Sequence[int],
    top_k: Sequence[int],
    recompare: Recompare,
) -> Diagnosis | None:
    """Return the one cause that is proven to explain every row that differs; None where there is none.

    Parameters
    ----------
    found
        All prompts.
    layers, experts, top_k
        Index, experts and k of each layer.
    recompare
        Compares recordings with the model anew.
    """
    if all(one.is_true for one in found):
        return None
    by_rows = explained(found, layers, top_k)
    if by_rows is not None and by_rows.name != "one_layer":
        return by_rows
    for candidate in candidates(found, layers, experts):
        tried = list(recompare(candidate.recordings))
        wrong = [place for place, one in enumerate(tried) if not one.is_true]
        if wrong and candidate.instead and len(wrong) < len(tried):
            again = recompare([candidate.instead[place] for place in wrong])
            for place, one in zip(wrong, again, strict=True):
                tried[place] = one
        proven = proof(found, tried)
        if proven is not None:
            return _limited(candidate.diagnosis, *proven)
    return by_rows
