"""The prompt's and the generated tokens of the same prompts, compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.formats import count, listed
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.categories.segments import SegmentComparison, SegmentEffect, compare_segments
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes

LEAST_PROMPTS = 4


@dataclass(frozen=True)
class PhaseEffect:
    """The effect of category on similarity in one phase, and the accuracy of the classifier."""

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    accuracy: float | None
    accuracy_ci: Interval | None


@dataclass(frozen=True)
class EffectDifference:
    """Cohen's d of generated tokens minus that of prompt tokens."""

    cohens_d: float | None
    ci: Interval | None


@dataclass(frozen=True)
class MeanSimilarity:
    """A mean similarity and its 95 % interval over units."""

    mean: float
    ci: Interval | None


@dataclass(frozen=True)
class Phases:
    """Prompt and generated tokens of the prompts that have both.

    Attributes
    ----------
    own
        Similarity of a prompt's signatures in the two phases.
    same_category, other_categories
        Mean similarity of a prompt's signature with those of prompts of other units in the other phase.
    p_value, permutations
        Of `own`, with generated signatures exchanged where only the prompt tells them apart.
    """

    prompts: int
    prompt: PhaseEffect
    generated: PhaseEffect
    difference: EffectDifference
    own: MeanSimilarity
    same_category: float | None
    other_categories: float | None
    p_value: float | None
    permutations: int

    def missing(self) -> Iterator[tuple[str, str]]:
        """Yield what one category, or categories of one prompt, leave out."""
        effect = self.difference.cohens_d
        if effect is None:
            yield "cohens_d", "it needs, in both phases, pairs within and across categories that vary"
        if self.own.ci is None or (effect is not None and self.difference.ci is None):
            yield "ci", "an interval needs three prompts, or groups, of each category, left out in turn"
        if self.same_category is None:
            yield "same_category", "no two prompts share a category, or they are all of one group"
        if self.p_value is None:
            yield "p_value", "no two prompts of one category, and of one group if they have any, can be exchanged"
        if self.other_categories is None:
            yield "other_categories", "there is one category only"


def compare_phases(cohort: Cohort, notes: Notes) -> Phases:
    """Compare prompt and generated tokens, whatever tokens the cohort selects.

    Raises
    ------
    NotComputable
        If a phase has no token, or fewer than four prompts have tokens in both.
    """
    rows = _in_both(cohort.signatures)
    _note_kinds(cohort.signatures, notes)
    phases = [replace(cohort, tokens=phase) for phase in ("prompt", "generated")]
    routed = np.all([phase.take(rows).vectors.any(axis=1) for phase in phases], axis=0)
    if len(rows) < len(cohort) or not routed.all():
        note = f"compares {int(routed.sum()):,} of {len(cohort):,} prompts: those with tokens in both phases"
        notes.add("prompts", note + _dropped(cohort, rows[~routed]))
    rows = rows[routed]
    _check_number(rows)
    prompt, generated = (phase.take(rows) for phase in phases)
    found = compare_segments(
        prompt.vectors,
        generated.vectors,
        prompt.labels,
        groups=prompt.groups,
        permutations=min(cohort.permutations, cohort.limits.phase_permutations),
        rng=cohort.rng("phases"),
    )
    if found.least_p is not None and found.least_p > LEVEL:
        notes.add("p_value", f"so few prompts can be exchanged that p cannot be below {found.least_p:.2g}")
    classified = [notes.attempt("accuracy", partial(_classified, one)) for one in (prompt, generated)]
    return _phases(found, *classified)


def _phases(found: SegmentComparison, prompt: Classification | None, generated: Classification | None) -> Phases:
    return Phases(
        prompts=found.prompts,
        prompt=_effect(found.first, prompt),
        generated=_effect(found.second, generated),
        difference=EffectDifference(found.difference, found.difference_ci),
        own=MeanSimilarity(found.own, found.own_ci),
        same_category=found.same_category,
        other_categories=found.other_categories,
        p_value=found.p_value,
        permutations=found.permutations,
    )


def _effect(effect: SegmentEffect, found: Classification | None) -> PhaseEffect:
    return PhaseEffect(
        within=effect.within,
        across=effect.across,
        cohens_d=effect.cohens_d,
        cohens_d_ci=effect.cohens_d_ci,
        accuracy=None if found is None else found.accuracy,
        accuracy_ci=None if found is None else found.accuracy_ci,
    )


def _classified(cohort: Cohort) -> Classification:
    return classify(cohort.vectors, cohort.labels, **cohort.fold_options)


def _in_both(signatures: Signatures) -> NDArray[np.int64]:  # (rows,)
    """Return the places of the prompts with tokens in both phases."""
    phases = {one.phase for one in signatures.segments}
    there = {}
    for name, words in (("prompt", "of the prompt"), ("generated", "generated")):
        there[name] = signatures.lengths(name) > 0 if name in phases else np.zeros(len(signatures), dtype=np.bool_)
        if not there[name].any():
            message = f"no token {words} was recorded, so there is one phase only"
            raise NotComputable(message)
    both = np.flatnonzero(there["prompt"] & there["generated"])
    _check_number(both)
    return both


def _note_kinds(signatures: Signatures, notes: Notes) -> None:
    """Note where the tokens of a phase are of several kinds: they are compared together."""
    held = signatures.tokens.sum(axis=0) > 0
    for phase in ("prompt", "generated"):
        there = zip(signatures.segments, held.tolist(), strict=True)
        kinds = sorted({one.kind for one, has in there if has and one.phase == phase}, key=lambda kind: kind != "text")
        if len(kinds) > 1:
            notes.add(phase, f"{phase} tokens of {listed(kinds)} together")


def _check_number(rows: NDArray[np.integer]) -> None:
    if len(rows) < LEAST_PROMPTS:
        message = f"{count(len(rows), 'prompt')} with tokens in both phases: at least {LEAST_PROMPTS} are needed"
        raise NotComputable(message)


def _dropped(cohort: Cohort, rows: NDArray[np.integer]) -> str:
    """Return the end of a note that names prompts whose selections a router dropped in every layer of a phase."""
    if not len(rows):
        return ""
    names = [cohort.signatures.prompts.ids[row] for row in rows[: cohort.limits.named].tolist()]
    more = f" and {len(rows) - len(names):,} more" if len(names) < len(rows) else ""
    return f"; the router dropped every token of a phase of {', '.join(names)}{more}"
