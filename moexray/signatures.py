"""Signatures: how often each prompt selected each expert, in each layer and phase."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.signatures_checks import check

Phase = Literal["prompt", "generated", "all"]
PHASES: tuple[Phase, ...] = ("prompt", "generated", "all")
# What a signature is made of shares of: selections, or the gate weights that they came with.
Weighting = Literal["counts", "mass"]
WEIGHTINGS: tuple[Weighting, ...] = ("counts", "mass")

# What two captures may differ in and still be captures of the same thing.
_CIRCUMSTANCES = frozenset({"created", "device", "moexray", "engine_version", "batch_size", "batch_tokens", "verified"})
_BLOCK_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class Signatures:
    """The routing of a set of prompts, counted. It checks itself when made and never changes.

    Attributes
    ----------
    counts
        Unsigned integers ``(prompts, 2, layers, experts)``: how often a prompt, in phase 0 (prompt)
        or 1 (generated), had a layer select an expert.
    tokens
        int32 ``(prompts, 2)``: routed tokens behind those counts.
    categories, prompt_ids
        A label and a unique id for each prompt.
    layers
        int16 ``(layers,)``: decoder-layer index of each MoE layer.
    top_k
        int16 ``(layers,)``: selections a token.
    meta
        What was run and how, as JSON values. ``meta["router_may_drop"]`` is true for a router
        that may drop a token or select fewer than k experts.
    texts, outputs
        The prompts as given, and what the model wrote, where kept.
    groups
        What each prompt must not be split from when a classifier's folds are made, empty for nothing;
        None where no prompt has a group.
    mass
        float32, shaped as `counts`: the sum of the gate weights of those selections; None where none were recorded.

    Raises
    ------
    SignaturesError
        If the parts do not fit together, or a layer's counts are not tokens times k.
    """

    counts: NDArray[np.unsignedinteger[Any]]
    tokens: NDArray[np.int32]
    categories: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    layers: NDArray[np.int16]
    top_k: NDArray[np.int16]
    meta: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    mass: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        check(self)
        for name in ("counts", "tokens", "layers", "top_k", "mass"):
            array = getattr(self, name)
            if array is not None and array.flags.writeable:
                frozen = array.copy()
                frozen.flags.writeable = False
                object.__setattr__(self, name, frozen)

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def __repr__(self) -> str:
        _, _, layers, experts = self.counts.shape
        return f"Signatures({len(self)} prompts, {layers} layers, {experts} experts, model {self.meta.get('model')!r})"

    @property
    def has_mass(self) -> bool:
        """Whether gate mass was recorded."""
        return self.mass is not None

    def has_tokens(self, phase: Phase = "all") -> NDArray[np.bool_]:  # (prompts,)
        """Which prompts have a routed token in `phase`, and so a signature."""
        return np.asarray(of_phase(self.tokens, phase) > 0)

    def loads(self, phase: Phase = "all") -> NDArray[np.int64]:  # (prompts, layers, experts)
        """Return the counts of one phase, or of both together."""
        return of_phase(self.counts, phase)

    def masses(self, phase: Phase = "all") -> NDArray[np.float64]:  # (prompts, layers, experts)
        """Return the gate mass of one phase, or of both together.

        Raises
        ------
        SignaturesError
            If none was recorded.
        """
        check_weighting("mass", has_mass=self.mass is not None)
        assert self.mass is not None
        return of_phase(self.mass, phase)

    def vectors(
        self, phase: Phase = "all", *, by: Weighting = "counts"
    ) -> NDArray[np.float64]:  # (prompts, layers * experts)
        """Signatures: within each layer, the share of the prompt's selections, or gate mass, that each expert got.

        Every layer of a row sums to one, so that prompts of different length compare. The row of
        a prompt without a token in `phase` is zero: see `has_tokens`.

        Parameters
        ----------
        phase
            Whose tokens.
        by
            ``counts``: an expert's share of the selections; ``mass``: its share of their gate weights.

        Raises
        ------
        SignaturesError
            If mass is asked for and none was recorded.
        """
        check_weighting(by, has_mass=self.has_mass)
        loads = self.masses(phase) if by == "mass" else self.loads(phase).astype(np.float64)
        sums = loads.sum(axis=2, keepdims=True)
        shares = np.divide(loads, sums, out=np.zeros_like(loads), where=sums > 0)
        return np.asarray(shares.reshape(len(self), -1))

    def select(self, *, category: str | None = None, ids: Collection[str] | None = None) -> "Signatures":
        """Return the prompts of one category, or of the given ids, or of both, in their order.

        Raises
        ------
        SignaturesError
            If a category or an id is not there.
        """
        if category is not None and category not in self.categories:
            message = f"no category {category!r}: there are {', '.join(sorted(set(self.categories)))}"
            raise SignaturesError(message)
        missing = set(ids or ()) - set(self.prompt_ids)
        if missing:
            message = f"no prompt has the id {min(missing)!r}"
            raise SignaturesError(message)
        wanted = None if ids is None else set(ids)
        rows = [
            i
            for i, (label, name) in enumerate(zip(self.categories, self.prompt_ids, strict=True))
            if category in (None, label) and (wanted is None or name in wanted)
        ]
        return self.take(rows)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Signatures":
        """Return the prompts at these places, in the order given."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            counts=self.counts[chosen],
            tokens=self.tokens[chosen],
            categories=tuple(self.categories[i] for i in chosen),
            prompt_ids=tuple(self.prompt_ids[i] for i in chosen),
            texts=_rows(self.texts, chosen),
            outputs=_rows(self.outputs, chosen),
            groups=_rows(self.groups, chosen),
            mass=None if self.mass is None else self.mass[chosen],
        )

    def blocks(self) -> Iterator["Signatures"]:
        """Yield the prompts in order, some thousands at a time, without texts and outputs."""
        bare = replace(self, texts=None, outputs=None)
        size = block_size(*self.counts.shape[2:])
        for start in range(0, len(self), size):
            yield bare.take(range(start, min(start + size, len(self))))

    def save(self, path: str | Path) -> None:
        """Write the file of docs/signatures.md; the same signatures give the same bytes."""
        from moexray.signatures_file import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> "Signatures":
        """Read a file that `save` wrote; `SignaturesError` if it is damaged, foreign or too new."""
        from moexray.signatures_file import read

        return read(Path(path))


def merge(parts: Sequence[Signatures]) -> Signatures:
    """Join captures of different prompts by the same model into one, in the order given.

    Texts, outputs and mass are kept where all parts have them.

    Raises
    ------
    SignaturesError
        If nothing is given, a prompt id occurs twice, or the parts differ in model, layout or settings.
    """
    if not parts:
        message = "nothing to merge: name at least one file of signatures"
        raise SignaturesError(message)
    first = parts[0]
    for part in parts[1:]:
        for name in ("layers", "top_k"):
            if not np.array_equal(getattr(first, name), getattr(part, name)):
                message = f"signatures differ in {name}: {getattr(first, name)} and {getattr(part, name)}"
                raise SignaturesError(message)
        if first.counts.shape[3] != part.counts.shape[3]:
            message = f"signatures differ in experts a layer: {first.counts.shape[3]} and {part.counts.shape[3]}"
            raise SignaturesError(message)
    return Signatures(
        counts=np.concatenate([part.counts for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        categories=tuple(label for part in parts for label in part.categories),
        prompt_ids=tuple(name for part in parts for name in part.prompt_ids),
        layers=first.layers,
        top_k=first.top_k,
        meta=_merged_meta([part.meta for part in parts]),
        texts=_joined([part.texts for part in parts]),
        outputs=_joined([part.outputs for part in parts]),
        groups=_joined_groups(parts),
        mass=_joined_mass(parts),
    )


def block_size(layers: int, experts: int) -> int:
    """How many prompts are looked at together where there are too many for memory."""
    return max(1, _BLOCK_NUMBERS // (layers * experts))


def smallest_unsigned(counts: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return `counts` in the smallest unsigned type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def of_phase(array: NDArray[Any], phase: Phase) -> NDArray[Any]:  # (prompts, …)
    """Return what belongs to one phase of an array ``(prompts, 2, …)``, or the sum of both, as int64 or float64."""
    if phase not in PHASES:
        message = f"no phase {phase!r}: there are prompt, generated and all"
        raise SignaturesError(message)
    dtype = np.float64 if np.issubdtype(array.dtype, np.floating) else np.int64
    if phase == "all":
        return np.asarray(array.sum(axis=1, dtype=dtype))
    return array[:, PHASES.index(phase)].astype(dtype)


def check_weighting(weighting: str, *, has_mass: bool) -> None:
    """Raise SignaturesError if `weighting` is not known, or is by a mass that was not recorded."""
    if weighting not in WEIGHTINGS:
        message = f"no weighting {weighting!r}: there are {' and '.join(WEIGHTINGS)}"
        raise SignaturesError(message)
    if weighting == "mass" and not has_mass:
        message = "these signatures hold no gate mass: `moexray capture --weights` records it"
        raise SignaturesError(message)


def _rows(strings: tuple[str, ...] | None, rows: Iterable[int]) -> tuple[str, ...] | None:
    return None if strings is None else tuple(strings[i] for i in rows)


def _merged_meta(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for meta in metas for key in meta):
        values = [meta.get(key) for meta in metas]
        if all(value == values[0] for value in values):
            merged[key] = values[0]
        elif key in _CIRCUMSTANCES:
            merged[key] = [one for value in values for one in (value if isinstance(value, list) else [value])]
        else:
            message = f"signatures differ in {key}: {values[0]!r} and {next(v for v in values if v != values[0])!r}"
            raise SignaturesError(message)
    return merged


def _joined_groups(parts: Sequence[Signatures]) -> tuple[str, ...] | None:
    if all(part.groups is None for part in parts):
        return None
    return tuple(group for part in parts for group in part.groups or ("",) * len(part))


def _joined_mass(parts: Sequence[Signatures]) -> NDArray[np.float32] | None:
    masses = [part.mass for part in parts if part.mass is not None]
    return np.concatenate(masses) if len(masses) == len(parts) else None


def _joined(parts: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    if any(part is None for part in parts):
        return None
    return tuple(text for part in parts if part is not None for text in part)
