"""The control of token identity: tokens compared with the same ids in other prompts."""

from dataclasses import dataclass

from moexray.stats.pairs.summaries import Interval
from moexray.stats.tokens.information import Bits
from moexray.stats.tokens.share import TokenShare
from moexray.studies.codec import optional


@dataclass(frozen=True)
class LayerGain:
    """One layer of the same-token test, with the central 95 % of its permutation distribution."""

    layer: int
    gain: float
    null_ci: Interval
    p_value: float
    p_value_corrected: float


@dataclass(frozen=True)
class GainOfAll:
    """The gain over all prompts, where the test looked at some of them."""

    gain: float | None
    by_layer: tuple[float | None, ...]


@dataclass(frozen=True)
class SameToken:
    """Experts that two occurrences of a token id share, within categories minus across.

    Attributes
    ----------
    gain, ci
        The difference, a share of the k experts.
    within
        The share within categories.
    null_mean, null_std, p_value, permutations
        Of permuted labels.
    ids
        How many token ids make pairs.
    by_layer
        Each layer's gain.
    every_prompt
        The gain of all prompts, where the rest is of a sample.
    """

    gain: float
    ci: Interval | None
    within: float
    null_mean: float
    null_std: float
    p_value: float
    permutations: int
    ids: int
    by_layer: tuple[LayerGain, ...]
    every_prompt: GainOfAll | None = optional()


@dataclass(frozen=True)
class LayerPValue:
    """A layer's p-value, and the same adjusted for the number of layers."""

    layer: int
    p_value: float
    p_value_corrected: float


@dataclass(frozen=True)
class Separation:
    """How far categories are apart in one kind of signatures.

    Attributes
    ----------
    p_value, permutations, by_layer
        Of permuted labels; the last two where they have a test of their own.
    accuracy, accuracy_ci
        Of a classifier of these signatures.
    """

    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    p_value: float | None = None
    accuracy: float | None = None
    accuracy_ci: Interval | None = None
    permutations: int | None = optional()
    by_layer: tuple[LayerPValue, ...] | None = optional()


@dataclass(frozen=True)
class LayerSeparation:
    """Cohen's d of one layer."""

    layer: int
    observed: float | None
    expected: float | None
    residual: float | None


@dataclass(frozen=True)
class Expectation:
    """Signatures as they are, as expected from their token ids, and the difference.

    Attributes
    ----------
    covered
        Share of tokens whose id occurs often enough elsewhere.
    layers
        Cohen's d of each, layer by layer.
    """

    covered: float
    observed: Separation
    expected: Separation
    residual: Separation
    layers: tuple[LayerSeparation, ...]


@dataclass(frozen=True)
class LayerInformation:
    """Mutual information in bits of a token's expert with what is known of the token, in one layer.

    See `moexray.stats.tokens.information.RoutingInformation`.
    """

    layer: int
    token: Bits
    category: Bits
    category_given_token: Bits | None
    position: Bits
    entropy: float
    covered: float
    covered_given_token: float


@dataclass(frozen=True)
class TokenIdentity:
    """What token identity explains; a part is None where it could not be computed.

    Attributes
    ----------
    same_token
        The same id in prompts of one category, and of different ones.
    covered, observed, expected, residual, layers
        Expected from the same ids in other prompts: see `Expectation`.
    other_categories
        Expected from the same ids in other categories.
    share
        Share of the separation of categories that token identity explains.
    information
        Bits, layer by layer.
    """

    same_token: SameToken | None
    covered: float | None
    observed: Separation | None
    expected: Separation | None
    residual: Separation | None
    layers: tuple[LayerSeparation, ...] | None
    other_categories: Expectation | None
    share: TokenShare | None
    information: tuple[LayerInformation, ...] | None
