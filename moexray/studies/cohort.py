"""What an analysis is about, and the figures that several of its statistics need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.signatures import MOST_IN_MEMORY, WEIGHTINGS, Signatures, Weighting, check_weighting
from moexray.stats.pairs.similarity import CategoryEffect, Similarity, category_effect, similarity, unit_rows

if TYPE_CHECKING:
    from moexray.stats.categories.classifier import Classification
    from moexray.stats.pairs.cell_shuffles import ShuffledDifferences

# Up to here the signatures of all prompts are held in memory, and every statistic looks at each of them.
MOST_WHOLE, SAMPLE = MOST_IN_MEMORY, 2000
MOST_NAMED = 100


@dataclass(frozen=True)
class Shares:
    """The signatures of one phase in blocks ``(rows, layers, experts)``, as often as they are asked for."""

    source: Signatures
    phase: str
    by: Weighting = "counts"

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yield the blocks; a prompt without a token in the phase has no signature and is left out."""
        for block in self.source.blocks():
            vectors = block.vectors(self.phase, weighting=self.by)[block.has_tokens(self.phase)]
            yield vectors.reshape(len(vectors), len(block.layers), -1)


@dataclass(frozen=True)
class Subject:
    """What the statistics look at, and where they note what is missing.

    Attributes
    ----------
    signatures
        The prompts that have a token in the phase: all of them, or, where there are too many for memory, a sample.
    everything
        What `signatures` is a sample of; None where it is no sample.
    by
        What signatures are shares of: selections (``counts``) or gate weights (``mass``).
    """

    signatures: Signatures
    phase: str
    permutations: int
    seed: int
    folds: int
    notes: dict[str, str] = field(default_factory=dict)
    everything: Signatures | None = None
    by: Weighting = "counts"
    fingerprint: str | None = None

    @property
    def vectors(self) -> NDArray[np.float64]:  # (prompts, layers * experts)
        """The signatures of the prompts in the phase."""
        return self.signatures.vectors(self.phase, weighting=self.by)

    @property
    def labels(self) -> Sequence[str]:
        """The category of each prompt of `signatures`."""
        return self.signatures.prompts.categories

    @property
    def by_layer(self) -> NDArray[np.float64]:  # (prompts, layers, experts)
        """Signatures, each layer's shares apart."""
        return self.vectors.reshape(len(self.signatures), len(self.signatures.layers), -1)

    @property
    def classing(self) -> dict[str, Any]:
        """What makes the folds of every classifier the same."""
        return {"folds": self.folds, "groups": self.signatures.prompts.groups, "seed": self.seed}

    @cached_property
    def all_labels(self) -> Sequence[str]:
        """The category of every prompt that has a token in the phase, of the sample or not."""
        if self.everything is None:
            return self.labels
        there = self.everything.has_tokens(self.phase)
        return tuple(name for name, kept in zip(self.everything.prompts.categories, there, strict=True) if kept)

    @cached_property
    def pairs(self) -> Similarity:
        """The similarity of all pairs of prompts."""
        if self.everything is not None:
            return self._streamed[0]
        return similarity(self.vectors, self.labels, rng=self.rng("similarity"))

    @cached_property
    def layer_effects(self) -> list[CategoryEffect]:
        """The effect of category on the similarity of all pairs of prompts, layer by layer."""
        if self.everything is not None:
            effects = self._streamed[1]
        else:
            effects = [category_effect(layer, self.labels) for layer in np.moveaxis(self.by_layer, 1, 0)]
        dropped = {
            layer: len(self.all_labels) - effect.prompts
            for layer, effect in zip(self.signatures.layers.tolist(), effects, strict=True)
            if effect.prompts < len(self.all_labels)
        }
        if dropped:
            places = ", ".join(f"{prompts:,} prompts in layer {layer}" for layer, prompts in dropped.items())
            self.notes["layers.prompts"] = (
                f"the router dropped every token of {places}: they are left out of that layer's similarity"
            )
        return effects

    @cached_property
    def differences(self) -> "ShuffledDifferences":
        """The category effect of all prompts under shuffled labels, of whole signatures and of each layer."""
        from moexray.stats.pairs.cell_shuffles import shuffled_differences

        return shuffled_differences(
            self.shares, self.all_labels, permutations=self.permutations, rng=self.rng("permutation")
        )

    @cached_property
    def classification(self) -> "Classification":
        """The predictions of the classifier on signatures, beside which its controls stand."""
        from moexray.stats.categories.classifier import classify

        return classify(self.vectors, self.labels, **self.classing)

    @property
    def load(self) -> NDArray[np.int64]:  # (layers, experts)
        """How often each expert was selected, by all prompts together."""
        totals = [block.loads(self.phase).sum(axis=0) for block in self.shares.source.blocks()]
        return np.asarray(np.sum(totals, axis=0))

    @property
    def shares(self) -> Shares:
        """The signatures of all prompts, in blocks."""
        return Shares(self.signatures if self.everything is None else self.everything, self.phase, self.by)

    def few(self, most: int, name: str) -> Signatures:
        """Return the prompts, or as many drawn at random as the statistic `name` can take, which is noted."""
        prompts = len(self.signatures)
        if prompts <= most:
            return self.signatures
        self.notes[name] = f"of {most:,} of the {len(self.all_labels):,} prompts, drawn at random"
        return self.signatures.take(np.sort(self.rng(f"{name}.sample").choice(prompts, most, replace=False)))

    def rng(self, name: str) -> np.random.Generator:
        """Each statistic draws from a stream of its own, so that a new one leaves the others as they were."""
        return np.random.default_rng([self.seed, crc32(name.encode())])

    @cached_property
    def _streamed(self) -> tuple[Similarity, list[CategoryEffect]]:
        from moexray.stats.pairs.auc import auc_of_sample, sample_pairs
        from moexray.stats.pairs.similarity import pairs_within
        from moexray.stats.pairs.streaming import similarity_of_blocks

        assert self.everything is not None
        labels = self.all_labels
        numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)[1]
        auc = None
        if 0 < pairs_within(numbers) < len(labels) * (len(labels) - 1) // 2:
            drawn = sample_pairs(numbers, rng=self.rng("similarity"))
            rows = np.flatnonzero(self.everything.has_tokens(self.phase))[drawn.rows]
            taken = self.everything.take(rows)
            units = [unit_rows(block.vectors(self.phase, weighting=self.by)) for block in taken.blocks()]
            auc = auc_of_sample(np.concatenate(units), drawn)
        return similarity_of_blocks(self.shares, labels, auc=auc)


def subject_of(
    signatures: Signatures,
    phase: str,
    *,
    by: Weighting = "counts",
    permutations: int = 10_000,
    seed: int = 0,
    folds: int = 5,
) -> Subject:
    """Take the prompts that have a token in the phase, and a sample of them where there are too many for memory.

    Raises
    ------
    AnalysisError
        If no prompt has a token in the phase, or an option cannot be used.
    SignaturesError
        If signatures by mass are asked for, and none was recorded.
    """
    if by not in WEIGHTINGS:
        message = f"no weighting {by!r}: there are {' and '.join(WEIGHTINGS)}"
        raise AnalysisError(message)
    check_weighting(by, has_mass=signatures.has_mass)
    signatures.places(phase)
    for name, value, least in (("permutations", permutations, 1), ("folds", folds, 2), ("seed", seed, 0)):
        if value < least:
            message = f"{name} is {value}: it must be at least {least}"
            raise AnalysisError(message)
    kept = np.flatnonzero(signatures.has_tokens(phase))
    if not len(kept):
        message = f"no prompt has a token in the phase {phase!r}: there is nothing to analyze"
        raise AnalysisError(message)
    if len(kept) > MOST_WHOLE:
        rows = np.sort(np.random.default_rng([seed, len(kept)]).choice(kept, SAMPLE, replace=False))
        subject = Subject(
            signatures.take(rows),
            phase,
            permutations,
            seed,
            folds,
            everything=signatures,
            by=by,
            fingerprint=signatures.fingerprint,
        )
        subject.notes["signatures.sample"] = (
            f"classifiers, controls, phases, components and specifications look at {SAMPLE:,} of the {len(kept):,} "
            "prompts, drawn at random; similarity, its shuffles, layers and load at all of them"
        )
    else:
        whole = signatures
        subject = Subject(whole.take(kept), phase, permutations, seed, folds, by=by, fingerprint=signatures.fingerprint)
    _note_left_out(subject, signatures)
    return subject


def _note_left_out(subject: Subject, signatures: Signatures) -> None:
    left_out = [signatures.prompts.ids[i] for i in np.flatnonzero(~signatures.has_tokens(subject.phase)).tolist()]
    if left_out:
        more = f" and {len(left_out) - MOST_NAMED:,} more" if len(left_out) > MOST_NAMED else ""
        subject.notes["signatures.prompts"] = (
            f"{len(left_out):,} of {len(signatures):,} prompts have no token in the phase {subject.phase!r} "
            f"and are left out: {', '.join(left_out[:MOST_NAMED])}{more}"
        )
