"""Controls: what words, length and token identity alone explain."""

from dataclasses import dataclass

from moexray.stats.categories.partial import PartialEffect
from moexray.stats.categories.surface import PairedDifference
from moexray.studies.sections.classifier import Accuracy
from moexray.studies.sections.same_token import TokenIdentity


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
class Controls:
    """What words, length and token identity alone explain; None where it could not be computed.

    Attributes
    ----------
    length, lexical
        Classifiers of the number of prompt tokens, and of the words of the prompt.
    partial
        The category effect on similarity with words and length held fixed.
    near_duplicates
        Ids of two prompts with almost the same words, and the Jaccard index of their words and pairs of words.
    token_identity
        What token identity explains; None without a trace.
    """

    length: Control | None
    lexical: Control | None
    partial: PartialEffect | None
    near_duplicates: tuple[tuple[str, str, float], ...] | None
    token_identity: TokenIdentity | None
