"""How well the prompt phase predicts decoding: correlation of a prompt's counts with its own and with others'."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.inference.labels import group_numbers
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cohort import stream
from moexray.studies.unit_blocks import UnitBlocks, unit_blocks

_MOST_PROMPTS, _MOST_CELLS = 2000, 2**24


@dataclass(frozen=True)
class Correlation:
    """A mean of Pearson correlations over experts, and its 95 % interval over units; None where there is no pair."""

    r: float | None
    ci: Interval | None


@dataclass(frozen=True)
class PrefillDecode:
    """Correlation of a prompt's counts in the prompt phase with counts of generated tokens.

    Attributes
    ----------
    prompts
        Prompts that have tokens of both phases.
    own
        With its own generated tokens.
    same_category, other_category
        With those of another prompt, of its category and of another one; prompts of one group make no pair.
    """

    prompts: int
    own: Correlation
    same_category: Correlation
    other_category: Correlation


def prefill_decode(signatures: Signatures, *, tokens: str, seed: int) -> PrefillDecode:
    """Return the mean over prompts, or pairs of prompts, and layers of Pearson's r over experts.

    A layer whose counts do not vary over experts has no correlation, and is left out for that prompt.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens
        Which tokens: see `moexray.segments.places`.
    seed
        Of the sample, where there are many prompts.

    Raises
    ------
    NotComputable
        If no prompt has tokens of both phases.
    """
    places = signatures.places(tokens)
    phases = [
        [place for place in places if signatures.segments[place].phase == phase] for phase in ("prompt", "generated")
    ]
    lengths = [signatures.tokens[:, chosen].sum(axis=1) for chosen in phases]
    rows = np.flatnonzero((lengths[0] > 0) & (lengths[1] > 0))
    if not len(rows):
        message = "no prompt has selected tokens both in the prompt phase and generated"
        raise NotComputable(message)
    layers, width = signatures.shape[2:]
    most = max(16, min(_MOST_PROMPTS, _MOST_CELLS // (layers * width)))
    if len(rows) > most:
        rows = np.sort(stream(seed, "batch.correlation").choice(rows, most, replace=False))
    some = signatures.take(rows)
    counts = [some.counts[:, chosen].sum(axis=1, dtype=np.float64) for chosen in phases]
    sums, pairs = np.zeros((2, len(rows), len(rows)))
    for layer, experts in enumerate(some.experts.tolist()):
        before, after = (_standardised(one[:, layer, :experts]) for one in counts)
        sums += before @ after.T
        pairs += np.outer(before.any(axis=1), after.any(axis=1))
    labels, groups = np.array(some.prompts.categories), some.prompts.groups
    units = unit_blocks(some.prompts.categories, groups)
    itself = np.eye(len(rows), dtype=bool)
    numbers = group_numbers(len(rows), groups)
    apart = numbers[:, None] != numbers
    alike = labels[:, None] == labels
    return PrefillDecode(
        len(rows), *(_mean(sums, pairs, one, units) for one in (itself, apart & alike, apart & ~alike))
    )


def _standardised(counts: NDArray[np.float64]) -> NDArray[np.float64]:  # (prompts, experts)
    """Return counts minus their mean, of length one; zeros where they do not vary."""
    centred = counts - counts.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    varies = lengths > 1e-9 * counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(centred, lengths, out=np.zeros_like(centred), where=varies))


def _mean(
    sums: NDArray[np.float64], pairs: NDArray[np.float64], which: NDArray[np.bool_], units: UnitBlocks
) -> Correlation:
    """Return the mean over some pairs of prompts; without a block are the pairs of which neither is in it."""
    member = (units.blocks[:, None] == np.arange(len(units))).astype(np.float64)

    def totals(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        of_blocks = member.T @ np.where(which, values, 0) @ member
        total = float(of_blocks.sum())
        return total, total - of_blocks.sum(axis=0) - of_blocks.sum(axis=1) + np.diag(of_blocks)

    (total, without), (number, number_without) = totals(sums), totals(pairs)
    if not number:
        return Correlation(None, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = without / number_without
    return Correlation(total / number, units.interval(total / number, left_out, bounds=(-1.0, 1.0)))
