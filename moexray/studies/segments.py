"""The phases of an analysis compared: prompt against generated routing of the same prompts, as JSON values."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.segments import SegmentComparison, compare_segments
from moexray.studies.cohort import Subject

PHASE_PERMUTATIONS = 2000
LEAST_PROMPTS = 4


def phases(subject: Subject) -> dict[str, Any]:
    """Compare the prompt's and the generated routing of prompts with tokens in both, whatever the subject's phase.

    Raises
    ------
    NotComputable
        If a phase has no token, or fewer than four prompts have tokens in both.
    """
    rows = _in_both(subject.signatures)
    both = replace(subject, signatures=subject.signatures.take(rows))  # its notes are the subject's
    if len(rows) < len(subject.signatures):
        subject.notes["phases.prompts"] = (
            f"compares {len(rows):,} of {len(subject.signatures):,} prompts: those with tokens in both phases"
        )
    found = compare_segments(
        both.signatures.vectors("prompt", weighting=subject.by),
        both.signatures.vectors("generated", weighting=subject.by),
        both.labels,
        permutations=min(subject.permutations, PHASE_PERMUTATIONS),
        rng=subject.rng("phases"),
    )
    _note_missing(subject, found)
    return {
        "prompts": found.prompts,
        "prompt": {**asdict(found.first), **_accuracy(both, "prompt")},
        "generated": {**asdict(found.second), **_accuracy(both, "generated")},
        "difference": {"cohens_d": found.difference, "ci": found.difference_ci},
        "own": {"mean": found.own, "ci": found.own_ci},
        "same_category": found.same_category,
        "other_categories": found.other_categories,
        "p_value": found.p_value,
        "permutations": found.permutations,
    }


def _in_both(signatures: Signatures) -> NDArray[np.int64]:  # (rows,)
    before, after = signatures.has_tokens("prompt"), signatures.has_tokens("generated")
    for name, there in (("of the prompt", before), ("generated", after)):
        if not there.any():
            message = f"no token {name} was recorded, so there is one phase only"
            raise NotComputable(message)
    both = np.flatnonzero(before & after)
    if len(both) < LEAST_PROMPTS:
        message = f"{len(both)} prompts have tokens in both phases: at least {LEAST_PROMPTS} are needed"
        raise NotComputable(message)
    return both


def _accuracy(subject: Subject, phase: str) -> dict[str, Any]:
    try:
        found = classify(subject.signatures.vectors(phase, weighting=subject.by), subject.labels, **subject.classing)
    except NotComputable as reason:
        subject.notes["phases.accuracy"] = str(reason)
        return {"accuracy": None, "accuracy_ci": None}
    return {"accuracy": found.accuracy, "accuracy_ci": found.accuracy_ci}


def _note_missing(subject: Subject, found: SegmentComparison) -> None:
    if found.difference is None:
        subject.notes["phases.cohens_d"] = "it needs, in both phases, pairs within and across categories that vary"
    if found.own_ci is None or (found.difference is not None and found.difference_ci is None):
        subject.notes["phases.ci"] = "an interval needs two prompts in each category, left out in turn"
    if found.same_category is None:
        subject.notes["phases.same_category"] = subject.notes["phases.p_value"] = "no two prompts share a category"
    if found.other_categories is None:
        subject.notes["phases.other_categories"] = "there is one category only"
