"""Coverage: which experts a set of prompts reaches seldom, how much the most used take, and how stable rankings are."""

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.inference.intervals import clipped
from moexray.stats.workloads.coverage import (
    below_in_subsets,
    expected_below,
    expected_below_in_prompts,
    most_used,
)
from moexray.studies.coverage_counts import CoverageCounts, coverage_counts
from moexray.studies.coverage_report import Coverage, FewerPrompts, LayerCoverage, MostUsed, Rare
from moexray.studies.notes import Notes
from moexray.studies.rankings import stability
from moexray.studies.unit_blocks import TOO_FEW

BELOW = 10
# More tokens or prompts than any signatures count.
_MOST_BELOW = 10**12


def study_coverage(signatures: Signatures, *, below: int = BELOW, tokens: str = "all", seed: int = 0) -> Coverage:
    """Return which experts a set of prompts reaches seldom, and how stable their ranking is; see docs/coverage.md.

    Parameters
    ----------
    signatures
        What was recorded; read some prompts at a time.
    below
        An expert is reached seldom that fewer tokens, or fewer prompts, than this select.
    tokens
        Which tokens: see `moexray.segments.places`.
    seed
        Of splits in halves.

    Raises
    ------
    AnalysisError
        If `below` is not positive or too large, or no prompt has a selected token.
    """
    if not 1 <= below <= _MOST_BELOW:
        message = (
            f"`below` is {below}: the least is 1, which stands for experts that are never reached, and the most is "
            f"{_MOST_BELOW:,}"
        )
        raise AnalysisError(message)
    counts = coverage_counts(signatures, tokens=tokens, seed=seed)
    if not len(counts.lengths):
        message = f"no prompt has a token among `tokens`={tokens!r}: name others"
        raise AnalysisError(message)
    notes = Notes()
    layers = _layers(counts, signatures, below, notes)
    ranked = notes.attempt("stability", lambda: stability(counts, signatures, seed=seed))
    if ranked is not None and ranked[1] is not None:
        notes.add("stability.same_category", ranked[1])
    if not counts.units.can_be_left_out:
        notes.add("ci", TOO_FEW)
    model = signatures.meta.get("model")
    return Coverage(
        model=None if model is None else str(model),
        prompts=len(counts.lengths),
        units=counts.units.units,
        tokens=tokens,
        selected_tokens=int(counts.lengths.sum()),
        below=below,
        experts=int(signatures.experts.sum()),
        never=sum(one.never for one in layers),
        by_tokens=_summed([one.tokens for one in layers]),
        by_prompts=_summed([one.prompts for one in layers]),
        layers=layers,
        fewer_prompts=_fewer(counts, signatures, below),
        most_used=notes.attempt("most_used", lambda: _most_used(counts, signatures)),
        stability=None if ranked is None else ranked[0],
        seed=seed,
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


def _layers(counts: CoverageCounts, signatures: Signatures, below: int, notes: Notes) -> tuple[LayerCoverage, ...]:
    tokens, total, found = int(counts.lengths.sum()), counts.total, []
    exists = np.arange(total.shape[1]) < signatures.experts[:, None]
    shares, even = total / tokens, total.sum(axis=1) / tokens / signatures.experts
    by_prompts = notes.attempt(
        "layers.prompts",
        lambda: expected_below_in_prompts(np.append(shares[exists], even), counts.lengths, below),
    )
    layer_of = np.append(np.nonzero(exists)[0], np.arange(len(even)))
    facts = zip(signatures.layers.tolist(), signatures.experts.tolist(), signatures.top_k.tolist(), strict=True)
    for place, (layer, experts, top_k) in enumerate(facts):
        selected, reaching = total[place, :experts], counts.reaching[place, :experts]
        of_layer = None if by_prompts is None else by_prompts[layer_of == place]
        found.append(
            LayerCoverage(
                layer=layer,
                experts=experts,
                top_k=top_k,
                never=int((selected == 0).sum()),
                tokens=Rare(
                    found=int((selected < below).sum()),
                    load_matched=float(expected_below(shares[place, :experts], tokens, below).sum()),
                    uniform=experts * float(expected_below(even[place], tokens, below)),
                ),
                prompts=Rare(
                    found=int((reaching < below).sum()),
                    load_matched=None if of_layer is None else float(of_layer[:-1].sum()),
                    uniform=None if of_layer is None else experts * float(of_layer[-1]),
                ),
            )
        )
    return tuple(found)


def _summed(parts: list[Rare]) -> Rare:
    def total(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Rare(
        found=sum(one.found for one in parts),
        load_matched=total([one.load_matched for one in parts]),
        uniform=total([one.uniform for one in parts]),
    )


def _powers(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … up to a number, and the number."""
    return tuple(sorted({*(2**power for power in range(most.bit_length())), most}))


def _fewer(counts: CoverageCounts, signatures: Signatures, below: int) -> FewerPrompts:
    number = len(counts.lengths)
    exists = np.arange(counts.reaching.shape[1]) < signatures.experts[:, None]
    sizes = _powers(number)
    return FewerPrompts(
        sizes, tuple(float(below_in_subsets(counts.reaching[exists], number, size, below).sum()) for size in sizes)
    )


def _most_used(counts: CoverageCounts, signatures: Signatures) -> MostUsed:
    halves = counts.halves
    if halves is None:
        message = "there is one prompt or group only, so there is no half to choose experts by"
        raise NotComputable(message)
    numbers = _powers(int(signatures.experts.max()))
    scored = counts.scored.sum(axis=0)
    if not counts.learnt.sum(axis=1).all() or not scored.sum(axis=1).all():
        message = "a layer has no selection in one half of the prompts"
        raise NotComputable(message)
    share, ci, same = [], [], []
    exists = np.arange(counts.learnt.shape[1]) < signatures.experts[:, None]
    ranked = np.where(exists, counts.learnt, -1)
    for number in numbers:
        sizes = np.minimum(number, signatures.experts).tolist()
        chosen = np.stack([most_used(one, size) for one, size in zip(ranked, sizes, strict=True)])

        def of(sums: NDArray[np.number], chosen: NDArray[np.float64] = chosen) -> float:
            with np.errstate(invalid="ignore"):  # not a number where a layer has no selection without some block
                return float(((chosen * sums).sum(axis=1) / sums.sum(axis=1)).mean())

        share.append(of(scored))
        same.append(of(counts.learnt))
        ci.append(clipped(halves.interval(of, counts.scored.astype(np.float64)), (0.0, 1.0)))
    return MostUsed(
        numbers=numbers,
        share=tuple(share),
        ci=tuple(ci),
        same_prompts=tuple(same),
        even=tuple(float(np.minimum(number / signatures.experts, 1).mean()) for number in numbers),
    )
