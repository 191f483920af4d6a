"""The prompt's and the generated tokens of the same prompts, compared."""

from dataclasses import dataclass

from moexray.stats.pairs.summaries import Interval


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
    """A mean similarity and its 95 % interval over prompts."""

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
        Mean similarity of a prompt's signature with those of other prompts in the other phase.
    p_value, permutations
        Of `own`, with the generated signatures permuted within categories.
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
