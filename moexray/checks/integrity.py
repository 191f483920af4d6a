"""Whether recorded rows can be those of a router at all: no model is needed for it.

A router sends a token to k different experts of those that its layer has. Rows that were never written break this:
they hold one number k times, most often 0 (the buffers of vLLM and SGLang begin so), −1 or 255 (−1 as an unsigned
byte). Prompt rows and generated rows take different paths in servers, so faults are counted by phase and by layer.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moexray.checks.recording import PHASES
from moexray.checks.rows import ABSENT, KINDS, ROW_KINDS, Rows, kinds_of_rows

# Rows of a prompt that are one and the same in all layers are no accident from this number on, nor if they are of so
# many tokens.
_FEW, _DISTINCT = 8, 3
_MOST_SHOWN = 8


@dataclass(frozen=True)
class Fault:
    """Rows that no router makes, of one kind.

    Attributes
    ----------
    kind
        A key of `KINDS`.
    phase
        ``prompt``, ``generated`` or ``mixed``; None where it is of no phase.
    layers
        The layers that have it.
    rows, of
        How many rows have it, and how many there are of that phase in those layers.
    first
        The first of them, in words.
    """

    kind: str
    phase: str | None
    layers: tuple[int, ...]
    rows: int
    of: int
    first: str


@dataclass(frozen=True)
class Integrity:
    """What was looked at without a model, and what is wrong with it.

    Attributes
    ----------
    prompts, tokens, rows
        Prompts, tokens, and rows (a token in a layer) that were read.
    has_rows
        Whether rows were to be had: not of counts alone.
    faults
        What is wrong.
    """

    prompts: int
    tokens: int
    rows: int
    has_rows: bool
    faults: tuple[Fault, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass
class Inspector:
    """Adds up what is wrong with rows that come some prompts at a time.

    Parameters
    ----------
    layers, experts, top_k
        Index, experts and k of each layer of the layout.
    may_drop
        Whether the router may select fewer than k.
    """

    layers: Sequence[int]
    experts: Sequence[int]
    top_k: Sequence[int]
    may_drop: bool = False
    prompts: int = 0
    tokens: int = 0
    rows: int = 0
    _found: dict[tuple[str, int], NDArray[np.int64]] = field(default_factory=dict)
    _first: dict[tuple[str, int], str] = field(default_factory=dict)
    _of: dict[int, NDArray[np.int64]] = field(default_factory=lambda: defaultdict(lambda: np.zeros(0, np.int64)))
    _other: dict[str, Fault] = field(default_factory=dict)

    def add(self, rows: Rows, tokens: NDArray[np.integer] | None = None) -> None:
        """Look at rows of whole prompts.

        Parameters
        ----------
        rows
            The rows.
        tokens
            How many tokens of each phase each prompt has ``(prompts, phases)``; by default as many as there are rows
            of its first layer.
        """
        self.rows += len(rows.layers)
        self._unknown_layers(rows)
        known = rows.layers >= 0
        number = len(self.layers)
        cells = (rows.prompts * len(PHASES) + rows.phases) * number + rows.layers
        there = np.bincount(cells[known], minlength=len(rows.names) * len(PHASES) * number)
        there = there.reshape(len(rows.names), len(PHASES), number)
        expected = there.max(axis=2) if tokens is None else np.asarray(tokens)
        self.prompts += len(rows.names)
        self.tokens += int(expected.sum())
        for phase in range(len(PHASES)):
            self._of[phase] = self._cells(self._of.get(phase)) + there[:, phase].sum(axis=0)
        self._other_numbers(rows, there, expected)
        self._wrong_rows(rows, known)
        self._constant(rows, known)

    def refuse(self, sentence: str) -> None:
        """Note what the reader of the file refused, unless another fault says it."""
        self._other.setdefault("refused", Fault("refused", None, (), 0, 0, sentence))

    def result(self, *, has_rows: bool = True) -> Integrity:
        """Return what was found; what was refused only stands where nothing else explains it."""
        faults = []
        for (kind, phase), counts in sorted(
            self._found.items(), key=lambda one: (list(KINDS).index(one[0][0]), one[0])
        ):
            which = np.flatnonzero(counts)
            of = int(self._of[phase][which].sum())
            layers = tuple(self.layers[place] for place in which.tolist())
            faults.append(Fault(kind, PHASES[phase], layers, int(counts.sum()), of, self._first[kind, phase]))
        for kind, fault in self._other.items():
            if kind != "refused" or not faults:
                faults.append(fault)
        return Integrity(self.prompts, self.tokens, self.rows, has_rows, tuple(faults))

    def _cells(self, counts: NDArray[np.int64] | None) -> NDArray[np.int64]:
        return np.zeros(len(self.layers), dtype=np.int64) if counts is None else counts

    def _note(self, kind: str, phase: int, counts: NDArray[np.int64], first: str) -> None:
        self._found[kind, phase] = self._cells(self._found.get((kind, phase))) + counts
        self._first.setdefault((kind, phase), first)

    def _unknown_layers(self, rows: Rows) -> None:
        unknown = np.flatnonzero(rows.layers < 0)
        if len(unknown):
            name = rows.names[rows.prompts[unknown[0]]]
            said = f"prompt {name!r}: a row of a layer that is not among {', '.join(map(str, self.layers))}"
            before = self._other.get("layer")
            self._other["layer"] = Fault(
                "layer",
                None,
                (),
                len(unknown) + (before.rows if before else 0),
                self.rows,
                before.first if before else said,
            )

    def _other_numbers(self, rows: Rows, there: NDArray[np.int64], expected: NDArray[np.integer]) -> None:
        """Note where a layer has more or fewer rows of a prompt than the prompt has tokens of that phase."""
        for phase, name in enumerate(PHASES):
            off = there[:, phase] - expected[:, phase, None]  # (prompts, layers)
            if off.any():
                prompt, layer = np.argwhere(off)[0]
                first = (
                    f"prompt {rows.names[prompt]!r}, layer {self.layers[layer]}: "
                    f"{there[prompt, phase, layer]} rows for {expected[prompt, phase]} {name} tokens"
                )
                self._note("rows", phase, np.abs(off).sum(axis=0), first)

    def _wrong_rows(self, rows: Rows, known: NDArray[np.bool_]) -> None:
        places = np.flatnonzero(known)
        of_layer = rows.layers[places]
        k, experts = np.asarray(self.top_k)[of_layer], np.asarray(self.experts)[of_layer]
        kinds = kinds_of_rows(rows.ids[places], k, experts, may_drop=self.may_drop)
        for kind, name in enumerate(ROW_KINDS):
            for phase in range(len(PHASES)):
                which = places[(kinds == kind) & (rows.phases[places] == phase)]
                if len(which):
                    counts = np.bincount(rows.layers[which], minlength=len(self.layers))
                    self._note(name, phase, counts, self._place(rows, int(which[0])))

    def _constant(self, rows: Rows, known: NDArray[np.bool_]) -> None:
        """Note prompts whose generated rows are all one in every layer, though tokens and the prompt's rows are not.

        In one layer alone, or in a few tokens, that may be so; what sends every token to the same experts, as an
        untrained router does, is no fault either.
        """
        generated = np.flatnonzero(known & (rows.phases == PHASES.index("generated")))
        number = len(self.layers)
        groups = rows.prompts * number + rows.layers
        order = generated[np.argsort(groups[generated], kind="stable")]
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        if not len(starts) or min(self.top_k) < 2:
            return
        sizes = np.diff([*starts, len(order)])
        first = np.repeat(order[starts], sizes)
        same = np.logical_and.reduceat((rows.ids[order] == rows.ids[first]).all(axis=1), starts)
        of_prompt = rows.prompts[order[starts]]
        alike = np.bincount(of_prompt[same & (sizes >= _FEW)], minlength=len(rows.names))
        for prompt in np.flatnonzero(alike == number):
            mine = known & (rows.prompts == prompt)
            written = mine & (rows.phases == PHASES.index("generated"))
            others = mine & ~written
            if len(np.unique(rows.token_ids[written])) < _DISTINCT or self._is_collapsed(rows, written, others):
                continue
            counts = np.bincount(rows.layers[written], minlength=number)
            self._note("constant", PHASES.index("generated"), counts, self._place(rows, int(np.argmax(written))))

    def _is_collapsed(self, rows: Rows, written: NDArray[np.bool_], others: NDArray[np.bool_]) -> bool:
        """Whether other rows are those that were written as well, or these are no router's in the first place."""
        first = {int(rows.layers[row]): rows.ids[row] for row in np.flatnonzero(written)[::-1]}
        held = np.stack([first[place] for place in range(len(self.layers))])
        kinds = kinds_of_rows(held, np.asarray(self.top_k), np.asarray(self.experts), may_drop=self.may_drop)
        same = bool(others.any()) and bool((rows.ids[others] == held[rows.layers[others]]).all())
        return same or bool((kinds >= 0).any())

    def _place(self, rows: Rows, row: int) -> str:
        ids = rows.ids[row][rows.ids[row] != ABSENT].tolist()
        shown = ", ".join(map(str, ids[:_MOST_SHOWN])) + (", …" if len(ids) > _MOST_SHOWN else "")
        return (
            f"prompt {rows.names[rows.prompts[row]]!r}, token {rows.positions[row]} "
            f"({PHASES[rows.phases[row]]}), layer {self.layers[rows.layers[row]]}: {shown or 'no expert'}"
        )
