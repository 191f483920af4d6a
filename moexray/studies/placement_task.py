"""The prompts of a study of placements: their halves, what the one teaches, and what the other is scored on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.formats import token_text
from moexray.signatures import Signatures
from moexray.stats.inference.labels import numbered_categories
from moexray.stats.workloads.batch_loads import Batches, drawn_batches
from moexray.stats.workloads.home_devices import homes_of
from moexray.stats.workloads.slots import Slots
from moexray.stats.workloads.token_traffic import Homes
from moexray.studies.halves import Halves, halves_of
from moexray.studies.notes import Notes
from moexray.studies.placement_layout import DeviceLayout
from moexray.studies.placement_learning import Learnt, drifting_placements, loads_by, pairs_by
from moexray.studies.placement_measures import Cells
from moexray.studies.placement_parts import TokenParts
from moexray.studies.placement_scoring import Scored, WantedTokens, score
from moexray.studies.trace_blocks import TraceBlocks
from moexray.trace import Trace

BATCHES = 1000
# Categories that are held apart, and the memory of their co-activation.
_MOST_CATEGORIES, _MOST_PAIR_BYTES = 16, 2**28
# Tokens that random placements are scored on.
SAMPLE = 5000


@dataclass(frozen=True)
class Task:
    """The prompts that have a token, in two halves.

    Attributes
    ----------
    signatures, layout, tokens, seed
        What is studied.
    blocks
        The trace; None without one.
    rows
        Place of each prompt that has a token among all.
    names
        The categories that are held apart; empty where there are too many.
    halves
        Of these prompts.
    learnt
        What the first half teaches, for each category held apart.
    cells
        The cells of the second half.
    parts, loads_by_part
        The parts of the tokens that are scored apart, and their loads ``(cells, parts, layers, experts)``.
    """

    signatures: Signatures
    layout: DeviceLayout
    tokens: str
    seed: int
    blocks: TraceBlocks | None
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    halves: Halves
    learnt: Learnt
    cells: Cells
    parts: TokenParts
    loads_by_part: NDArray[np.int64]

    @staticmethod
    def of(
        signatures: Signatures, trace: Trace | None, layout: DeviceLayout, *, tokens: str, seed: int, notes: Notes
    ) -> "Task":
        """Split the prompts, and sum what both halves select."""
        rows = np.flatnonzero(signatures.has_tokens(tokens))
        if not len(rows):
            message = f"no prompt has any {token_text(tokens)}: there is nothing to place experts by"
            raise AnalysisError(message)
        groups = signatures.prompts.groups
        labels = [signatures.prompts.categories[row] for row in rows.tolist()]
        halves = halves_of(labels, None if groups is None else [groups[row] for row in rows.tolist()], seed)
        names, categories = numbered_categories(labels)
        if len(names) > _MOST_CATEGORIES:
            notes.add("drift", f"there are {len(names):,} categories: at most {_MOST_CATEGORIES} are held apart")
            names, categories = [], np.zeros_like(categories)
        elif len(names) < 2:
            notes.add("drift", "there is one category only")
        kinds = np.full(len(signatures), -1)
        kinds[rows[halves.learnt]] = categories[halves.learnt]
        number = max(1, len(names))
        cells = Cells.of(halves, rows, categories, len(signatures))
        blocks = None if trace is None else TraceBlocks(trace)
        of_prompt = np.where(cells.of_prompt >= 0, cells.of_prompt + number, kinds)
        parts = TokenParts.of(signatures, tokens)
        loads = loads_by(signatures, parts.names, of_prompt, number + len(cells))
        learnt = Learnt(loads[:number].sum(axis=1), None, _of_kinds(loads[:number].sum(axis=0), parts))
        if blocks is not None:
            learnt = replace(learnt, pairs=_pairs(blocks, tokens, kinds, number, notes))
        if cells.too_few:
            notes.add(
                "ci",
                "no intervals: a category has fewer than three units (prompts or groups) to score, or fewer than three "
                "groups hold several categories",
            )
        return Task(
            signatures=signatures,
            layout=layout,
            tokens=tokens,
            seed=seed,
            blocks=blocks,
            rows=rows,
            names=tuple(names),
            halves=halves,
            learnt=learnt,
            cells=cells,
            parts=parts,
            loads_by_part=loads[number:],
        )

    @cached_property
    def loads(self) -> NDArray[np.int64]:  # (cells, layers, experts)
        """Loads of all parts together."""
        return np.asarray(self.loads_by_part.sum(axis=1))

    def drifting(self) -> list[tuple[str, str, Slots]]:
        """Return the category that teaches, the name and the slots of placements learnt on one category."""
        if len(self.names) < 2:
            return []
        return [
            (name, placement, slots)
            for kind, name in enumerate(self.names)
            if self.learnt.loads[kind].any()
            for placement, slots in drifting_placements(self.learnt.of(kind), self.layout).items()
        ]

    @property
    def lengths(self) -> NDArray[np.int64]:  # (scored,)
        """Tokens of each scored prompt."""
        return np.asarray(self.signatures.lengths(self.tokens)[self.rows[self.halves.scored]])

    def batches(self, size: int) -> Batches:
        """Draw batches of scored prompts; NotComputable where there are too few."""
        return drawn_batches(self.lengths, size, number=BATCHES, rng=np.random.default_rng([self.seed, 2]))

    def homes(self, placements: Sequence[Slots]) -> Homes | None:
        """Return the home of each kind of tokens under each placement, by what the first half selects."""
        loads = self.learnt.of_tokens
        if loads is None:
            return None
        return Homes(self.parts.kind_of, np.stack([homes_of(loads, one.shares) for one in placements], axis=1))

    def score(self, placements: Sequence[Slots], batches: Batches | None) -> Scored | None:
        """Read the trace once more: traffic of placements, a sample of tokens, and those of batches."""
        if self.blocks is None:
            return None
        scored = self.rows[self.halves.scored]
        wanted = [self._sample(scored)] + ([] if batches is None else [WantedTokens.of(batches, scored)])
        return score(
            self.blocks,
            self.tokens,
            cells=self.cells.of_prompt,
            number=len(self.cells),
            placements=placements,
            nodes=self.layout.nodes,
            wanted=wanted,
            parts=self.parts,
            homes=self.homes(placements),
        )

    def _sample(self, scored: NDArray[np.int64]) -> WantedTokens:
        """Return all tokens of the scored prompts, or as many as `SAMPLE` drawn at random."""
        ends = np.cumsum(self.lengths)
        some = np.arange(int(ends[-1]))
        if len(some) > SAMPLE:
            some = np.sort(np.random.default_rng([self.seed, 3]).choice(len(some), SAMPLE, replace=False))
        prompt = np.searchsorted(ends, some, side="right")
        return WantedTokens(scored[prompt], some - (ends - self.lengths)[prompt])


def _of_kinds(loads: NDArray[np.int64], parts: TokenParts) -> NDArray[np.int64] | None:
    """Return the loads of each kind of tokens, from those of each part; None where there is one kind."""
    if not parts.kinds:
        return None
    return np.stack([loads[parts.kind_of == kind].sum(axis=0) for kind in range(len(parts.kinds))])


def _pairs(
    blocks: TraceBlocks, tokens: str, kinds: NDArray[np.int64], number: int, notes: Notes
) -> NDArray[np.float64]:
    """Count pairs for each category, or for all together where they would take too much memory."""
    _, _, layers, experts = blocks.signatures.shape
    if number > 1 and number * layers * experts**2 * 8 > _MOST_PAIR_BYTES:
        notes.add("drift", "co-activation of each category would take too much memory: only EPLB is learnt on one")
        number, kinds = 1, np.minimum(kinds, 0)
    return pairs_by(blocks, tokens, kinds, number)
