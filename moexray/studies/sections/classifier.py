"""A linear classifier of categories from signatures."""

from dataclasses import dataclass

from moexray.stats.pairs.summaries import Interval


@dataclass(frozen=True)
class Accuracy:
    """Cross-validated accuracy: mean and standard deviation over folds, 95 % interval, and each fold's."""

    mean: float
    std: float
    ci: Interval
    folds: tuple[float, ...]


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
