"""A linear classifier of categories from signatures."""

from dataclasses import dataclass

from moexray.stats.categories.classifier import Classification, classifier_p_value
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class Accuracy:
    """Cross-validated accuracy: mean and standard deviation over folds, 95 % interval, and each fold's."""

    mean: float
    std: float
    ci: Interval
    folds: tuple[float, ...]

    @staticmethod
    def of(found: Classification) -> "Accuracy":
        """Return the accuracy of cross-validated predictions."""
        return Accuracy(found.accuracy, found.accuracy_std, found.accuracy_ci, found.fold_accuracies)


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
        Categories, and the number of prompts ``[true category][predicted category]``.
    """

    accuracy: Accuracy
    chance: float
    p_value: float | None
    permutations: int
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def classifier(cohort: Cohort, notes: Notes) -> Classifier:
    """Cross-validate a classifier of signatures, and test its accuracy under permuted labels."""
    found = cohort.classification
    permutations = min(cohort.permutations, cohort.limits.classifier_permutations)
    some = cohort.sample(cohort.limits.classifier_prompts, "classifier.p_value")
    notes.sampled(some, cohort, "p_value")

    def p_value() -> float:
        return classifier_p_value(some.vectors, some.labels, permutations=permutations, **some.fold_options)

    return Classifier(
        accuracy=Accuracy.of(found),
        chance=found.chance,
        p_value=notes.attempt("p_value", p_value),
        permutations=permutations,
        labels=found.labels,
        confusion=tuple(map(tuple, found.confusion.tolist())),
    )
