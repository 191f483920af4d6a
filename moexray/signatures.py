"""Signatures: how often each prompt selected each expert, by segment of its tokens and by layer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from moexray import signatures_file
from moexray.conservation import check_conservation, check_mass, check_shapes
from moexray.counts import CountArray, Counts, MassArray, Rows, frozen, summed
from moexray.errors import SignaturesError
from moexray.prompt_table import PromptTable, places_of
from moexray.segments import PLAIN, Segment, places
from moexray.stored_members import StoredFile

if TYPE_CHECKING:
    import pandas
    import xarray

# What a signature consists of: shares of selections, or of the gate weights that they came with.
Weighting = Literal["counts", "mass"]
WEIGHTINGS: tuple[Weighting, ...] = ("counts", "mass")
# Up to here all counts are held in memory without a second thought.
MOST_IN_MEMORY = 5000


class Signatures:
    """The routing of a set of prompts, counted. It checks itself when made and never changes.

    Signatures of a file (`open`) hold all but counts, gate mass, texts, outputs and further columns in memory. They
    read counts when `counts` is asked for, and `blocks` streams them. Otherwise they are as those in memory.

    Parameters
    ----------
    counts
        Unsigned integers ``(prompts, segments, layers, experts)``: how often a layer selected an expert for a token
        of the prompt in that segment.
    tokens
        int32 ``(prompts, segments)``: routed tokens behind those counts.
    prompts
        Ids, categories, groups, texts, outputs and further columns, one row a prompt.
    layers
        int16 ``(layers,)``: index of each MoE layer in the model.
    top_k
        int16 ``(layers,)``: selections a token.
    experts
        int16 ``(layers,)``: how many experts each layer has, by default as many as `counts` is wide. Counts of
        experts that a layer does not have are zero.
    segments
        The segments of the tokens, by default those of a capture of texts.
    meta
        What was run and how, as JSON values. ``meta["router_may_drop"]`` is true for a router that may drop a token
        or select fewer than k experts.
    mass
        float32, shaped as `counts`: the sum of the gate weights of those selections; None where none were recorded.

    Raises
    ------
    SignaturesError
        If the parts do not fit together, or the counts of a layer are not tokens times k.
    """

    def __init__(
        self,
        *,
        counts: CountArray | Rows,
        tokens: NDArray[np.int32],
        prompts: PromptTable,
        layers: NDArray[np.int16],
        top_k: NDArray[np.int16],
        experts: NDArray[np.int16] | None = None,
        segments: tuple[Segment, ...] = PLAIN,
        meta: Mapping[str, Any] | None = None,
        mass: MassArray | Rows | None = None,
    ) -> None:
        self._file: StoredFile | None = None
        self._is_checked = False
        self.prompts, self.segments = prompts, tuple(segments)
        self.meta: Mapping[str, Any] = dict(meta or {})
        self.tokens, self.layers, self.top_k = frozen(tokens), frozen(layers), frozen(top_k)
        every = np.full(counts.shape[2:3], counts.shape[-1] if counts.shape else 0, dtype=np.int16)
        self.experts = frozen(every if experts is None else experts)
        check_shapes(self, counts, mass)
        self._counts = Counts(counts, mass)
        if isinstance(counts, np.ndarray):
            self._read()

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        _, _, layers, experts = self.shape
        return f"Signatures({len(self)} prompts, {layers} layers, {experts} experts, model {self.meta.get('model')!r})"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Prompts, segments, layers, experts of the widest layer; nothing is read for it."""
        prompts, segments, layers, experts = self._counts.shape
        return prompts, segments, layers, experts

    @property
    def counts(self) -> CountArray:  # (prompts, segments, layers, experts)
        """Selections of each expert; those of a file are read and checked when they are first asked for."""
        return self._read()[0]

    @property
    def mass(self) -> MassArray | None:  # (prompts, segments, layers, experts)
        """Gate weights of the selections, summed; None where none were recorded."""
        return None if self._counts.mass is None else self._read()[1]

    @property
    def has_mass(self) -> bool:
        """Whether gate mass was recorded."""
        return self._counts.mass is not None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the counts; nothing is read for it."""
        return self._counts.counts.dtype

    @property
    def file(self) -> Path | None:
        """The file that they were opened from; None for signatures that were made in memory."""
        return None if self._file is None else self._file.path

    @property
    def in_memory(self) -> bool:
        """Whether the counts are in memory."""
        return self._counts.in_memory

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything that `save` writes; two signatures with the same one hold the same."""
        if self._file is not None and (found := signatures_file.fingerprint_of_file(self._file)) is not None:
            return found
        return signatures_file.fingerprint(lambda: [self], prompts=len(self), largest=int(self.counts.max(initial=0)))

    def places(self, tokens: str = "all") -> tuple[int, ...]:
        """Return the places of the segments that a selector names; see `moexray.segments.places`."""
        return places(tokens, self.segments)

    def lengths(self, tokens: str = "all") -> NDArray[np.int64]:  # (prompts,)
        """Return how many routed tokens each prompt has in the segments that `tokens` names."""
        return summed(self.tokens, self.places(tokens))

    def has_tokens(self, tokens: str = "all") -> NDArray[np.bool_]:  # (prompts,)
        """Return which prompts have a routed token in the segments that `tokens` names, and so a signature.

        A prompt whose every selection the router dropped has none.
        """
        there = np.asarray(self.lengths(tokens) > 0)
        if self.meta.get("router_may_drop"):
            there &= np.concatenate([block.loads(tokens).any(axis=(1, 2)) for block in self.blocks()])
        return there

    def loads(self, tokens: str = "all") -> NDArray[np.int64]:  # (prompts, layers, experts)
        """Return the counts of the segments that `tokens` names, added up."""
        return summed(self.counts, self.places(tokens))

    def masses(self, tokens: str = "all") -> NDArray[np.float64]:  # (prompts, layers, experts)
        """Return the gate mass of the segments that `tokens` names, added up.

        Raises
        ------
        SignaturesError
            If none was recorded.
        """
        check_weighting("mass", has_mass=self.has_mass)
        assert self.mass is not None
        return summed(self.mass, self.places(tokens))

    def vectors(
        self, tokens: str = "all", *, weighting: Weighting = "counts"
    ) -> NDArray[np.float64]:  # (prompts, layers * experts)
        """Return signatures: within each layer, the share of the prompt's selections that each expert got.

        Every layer of a row sums to one, so that prompts of different length compare. The row of a prompt without a
        token in the selection is zero: see `has_tokens`.

        Parameters
        ----------
        tokens
            Which tokens: ``all``, a phase, a kind, or both; see `moexray.segments.places`.
        weighting
            ``counts``: an expert's share of the selections; ``mass``: its share of their gate weights.

        Raises
        ------
        SignaturesError
            If mass is asked for and none was recorded.
        """
        check_weighting(weighting, has_mass=self.has_mass)
        loads = self.masses(tokens) if weighting == "mass" else self.loads(tokens).astype(np.float64)
        sums = loads.sum(axis=2, keepdims=True)
        shares = np.divide(loads, sums, out=np.zeros_like(loads), where=sums > 0)
        return np.asarray(shares.reshape(len(self), loads.shape[1] * loads.shape[2]))

    def replace(self, **changes: Any) -> "Signatures":
        """Return signatures with other parts, or other columns of the prompt table, in the place of those named."""
        columns = {one.name for one in fields(PromptTable)}
        of_prompts = {name: changes.pop(name) for name in columns & changes.keys()}
        parts = {
            "counts": self.counts,
            "tokens": self.tokens,
            "prompts": replace(self.prompts, **of_prompts),
            "layers": self.layers,
            "top_k": self.top_k,
            "experts": self.experts if changes.get("counts", self._counts.counts).shape[3:] == self.shape[3:] else None,
            "segments": self.segments,
            "meta": self.meta,
            "mass": self.mass,
        }
        return Signatures(**{**parts, **changes})

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Signatures":
        """Return the prompts at these places, in the order given."""
        chosen = places_of(rows, len(self))
        with self._naming():
            return self._of(self.prompts.take(chosen), self.tokens[chosen], *self._counts.take(chosen))

    def blocks(self, size: int | None = None) -> Iterator["Signatures"]:
        """Yield the prompts in order, some thousands at a time, with their ids, categories and groups.

        Parameters
        ----------
        size
            Prompts in a block; by default as many as make some tens of megabytes.
        """
        prompts, start = self.prompts.bare(), 0
        for counts, mass in self._counts.blocks(size):
            rows = range(start, start + len(counts))
            with self._naming():
                yield self._of(prompts.take(rows), self.tokens[rows], counts, mass)
            start += len(counts)

    def save(self, path: str | Path) -> None:
        """Write the file of docs/signatures.md; the same signatures give the same bytes."""
        save_blocks(lambda: [self], path, prompts=len(self), largest=int(self.counts.max(initial=0)))

    @staticmethod
    def open(path: str | Path) -> "Signatures":
        """Open a file that `save` wrote, without reading counts, gate mass, texts, outputs and further columns.

        Raises
        ------
        SignaturesError
            If the file is missing, damaged, foreign or of a newer schema, or its parts do not fit together.
        """
        path = Path(path)
        parts = signatures_file.read(path)
        with signatures_file.naming(path):
            found = Signatures(
                counts=parts.counts,
                tokens=parts.tokens,
                prompts=parts.prompts,
                layers=parts.layers,
                top_k=parts.top_k,
                experts=parts.experts,
                segments=parts.segments,
                meta=parts.meta,
                mass=parts.mass,
            )
        found._file = parts.file
        return found

    @staticmethod
    def load(path: str | Path) -> "Signatures":
        """Open a file that `save` wrote, and read its counts and gate mass."""
        found = Signatures.open(path)
        found._read()
        return found

    def to_frame(self) -> "pandas.DataFrame":
        """Return a pandas data frame with a row for each prompt, segment, layer and expert.

        Raises
        ------
        MissingExtra
            If pandas is not installed.
        """
        from moexray.frames import signatures_frame

        return signatures_frame(self)

    def to_xarray(self) -> "xarray.Dataset":
        """Return an xarray dataset with the dimensions prompt, segment, layer and expert.

        Raises
        ------
        MissingExtra
            If xarray is not installed.
        """
        from moexray.frames import signatures_dataset

        return signatures_dataset(self)

    def _read(self) -> tuple[CountArray, MassArray | None]:
        """Return counts and gate mass; those of a file are checked and kept."""
        counts, mass = self._counts.counts, self._counts.mass
        if self._is_checked:
            assert isinstance(counts, np.ndarray)
            assert mass is None or isinstance(mass, np.ndarray)
            return counts, mass
        counts, mass = self._counts.read()
        with self._naming():
            check_conservation(self, counts)
            if mass is not None:
                check_mass(counts, mass)
        counts, mass = frozen(counts), None if mass is None else frozen(mass)
        self._counts, self._is_checked = Counts(counts, mass), True
        return counts, mass

    def _of(
        self,
        prompts: PromptTable,
        tokens: NDArray[np.int32],
        counts: CountArray,
        mass: MassArray | None,
    ) -> "Signatures":
        """Return signatures of other prompts by the same routers."""
        return Signatures(
            counts=counts,
            tokens=tokens,
            prompts=prompts,
            layers=self.layers,
            top_k=self.top_k,
            experts=self.experts,
            segments=self.segments,
            meta=self.meta,
            mass=mass,
        )

    def _naming(self) -> AbstractContextManager[None]:
        return nullcontext() if self._file is None else signatures_file.naming(self._file.path)


def save_blocks(blocks: Callable[[], Iterable[Signatures]], path: str | Path, *, prompts: int, largest: int) -> None:
    """Write signatures that come some prompts at a time; see `moexray.signatures_file.write`."""
    signatures_file.write(Path(path), blocks, prompts=prompts, largest=largest)


def check_weighting(weighting: str, *, has_mass: bool) -> None:
    """Raise SignaturesError if `weighting` is not known, or is by gate mass and none was recorded."""
    if weighting not in WEIGHTINGS:
        message = f"no weighting {weighting!r}: there are {' and '.join(WEIGHTINGS)}"
        raise SignaturesError(message)
    if weighting == "mass" and not has_mass:
        message = "these signatures hold no gate mass: `moexray capture --record weights` records it"
        raise SignaturesError(message)
