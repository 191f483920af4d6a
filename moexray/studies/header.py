"""What a result is about, and the settings that it was computed with."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.version import __version__


@dataclass(frozen=True)
class Header:
    """The signatures that were studied.

    Attributes
    ----------
    prompts, categories
        Prompts that have a token in the selection, in all and of each category.
    layers, top_k
        Index in the model of each MoE layer, and its selections a token.
    experts
        Experts of the widest layer.
    phase, by
        Which tokens (`moexray.segments.places`), and what signatures are shares of: ``counts`` or ``mass``.
    model
        As `Signatures.meta` names it.
    experts_by_layer
        How many experts each layer has, where layers differ.
    sample
        How many prompts were drawn for what needs all prompts in memory; None where that looked at all of them.
    fingerprint
        `Signatures.fingerprint` of what was studied; None in a file that was written before it was recorded.
    """

    prompts: int
    categories: Mapping[str, int]
    layers: tuple[int, ...]
    experts: int
    top_k: tuple[int, ...]
    phase: str
    by: str
    model: str | None
    experts_by_layer: tuple[int, ...] | None = optional()
    sample: int | None = optional()
    fingerprint: str | None = optional()


@dataclass(frozen=True)
class Settings:
    """Options of an analysis, the version that computed it, whether it had a trace, and the fingerprint of its test."""

    permutations: int
    seed: int
    folds: int
    moexray: str
    trace: bool = False
    test: str | None = optional()


def header_of(cohort: Cohort) -> Header:
    """Return what a study of this cohort is about."""
    signatures = cohort.all
    experts, model = tuple(signatures.experts.tolist()), signatures.meta.get("model")
    return Header(
        prompts=len(cohort.all_labels),
        categories=dict(sorted(Counter(cohort.all_labels).items())),
        layers=tuple(cohort.layers),
        experts=signatures.shape[3],
        top_k=tuple(signatures.top_k.tolist()),
        phase=cohort.tokens,
        by=cohort.weighting,
        model=None if model is None else str(model),
        experts_by_layer=experts if len(set(experts)) > 1 else None,
        sample=None if cohort.complete else len(cohort),
        fingerprint=signatures.fingerprint,
    )


def settings_of(cohort: Cohort) -> Settings:
    """Return the settings of a study of this cohort."""
    return Settings(
        permutations=cohort.permutations,
        seed=cohort.seed,
        folds=cohort.folds,
        moexray=__version__,
        trace=cohort.trace is not None,
        test=None if cohort.test is None else cohort.test.fingerprint,
    )
