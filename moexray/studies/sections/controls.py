"""Controls: what words, length and token identity alone explain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.formats import count
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.categories.partial import PartialEffect, partial_effect
from moexray.stats.categories.surface import (
    PairedDifference,
    length_features,
    log_lengths,
    paired_difference,
    signature_products,
    surface_similarities,
)
from moexray.stats.categories.word_classifier import classify_characters, classify_token_ids, classify_words
from moexray.stats.categories.words import MOST_PROMPTS, near_duplicates
from moexray.stats.inference.units import units_of
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.section import section
from moexray.studies.sections.classifier import Accuracy
from moexray.studies.sections.studied_text import lengths_by_segment, studied_text
from moexray.studies.sections.token_identity import TokenIdentity, token_identity
from moexray.studies.shown_images import images_shown

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


@dataclass(frozen=True)
class LexicalControl(Control):
    """Classifiers of the text of the tokens under study; that of its words is the first.

    Attributes
    ----------
    of
        Which text: ``prompt``, ``output`` or ``prompt and output``; None in an analysis of before, which read prompts
        whatever the tokens.
    words, characters, token_ids
        Bags of words, of runs of two to four characters, and of token ids; the last needs a trace.
    """

    of: str | None = optional()
    words: Control | None = optional(beside="of")
    characters: Control | None = optional(beside="of")
    token_ids: Control | None = optional(beside="of")


def length_alone(cohort: Cohort, _notes: Notes) -> Control:
    """Classify prompts by the number of the tokens under study."""
    features = length_features(lengths_by_segment(cohort))
    return _beside_signatures(cohort, classify(features, cohort.labels, **cohort.fold_options))


def text_alone(cohort: Cohort, notes: Notes) -> LexicalControl:
    """Classify prompts by the text of the tokens under study: its words, its characters and its token ids."""
    text = studied_text(cohort)
    words = _beside_signatures(cohort, classify_words(text.texts, cohort.labels, **cohort.fold_options))
    characters = classify_characters(text.texts, cohort.labels, **cohort.fold_options)
    return LexicalControl(
        accuracy=words.accuracy,
        signatures_less_this=words.signatures_less_this,
        of=text.of,
        words=words,
        characters=_beside_signatures(cohort, characters),
        token_ids=notes.attempt("token_ids", lambda: token_ids_alone(cohort)),
    )


def token_ids_alone(cohort: Cohort) -> Control:
    """Classify prompts by the ids of the tokens under study.

    Raises
    ------
    NotComputable
        If there is no trace.
    """
    if cohort.trace is None:
        message = "it needs a trace: moexray analyze SIGNATURES --trace TRACE"
        raise NotComputable(message)
    places = cohort.trace.signatures.prompts.place_of()
    rows: NDArray[np.integer] = np.array([places[name] for name in cohort.signatures.prompts.ids])
    routed = cohort.trace.tokens(rows, cohort.tokens)
    found = classify_token_ids(routed.token_ids, routed.prompts, cohort.labels, **cohort.fold_options)
    return _beside_signatures(cohort, found)


def both_held_fixed(cohort: Cohort, notes: Notes) -> PartialEffect:
    """Measure the category effect on similarity with words and length of the tokens under study held fixed."""
    studied_text(cohort)
    some = cohort.sample(cohort.limits.partial_prompts, "controls.partial")
    notes.sampled(some, cohort)
    vectors, lengths, groups = some.vectors, lengths_by_segment(some), some.signatures.prompts.groups
    rng = cohort.rng("controls.partial")
    return partial_effect(
        signature_products(vectors),
        some.labels,
        surface_similarities(vectors, studied_text(some).texts, lengths, units=units_of(some.labels, groups), rng=rng),
        permutations=min(cohort.permutations, cohort.limits.partial_permutations),
        rng=rng,
        groups=groups,
        features=log_lengths(lengths),
    )


def near_duplicate_prompts(cohort: Cohort, notes: Notes) -> tuple[NearDuplicate, ...]:
    """Find prompts with almost the same words, and the same images."""
    texts, ids = cohort.signatures.prompts.texts, cohort.signatures.prompts.ids
    if texts is None:
        message = "the signatures hold no texts"
        raise NotComputable(message)
    if len(texts) > MOST_PROMPTS:
        message = f"every two of more than {MOST_PROMPTS:,} prompts are not compared"
        raise NotComputable(message)
    shown = images_shown(cohort.signatures)
    unknown = shown.count(None)
    if unknown:
        notes.add("prompts", f"{count(unknown, 'prompt')} whose images were not recorded are compared with no other")
    found = [
        (i, j, jaccard) for i, j, jaccard in near_duplicates(texts) if shown[i] is not None and shown[i] == shown[j]
    ]
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
        Classifiers of the number of the tokens under study, and of their text.
    partial
        The category effect on similarity with words and length held fixed.
    near_duplicates
        Prompts with almost the same words and the same images.
    token_identity
        What token identity explains; None without a trace.
    """

    length: Control | None = section(length_alone)
    lexical: LexicalControl | None = section(text_alone)
    partial: PartialEffect | None = section(both_held_fixed)
    near_duplicates: tuple[NearDuplicate, ...] | None = section(near_duplicate_prompts)
    token_identity: TokenIdentity | None = section(token_identity)


def _beside_signatures(cohort: Cohort, control: Classification) -> Control:
    return Control(Accuracy.of(control), paired_difference(cohort.classification, control))
