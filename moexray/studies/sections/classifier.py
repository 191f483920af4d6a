"""A linear classifier of categories from signatures."""

from dataclasses import dataclass

from moexray.stats.categories.classifier import Classification
from moexray.stats.categories.permuted_classifier import ClassifierTest
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import optional
from moexray.studies.cohort import Cohort
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Accuracy:
    """Cross-validated accuracy: the share of right predictions, its 95 % interval, and the spread over folds.

    Attributes
    ----------
    mean, ci
        Over all prompts and partitions into folds.
    std, folds
        Population standard deviation over folds, and each fold's accuracy, partition by partition.
    """

    mean: float
    std: float
    ci: Interval
    folds: tuple[float, ...]

    @staticmethod
    def of(found: Classification) -> "Accuracy":
        """Return the accuracy of cross-validated predictions."""
        return Accuracy(found.accuracy, found.accuracy_std, found.accuracy_ci, found.fold_accuracies)


@dataclass(frozen=True)
class BalancedAccuracy:
    """Accuracy with the same weight for every category, the accuracy of guessing, and the p of permuted labels."""

    mean: float
    ci: Interval
    chance: float
    p_value: float | None = None


@dataclass(frozen=True)
class Classifier:
    """Predictions of the category from the signature alone.

    Attributes
    ----------
    chance
        Accuracy of always predicting the most frequent category.
    p_value, permutations
        Of permuted labels.
    labels, confusion
        Categories, and the number of predictions ``[true category][predicted category]`` in all partitions into folds.
    repeats
        Number of partitions into folds; None in a file of before, which had one.
    balanced_accuracy
        With the same weight for every category.
    """

    accuracy: Accuracy
    chance: float
    p_value: float | None
    permutations: int
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    repeats: int | None = optional()
    balanced_accuracy: BalancedAccuracy | None = optional()


def classifier(cohort: Cohort, notes: Notes) -> Classifier:
    """Cross-validate a classifier of signatures, and test its accuracy under permuted labels."""
    found = cohort.classification
    test = attempt_test(cohort, notes)
    return Classifier(
        accuracy=Accuracy.of(found),
        chance=found.chance,
        p_value=None if test is None else test.p_value,
        permutations=cohort.classifier_permutations,
        labels=found.labels,
        confusion=tuple(map(tuple, found.confusion.tolist())),
        repeats=len(found.right),
        balanced_accuracy=BalancedAccuracy(
            mean=found.balanced_accuracy,
            ci=found.balanced_accuracy_ci,
            chance=1 / len(found.labels),
            p_value=None if test is None else test.balanced_p_value,
        ),
    )


def attempt_test(cohort: Cohort, notes: Notes) -> ClassifierTest | None:
    """Return the permutation test of the classifier; note what it looks at, and where no p-value can be small."""
    notes.sampled(cohort.sample(cohort.limits.classifier_prompts, "classifier.p_value"), cohort, "p_value")
    test = notes.attempt("p_value", lambda: cohort.classifier_test)
    if test is not None and test.least_p > LEVEL:
        notes.add("p_value", f"prompts or groups are too few for a p-value below {test.least_p:.2g}")
    return test
