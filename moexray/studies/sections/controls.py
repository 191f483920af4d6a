"""Controls: what words, length and token identity alone explain."""

from collections.abc import Sequence
from dataclasses import dataclass

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.categories.partial import PartialEffect, partial_effect
from moexray.stats.categories.surface import PairedDifference, length_features, paired_difference, surface_similarities
from moexray.stats.categories.word_classifier import classify_words
from moexray.stats.categories.words import MOST_PROMPTS, near_duplicates
from moexray.stats.pairs.similarity import unit_rows
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.section import section
from moexray.studies.sections.classifier import Accuracy
from moexray.studies.sections.token_identity import TokenIdentity, token_identity

# Ids of two prompts, and the Jaccard index of their words and pairs of words.
NearDuplicate = tuple[str, str, float]


@dataclass(frozen=True)
class Control:
    """A classifier that reads something else, in the folds of the classifier of signatures.

    Attributes
    ----------
    signatures_less_this
        Accuracy of signatures minus the accuracy of the control, paired by prompt.
    """

    accuracy: Accuracy
    signatures_less_this: PairedDifference


def length_alone(cohort: Cohort, _notes: Notes) -> Control:
    """Classify prompts by their number of tokens."""
    features = length_features(cohort.signatures.lengths("prompt"))
    return _beside_signatures(cohort, classify(features, cohort.labels, **cohort.fold_options))


def words_alone(cohort: Cohort, _notes: Notes) -> Control:
    """Classify prompts by their words."""
    return _beside_signatures(cohort, classify_words(_texts(cohort), cohort.labels, **cohort.fold_options))


def both_held_fixed(cohort: Cohort, notes: Notes) -> PartialEffect:
    """Measure the category effect on similarity with words and length held fixed."""
    _texts(cohort)
    some = cohort.sample(cohort.limits.partial_prompts, "controls.partial")
    notes.sampled(some, cohort)
    vectors = some.vectors
    units = unit_rows(vectors)
    return partial_effect(
        units @ units.T,
        some.labels,
        surface_similarities(vectors, _texts(some), some.signatures.lengths("prompt")),
        permutations=min(cohort.permutations, cohort.limits.partial_permutations),
        rng=cohort.rng("controls.partial"),
    )


def near_duplicate_prompts(cohort: Cohort, notes: Notes) -> tuple[NearDuplicate, ...]:
    """Find prompts with almost the same words."""
    texts, ids = _texts(cohort), cohort.signatures.prompts.ids
    if len(texts) > MOST_PROMPTS:
        message = f"every two of more than {MOST_PROMPTS:,} prompts are not compared"
        raise NotComputable(message)
    found = near_duplicates(texts)
    if found:
        note = (
            f"{len(found)} pairs of prompts are almost the same: give them one group, or the classifier may meet in "
            "a test what it was trained on"
        )
        notes.add("", note)
    return tuple((ids[i], ids[j], jaccard) for i, j, jaccard in found)


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What words, length and token identity alone explain; None where it could not be computed.

    Attributes
    ----------
    length, lexical
        Classifiers of the number of prompt tokens, and of the words of the prompt.
    partial
        The category effect on similarity with words and length held fixed.
    near_duplicates
        Prompts with almost the same words.
    token_identity
        What token identity explains; None without a trace.
    """

    length: Control | None = section(length_alone)
    lexical: Control | None = section(words_alone)
    partial: PartialEffect | None = section(both_held_fixed)
    near_duplicates: tuple[NearDuplicate, ...] | None = section(near_duplicate_prompts)
    token_identity: TokenIdentity | None = section(token_identity)


def _beside_signatures(cohort: Cohort, control: Classification) -> Control:
    return Control(Accuracy.of(control), paired_difference(cohort.classification, control))


def _texts(cohort: Cohort) -> Sequence[str]:
    if cohort.signatures.prompts.texts is None:
        message = "the signatures hold no texts"
        raise NotComputable(message)
    return cohort.signatures.prompts.texts
