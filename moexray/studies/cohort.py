"""The prompts under study, and the values that several statistics need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.formats import token_text
from moexray.shards import part_of
from moexray.signatures import WEIGHTINGS, Signatures, Weighting, check_weighting
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.similarity import CategoryEffect, Similarity, category_effect, similarity, unit_rows
from moexray.studies.limits import LIMITS, Limits
from moexray.studies.samples import drawn_rows
from moexray.trace import Trace

if TYPE_CHECKING:
    from moexray.stats.categories.classifier import Classification
    from moexray.stats.categories.permuted_classifier import ClassifierTest


@dataclass(frozen=True)
class SignatureBlocks:
    """Signatures of consecutive prompts ``(rows, layers, experts)``, which can be gone through again and again."""

    source: Signatures
    tokens: str
    weighting: Weighting

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        """Yield the blocks; a prompt without a selected token has no signature and is left out."""
        for block in self.source.blocks():
            vectors = block.vectors(self.tokens, weighting=self.weighting)[block.has_tokens(self.tokens)]
            yield vectors.reshape(len(vectors), len(block.layers), -1)


@dataclass(frozen=True)
class Cohort:
    """The prompts under study, and the options of the study.

    Attributes
    ----------
    all
        The signatures that were given, perhaps of more prompts than fit memory.
    signatures
        The prompts of `all` that have a selected token: all of them, or, where there are too many, a sample.
    tokens, weighting
        Which tokens, and what signatures are shares of: selections (``counts``) or gate weights (``mass``).
    permutations, seed, folds
        Permutations of each test, the seed of every draw, and the folds of each classifier.
    trace
        Every token's experts, of these prompts.
    test
        Signatures of other prompts, to test the classifier on.
    limits
        How many prompts and permutations each part takes at most.
    """

    all: Signatures
    signatures: Signatures
    tokens: str = "all"
    weighting: Weighting = "counts"
    permutations: int = 10_000
    seed: int = 0
    folds: int = 5
    trace: Trace | None = None
    test: Signatures | None = None
    limits: Limits = LIMITS

    @staticmethod
    def of(
        signatures: Signatures,
        *,
        tokens: str = "all",
        weighting: Weighting = "counts",
        permutations: int = 10_000,
        seed: int = 0,
        folds: int = 5,
        trace: Trace | None = None,
        test: Signatures | None = None,
        limits: Limits = LIMITS,
    ) -> "Cohort":
        """Select the prompts that have a selected token, and a sample of them where there are too many for memory.

        A sample holds every category, and as many groups as fit.

        Raises
        ------
        AnalysisError
            If no prompt has a selected token, or an option cannot be used.
        SignaturesError
            If there are no such tokens, or gate mass is asked for and none was recorded.
        """
        if weighting not in WEIGHTINGS:
            message = f"no weighting {weighting!r}: there are {' and '.join(WEIGHTINGS)}"
            raise AnalysisError(message)
        check_weighting(weighting, has_mass=signatures.has_mass)
        for name, value, least in (("permutations", permutations, 1), ("folds", folds, 2), ("seed", seed, 0)):
            if value < least:
                message = f"`{name}` is {value}: it must be at least {least}"
                raise AnalysisError(message)
        kept = np.flatnonzero(signatures.has_tokens(tokens))
        if not len(kept):
            message = f"no prompt has any {token_text(tokens)}: there is nothing to analyze"
            raise AnalysisError(message)
        if len(kept) > limits.in_memory:
            groups, labels = signatures.prompts.groups, signatures.prompts.categories
            some = None if groups is None else [groups[i] for i in kept.tolist()]
            rng = np.random.default_rng([seed, len(kept)])
            kept = kept[drawn_rows([labels[i] for i in kept.tolist()], some, limits.sample, rng)]
        return Cohort(
            all=signatures,
            signatures=signatures.take(kept),
            tokens=tokens,
            weighting=weighting,
            permutations=permutations,
            seed=seed,
            folds=folds,
            trace=trace,
            test=test,
            limits=limits,
        )

    def __len__(self) -> int:
        return len(self.signatures)

    @property
    def labels(self) -> Sequence[str]:
        """The category of each prompt of `signatures`."""
        return self.signatures.prompts.categories

    @property
    def groups(self) -> Sequence[str] | None:
        """The group of each prompt of `signatures`; None where no prompt has one."""
        groups = self.signatures.prompts.groups
        return groups if groups is not None and any(groups) else None

    @cached_property
    def units(self) -> Units:
        """The units of the prompts of `signatures`."""
        return units_of(self.labels, self.groups)

    @property
    def streamed(self) -> bool:
        """Whether similarity is of more prompts than `signatures` holds: of all of them, in blocks.

        With groups it is of the sample, since the pairs inside groups cannot be left out block by block.
        """
        return not self.complete and not self._share_groups

    @property
    def vectors(self) -> NDArray[np.float64]:  # (prompts, layers * experts)
        """The signatures of the prompts of `signatures`."""
        return self.signatures.vectors(self.tokens, weighting=self.weighting)

    @property
    def by_layer(self) -> NDArray[np.float64]:  # (prompts, layers, experts)
        """The same, with an axis of layers."""
        return self.vectors.reshape(len(self), len(self.layers), -1)

    @property
    def layers(self) -> list[int]:
        """The index in the model of each layer."""
        found: list[int] = self.all.layers.tolist()
        return found

    @property
    def fold_options(self) -> dict[str, Any]:
        """Options that give every classifier of these prompts the same folds."""
        repeats = self.limits.repeats_of(len(self))
        return {"folds": self.folds, "groups": self.groups, "seed": self.seed, "repeats": repeats}

    @property
    def complete(self) -> bool:
        """Whether `signatures` holds every prompt that has a selected token."""
        return len(self.signatures) == len(self.all_labels)

    @cached_property
    def _share_groups(self) -> bool:
        """Whether two prompts that have a selected token share a group, sampled or not."""
        groups = self.all.prompts.groups
        if groups is None:
            return False
        there = self.all.has_tokens(self.tokens)
        named = [name for name, kept in zip(groups, there, strict=True) if kept and name]
        return len(set(named)) < len(named)

    @cached_property
    def all_labels(self) -> Sequence[str]:
        """The category of every prompt that has a selected token, whether sampled or not."""
        there = self.all.has_tokens(self.tokens)
        return tuple(name for name, kept in zip(self.all.prompts.categories, there, strict=True) if kept)

    def blocks(self) -> SignatureBlocks:
        """Return the signatures of every prompt that has a selected token, in blocks."""
        return SignatureBlocks(self.all, self.tokens, self.weighting)

    def take(self, rows: NDArray[np.integer]) -> "Cohort":
        """Return a cohort with some of the prompts in memory."""
        return replace(self, signatures=self.signatures.take(rows))

    def sample(self, most: int, name: str) -> "Cohort":
        """Return a cohort with at most `most` prompts in memory, drawn for the part of this name: see `of`."""
        if len(self) <= most:
            return self
        return self.take(drawn_rows(self.labels, self.groups, most, self.rng(f"{name}.sample")))

    def sampled(self) -> str | None:
        """Return a sentence on how many prompts were drawn; None where none were left out."""
        if self.complete:
            return None
        return f"of {len(self):,} of the {len(self.all_labels):,} prompts, drawn at random"

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of the part of this name, so that a new part leaves the others as they were."""
        return stream(self.seed, name)

    @cached_property
    def similarity(self) -> Similarity:
        """The similarity of all pairs of prompts of different units."""
        if self.streamed:
            return self._streamed[0]
        return similarity(self.vectors, self.labels, groups=self.groups, rng=self.rng("similarity"))

    @cached_property
    def layer_effects(self) -> list[CategoryEffect]:
        """The effect of category on the similarity of all pairs of prompts, layer by layer."""
        if self.streamed:
            return self._streamed[1]
        layers = np.moveaxis(self.by_layer, 1, 0)
        return [category_effect(layer, self.labels, groups=self.groups) for layer in layers]

    @cached_property
    def classification(self) -> "Classification":
        """The predictions of the classifier of signatures."""
        from moexray.stats.categories.classifier import classify

        return classify(self.vectors, self.labels, **self.fold_options)

    @cached_property
    def classifier_test(self) -> "ClassifierTest":
        """The permutation test of that classifier, of a sample where there are too many prompts."""
        from moexray.stats.categories.permuted_classifier import classifier_test

        some = self.sample(self.limits.classifier_prompts, "classifier.p_value")
        options = {**some.fold_options, "repeats": self.limits.test_repeats_of(len(some))}
        return classifier_test(some.vectors, some.labels, permutations=self.classifier_permutations, **options)

    @property
    def classifier_permutations(self) -> int:
        """Permutations of that test."""
        return min(self.permutations, self.limits.classifier_permutations)

    @property
    def load(self) -> NDArray[np.int64]:  # (layers, experts)
        """How often all prompts together selected each expert."""
        return np.asarray(np.sum([block.loads(self.tokens).sum(axis=0) for block in self.all.blocks()], axis=0))

    @cached_property
    def _streamed(self) -> tuple[Similarity, list[CategoryEffect]]:
        from moexray.stats.pairs.auc import auc_of_sample, sample_pairs
        from moexray.stats.pairs.streaming import similarity_of_blocks

        labels = self.all_labels
        units = units_of(labels)
        auc = None
        if units.pairs_within and units.pairs_across:
            drawn = sample_pairs(units, rng=self.rng("similarity"))
            rows = np.flatnonzero(self.all.has_tokens(self.tokens))[drawn.rows]
            taken = self.all.take(rows)
            some = [unit_rows(block.vectors(self.tokens, weighting=self.weighting)) for block in taken.blocks()]
            auc = auc_of_sample(np.concatenate(some), drawn)
        return similarity_of_blocks(self.blocks(), labels, auc=auc)


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of a part of a study with this seed."""
    return np.random.default_rng([seed, crc32(name.encode())])


def about_prompts(cohort: Cohort) -> Mapping[str, str]:
    """Return notes on the prompts that a cohort leaves out, lacks as a shard, or holds as a sample."""
    notes: dict[str, str] = {}
    limits, tokens = cohort.limits, cohort.tokens
    there = cohort.all.has_tokens(tokens)
    part = part_of(cohort.all.meta)
    if part is not None and part.shard.number > 1:
        notes["signatures.shard"] = (
            f"these are the prompts of {part.shard.said} of a capture, {len(cohort.all):,} of {part.prompts:,}: "
            "`moexray merge` joins its shards"
        )
    left_out = [cohort.all.prompts.ids[i] for i in np.flatnonzero(~there).tolist()]
    if left_out:
        more = f" and {len(left_out) - limits.named:,} more" if len(left_out) > limits.named else ""
        notes["signatures.prompts"] = (
            f"{len(left_out):,} of {len(cohort.all):,} prompts have no {token_text(tokens)} "
            f"and are left out: {', '.join(left_out[: limits.named])}{more}"
        )
    if not cohort.complete:
        drawn = f"at {len(cohort):,} of the {len(cohort.all_labels):,} prompts, drawn at random"
        notes["signatures.sample"] = (
            "location, dispersion, tests of layers, classifiers, controls, phases, components and specifications look "
            f"{drawn}; similarity, its permutations, the effects of layers and load at all of them"
            if cohort.streamed
            else f"everything but load looks {drawn} from as many groups as fit, since pairs inside groups are left out"
        )
    return notes
