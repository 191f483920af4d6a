"""Limits of an analysis: how many prompts and permutations each part takes at most."""

from dataclasses import dataclass

from moexray.signatures import MOST_IN_MEMORY

# A p-value below this is called significant, after the adjustment for several tests where there are several.
LEVEL = 0.05


@dataclass(frozen=True)
class Limits:
    """How many prompts and permutations each part of a study takes at most.

    A permutation of a classifier costs a cross-validation, and a part that compares every two prompts takes memory by
    the square of their number. With n permutations, p-values go down to 1 / (n + 1).

    Attributes
    ----------
    in_memory, sample
        Up to `in_memory` prompts all are held in memory; of more, `sample` are drawn at random for what needs that.
    named
        Ids of prompts without tokens that a note names.
    balance_prompts, balance_picks
        Prompts whose tokens the nulls of load balancing draw anew, some hundred times, and the selections of those
        tokens in all layers.
    classifier_repeats, classifier_rows
        Partitions into folds of each classifier: so many, or fewer, down to one, where prompts times partitions would
        be more than `classifier_rows`.
    classifier_prompts, classifier_permutations, classifier_test_repeats, classifier_test_rows
        Of the classifier's permutation test, and the same of its partitions.
    location_products
        Products of the tests of location and of dispersion, which for each permutation take one for every two prompts
        and category.
    partial_prompts, partial_permutations
        Of the effect with words and length held fixed, whose changes of sign each fit a matrix of prompts by prompts.
    layer_permutations
        Of the tests of single layers.
    phase_permutations
        Of the comparison of phases.
    specification_permutations
        Of each specification.
    token_prompts
        Prompts of the token-identity control, which has matrices of prompts by prompts for every layer.
    gain_permutations, gain_permutations_of_many, gain_many
        Of the same-token test, and fewer where there are more than `gain_many` prompts.
    expected_permutations, residual_permutations, information_permutations
        Of expected signatures, of residual ones, and of the bits of each layer.
    token_bytes
        Memory for the layers that are summed in one reading of a trace.
    plane_permutations
        Of claims about the plane of two components.
    """

    in_memory: int = MOST_IN_MEMORY
    sample: int = 2000
    named: int = 100
    balance_prompts: int = 500
    balance_picks: int = 4_000_000
    classifier_repeats: int = 10
    classifier_rows: int = 2000
    classifier_prompts: int = 500
    classifier_permutations: int = 500
    classifier_test_repeats: int = 4
    classifier_test_rows: int = 500
    location_products: int = 10**11
    partial_prompts: int = 500
    partial_permutations: int = 2000
    layer_permutations: int = 2000
    phase_permutations: int = 2000
    specification_permutations: int = 1000
    token_prompts: int = 500
    gain_permutations: int = 2000
    gain_permutations_of_many: int = 1000
    gain_many: int = 100
    expected_permutations: int = 10_000
    residual_permutations: int = 1000
    information_permutations: int = 1000
    token_bytes: int = 2**30
    plane_permutations: int = 1000

    def repeats_of(self, prompts: int) -> int:
        """Return the partitions into folds of a classifier of so many prompts."""
        return max(1, min(self.classifier_repeats, self.classifier_rows // prompts))

    def test_repeats_of(self, prompts: int) -> int:
        """Return the partitions into folds of the classifier's permutation test."""
        return max(1, min(self.classifier_test_repeats, self.classifier_test_rows // prompts))


LIMITS = Limits()
