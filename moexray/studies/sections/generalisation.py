"""Whether the classifier generalises: to groups that it was not trained on, and to the prompts of another capture."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from moexray.errors import NotComputable
from moexray.formats import token_text
from moexray.signatures import Signatures
from moexray.stats.categories.classifier import classify
from moexray.stats.categories.generalisation import beside_ignoring, folds_of_groups
from moexray.stats.categories.other_prompts import SimilarityToTraining, classify_others, similarity_to_training
from moexray.stats.categories.surface import PairedDifference
from moexray.stats.inference.resampled import Share
from moexray.studies.cohort import Cohort
from moexray.studies.held_out import held_out
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes
from moexray.studies.sections.classifier import BalancedAccuracy, attempt_test


@dataclass(frozen=True)
class Generalisation:
    """The classifier on groups (templates, sources, contents) that it was not trained on.

    Attributes
    ----------
    groups, folds, repeats
        Number of groups, a prompt without one being its own; of folds, which leave out whole groups; and of partitions.
    accuracy, balanced
        Of prompts whose groups were left out, with intervals over groups.
    ignoring_groups, balanced_ignoring_groups
        The same where folds take no notice of groups, so that a prompt of the same group may be in training.
    drop
        Accuracy that ignores groups minus the other, paired by prompt.
    chance
        Accuracy of always predicting the most frequent category.
    p_value, permutations
        Of the accuracy where groups are left out, under labels permuted over groups.
    """

    groups: int
    folds: int
    repeats: int
    accuracy: Share
    balanced: BalancedAccuracy
    ignoring_groups: Share
    balanced_ignoring_groups: Share
    drop: PairedDifference
    chance: float
    p_value: float | None
    permutations: int


def generalisation(cohort: Cohort, notes: Notes) -> Generalisation:
    """Classify prompts of groups that were left out, and compare with folds that take no notice of groups."""
    groups = cohort.signatures.prompts.groups
    if groups is None:
        message = "no groups are declared: `group` says which template or source a prompt comes from"
        raise NotComputable(message)
    folds = folds_of_groups(cohort.labels, groups, most=cohort.folds)
    by_group = cohort if folds == cohort.folds else replace(cohort, folds=folds)
    ignoring = classify(cohort.vectors, cohort.labels, **{**by_group.fold_options, "groups": None})
    found = beside_ignoring(by_group.classification, ignoring)
    test = attempt_test(by_group, notes)
    return Generalisation(
        groups=found.groups,
        folds=folds,
        repeats=len(ignoring.right),
        accuracy=found.accuracy,
        balanced=BalancedAccuracy(
            found.balanced_accuracy.mean,
            found.balanced_accuracy.ci,
            chance=1 / len(set(cohort.labels)),
            p_value=None if test is None else test.balanced_p_value,
        ),
        ignoring_groups=found.ignoring_groups,
        balanced_ignoring_groups=found.balanced_ignoring_groups,
        drop=PairedDifference(found.drop, found.drop_ci),
        chance=max(Counter(cohort.labels).values()) / len(cohort),
        p_value=None if test is None else test.p_value,
        permutations=cohort.classifier_permutations,
    )


@dataclass(frozen=True)
class Tested:
    """The classifier, trained on all prompts that are analyzed, on the prompts of another capture.

    Attributes
    ----------
    prompts, categories
        Prompts of the test, in all and of each category.
    accuracy, balanced
        With intervals over the prompts of the test, or its groups.
    chance
        The best accuracy of naming one category always.
    p_value, permutations
        Of the test's labels, permuted against fixed predictions.
    labels, confusion
        Categories, and the number of prompts of the test ``[true category][predicted category]``.
    similarity
        Of the test's prompts to the training prompts of their own category, and of all others.
    """

    prompts: int
    categories: Mapping[str, int]
    accuracy: Share
    balanced: BalancedAccuracy
    chance: float
    p_value: float | None
    permutations: int
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    similarity: SimilarityToTraining


def tested(cohort: Cohort, notes: Notes) -> Tested:
    """Train the classifier on the prompts of the cohort, and test it on those of another capture."""
    if cohort.test is None:
        message = "there is no other capture to test on"
        raise NotComputable(message)
    usable = held_out(cohort.all, cohort.test)
    other = Cohort.of(
        usable.signatures,
        tokens=cohort.tokens,
        weighting=cohort.weighting,
        seed=cohort.seed,
        limits=cohort.limits,
    )
    if usable.settings:
        notes.add("settings", f"the test was captured with other settings: {usable.settings}")
    _note_prompts(cohort, other, usable.left_out, notes)
    groups = other.signatures.prompts.groups
    training, test = (cohort.vectors, cohort.labels), (other.vectors, other.labels)
    rng = cohort.rng("test")
    found = classify_others(training, test, permutations=cohort.permutations, groups=groups, rng=rng)
    if found.p_value is None:
        notes.add("p_value", "all prompts of the test have one category")
    elif found.least_p > LEVEL:
        notes.add("p_value", f"prompts or groups are too few for a p-value below {found.least_p:.2g}")
    sizes = Counter(other.labels)
    return Tested(
        prompts=len(other),
        categories=dict(sorted(sizes.items())),
        accuracy=found.accuracy,
        balanced=BalancedAccuracy(
            found.balanced_accuracy.mean, found.balanced_accuracy.ci, 1 / len(sizes), found.balanced_p_value
        ),
        chance=found.chance,
        p_value=found.p_value,
        permutations=cohort.permutations,
        labels=found.labels,
        confusion=tuple(map(tuple, found.confusion.tolist())),
        similarity=similarity_to_training(training, test, groups=groups),
    )


def _note_prompts(cohort: Cohort, other: Cohort, left_out: tuple[str, ...], notes: Notes) -> None:
    """Note which prompts of a test are not used, and which share a group with training."""
    named = cohort.limits.named
    if left_out:
        more = f" and {len(left_out) - named:,} more" if len(left_out) > named else ""
        note = f"{len(left_out):,} are among what is analyzed, and left out: {', '.join(left_out[:named])}{more}"
        notes.add("prompts", note)
    silent = len(other.all) - len(other.all_labels)
    if silent:
        notes.add("tokens", f"{silent:,} have no {token_text(cohort.tokens)} and are left out")
    if not other.complete:
        notes.add("sample", str(other.sampled()))
    ours, theirs = (_groups(one.signatures) for one in (cohort, other))
    shared = sum(group in ours for group in theirs)
    if shared:
        notes.add("groups", f"{shared:,} prompts are of groups that are in training, too: their templates are not new")


def _groups(signatures: Signatures) -> list[str]:
    return [group for group in signatures.prompts.groups or () if group]
