"""The kinds of test that a claim can name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moexray.claims import baselines, plane, settings, values
from moexray.claims.claim import Claim, Finding
from moexray.claims.evidence import Evidence


@dataclass(frozen=True)
class Kind:
    """A test of claims.

    Attributes
    ----------
    run
        Gives the finding; raises `NotComputable` where the analysis lacks a figure.
    rule
        What decides, in words.
    values
        The values that a claim must give, each with what it is: ``number``, ``count``, ``name`` or ``two names``.
    more
        Values that it may give as well, which are shown but decide nothing.
    """

    run: Callable[[Claim, Evidence], Finding]
    rule: str
    values: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


_MEAN, _STD = {"mean": "number"}, {"std": "number"}
_RANGE = {"low": "number", "high": "number"}
_ELSE_WITHIN_ABOVE = "direction only: within above across, permutation p < 0.05"

KINDS: Mapping[str, Kind] = {
    "layout": Kind(
        settings.layout,
        "layers, experts and k are equal",
        {"layers": "count", "experts": "count", "top_k": "count"},
    ),
    "generated_tokens": Kind(
        settings.generated_tokens, "the setting is equal, and no prompt ended before", {"tokens": "count"}
    ),
    "similarity_within": Kind(
        values.similarity_within, f"published mean in the 95 % interval; {_ELSE_WITHIN_ABOVE}", _MEAN, _STD
    ),
    "similarity_across": Kind(
        values.similarity_across, f"published mean in the 95 % interval; {_ELSE_WITHIN_ABOVE}", _MEAN, _STD
    ),
    "effect_size": Kind(
        values.effect_size,
        "published d in the 95 % interval; direction only: d > 0, permutation p < 0.05",
        {"d": "number"},
    ),
    "similarity_of_categories": Kind(
        values.similarity_of_categories,
        "every category's 95 % interval meets the published range; direction only: every category above all pairs "
        "across, permutation p < 0.05",
        _RANGE,
    ),
    "similarity_of_pairs": Kind(
        values.similarity_of_pairs,
        "the 95 % intervals of more than half of the pairs of categories meet the published range; direction only: "
        "every pair below all pairs within, permutation p < 0.05",
        _RANGE,
    ),
    "above_balance": Kind(
        baselines.above_balance, "above the 95 % interval of both baselines; direction only: of one of them"
    ),
    "below_balance": Kind(
        baselines.below_balance, "below the 95 % interval of both baselines; direction only: of one of them"
    ),
    "shuffled_labels": Kind(baselines.shuffled_labels, "permutation p < 0.05"),
    "accuracy": Kind(
        values.accuracy,
        "published accuracy in the 95 % interval; direction only: above chance, permutation p < 0.05",
        _MEAN,
        _STD,
    ),
    "peak_layer": Kind(
        values.peak_layer,
        "effect grows with depth (Spearman > 0, p < 0.05), and the published layer lies in the 95 % interval of the "
        "peak; direction only: it grows, but peaks elsewhere",
        {"layer": "count"},
    ),
    "distinct_clusters": Kind(
        plane.distinct_clusters,
        "every category's mean silhouette in the plane is above 0, permutation p of the smallest < 0.05; direction "
        "only: p is not",
    ),
    "own_region": Kind(
        plane.own_region,
        "the category's mean silhouette in the plane is above 0, permutation p < 0.05; direction only: p is not",
        {"category": "name"},
    ),
    "adjacent": Kind(
        plane.adjacent,
        "the two centroids in the plane are among the closest two pairs, yet differ, p < 0.05 with labels shuffled "
        "within the two; direction only: p is not",
        {"categories": "two names"},
    ),
}
