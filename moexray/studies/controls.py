"""The controls of an analysis: what words and length alone do, as JSON values."""

from collections.abc import Sequence
from typing import Any

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.categories.partial import partial_effect
from moexray.stats.categories.surface import length_features, paired_difference, surface_similarities
from moexray.stats.categories.word_classifier import classify_words
from moexray.stats.categories.words import MOST_PROMPTS, near_duplicates
from moexray.stats.pairs.similarity import unit_rows
from moexray.studies.cohort import Subject

# Every shuffle puts a matrix of prompts by prompts in another order; two thousand give p down to 0.0005.
PARTIAL_PERMUTATIONS = 2000
PARTIAL_PROMPTS = 500


def controls(subject: Subject) -> dict[str, Any]:
    """Classify by length and by words in the folds of the signatures' classifier, and hold both fixed."""
    return {
        "length": _or_note(subject, "length", _length),
        "lexical": _or_note(subject, "lexical", _lexical),
        "partial": _or_note(subject, "partial", _partial),
        "near_duplicates": _or_note(subject, "near_duplicates", _near_duplicates),
    }


def _or_note(subject: Subject, name: str, control: Any) -> Any:
    try:
        return control(subject)
    except NotComputable as reason:
        subject.notes[f"controls.{name}"] = str(reason)
        return None


def _length(subject: Subject) -> dict[str, Any]:
    return _beside_signatures(
        subject, classify(length_features(subject.signatures.lengths("prompt")), subject.labels, **subject.classing)
    )


def _lexical(subject: Subject) -> dict[str, Any]:
    return _beside_signatures(subject, classify_words(_texts(subject), subject.labels, **subject.classing))


def _beside_signatures(subject: Subject, control: Classification) -> dict[str, Any]:
    gain = paired_difference(subject.classification, control, subject.labels)
    return {
        "accuracy": {
            "mean": control.accuracy,
            "std": control.accuracy_std,
            "ci": control.accuracy_ci,
            "folds": control.fold_accuracies,
        },
        "signatures_less_this": {"difference": gain.difference, "ci": gain.ci},
    }


def _partial(subject: Subject) -> dict[str, Any]:
    _texts(subject)
    some = subject.few(PARTIAL_PROMPTS, "controls.partial")
    vectors = some.vectors(subject.phase, weighting=subject.by)
    units = unit_rows(vectors)
    found = partial_effect(
        units @ units.T,
        some.prompts.categories,
        surface_similarities(vectors, some.prompts.texts or (), some.lengths("prompt")),
        permutations=min(subject.permutations, PARTIAL_PERMUTATIONS),
        rng=subject.rng("controls.partial"),
    )
    return {
        "category_effect": found.category_effect,
        "unadjusted": found.unadjusted,
        "p_value": found.p_value,
        "permutations": found.permutations,
    }


def _near_duplicates(subject: Subject) -> list[list[Any]]:
    texts, ids = _texts(subject), subject.signatures.prompts.ids
    if len(texts) > MOST_PROMPTS:
        message = f"every two of more than {MOST_PROMPTS:,} prompts are not compared"
        raise NotComputable(message)
    found = near_duplicates(texts)
    if found:
        subject.notes["controls.near_duplicates"] = (
            f"{len(found)} pairs of prompts are almost the same: give them one group, or the classifier may meet in "
            "a test what it was trained on"
        )
    return [[ids[i], ids[j], alike] for i, j, alike in found]


def _texts(subject: Subject) -> Sequence[str]:
    if subject.signatures.prompts.texts is None:
        message = "the signatures hold no texts"
        raise NotComputable(message)
    return subject.signatures.prompts.texts
