"""The tokens of the prompts under study, and which experts their ids were sent to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.routed_tokens import RoutedTokens
from moexray.segments import WORDLESS, places
from moexray.stats.tokens.sums import TokenRows, selections, token_rows
from moexray.studies.cohort import Cohort
from moexray.trace import Trace


@dataclass(frozen=True)
class Tokens:
    """The selected tokens of a cohort.

    Attributes
    ----------
    routed, before
        The tokens, with prompts numbered as in the cohort, and the id of the token before each, −1 for none or a
        placeholder of an image.
    labels, groups
        The category and the group of each prompt.
    layers, width, top_k
        Index of each layer, experts of the widest, and experts that a token selects in each layer.
    rows, by_layer
        A row for each token id and prompt, and for each layer its selections ``(rows, experts)``.
    """

    routed: RoutedTokens
    before: NDArray[np.int64]
    labels: Sequence[str]
    groups: Sequence[str] | None
    layers: Sequence[int]
    width: int
    top_k: Sequence[int]
    rows: TokenRows
    by_layer: list[NDArray[np.float64]]


def tokens_of(cohort: Cohort, trace: Trace) -> Tokens:
    """Read the tokens of the prompts that a cohort holds in memory."""
    place_of, prompts = trace.signatures.prompts.place_of(), cohort.signatures.prompts
    every = trace.tokens(np.array([place_of[name] for name in prompts.ids]))
    wordless = np.array([one.kind in WORDLESS for one in every.segment_names])[every.segments]
    # What stands after an image stands after its last placeholder, which is the same after every image.
    before = np.where((every.positions > 0) & ~np.roll(wordless, 1), np.roll(every.token_ids, 1), -1)
    selected = np.isin(every.segments, places(cohort.tokens, every.segment_names))
    routed = every.take(selected)
    rows = token_rows(routed.token_ids, routed.prompts)
    return Tokens(
        routed=routed,
        before=before[selected],
        labels=prompts.categories,
        groups=prompts.groups,
        layers=cohort.layers,
        width=trace.width,
        top_k=trace.signatures.top_k.tolist(),
        rows=rows,
        by_layer=[selections(rows, chosen, trace.width) for chosen in routed.experts.swapaxes(0, 1)],
    )
