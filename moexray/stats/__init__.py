"""One statistic a file: plain functions over arrays that return frozen dataclasses, or numbers.

This is the list of them: a new statistic is a new file, and its name here. What only some of them need of SciPy and
scikit-learn is imported where it computes, so that all of them together load little more than NumPy.
"""

from moexray.stats.auc import Auc, exact_auc
from moexray.stats.balance import Baseline, load_matched_baseline, uniform_baseline
from moexray.stats.classifier import Classification, classifier_p_value, classify, classify_words
from moexray.stats.clusters import CategorySilhouettes, CentroidDistance, category_silhouettes, centroid_distance
from moexray.stats.coactivation import Coactivation, coactivation
from moexray.stats.controls import PairedDifference, paired_difference, surface_likenesses
from moexray.stats.depth import DepthTrend, depth_trend
from moexray.stats.expected_routing import ExpectedRouting, OtherBlocks, expected_routing
from moexray.stats.information import Bits, RoutingInformation, routing_information, table_information
from moexray.stats.jackknife import jackknife_interval, logit_interval, mean_interval
from moexray.stats.layers import LayerPValues, LayerStatistics, layer_accuracies, layer_p_values, layer_statistics
from moexray.stats.load import LayerLoad, layer_loads
from moexray.stats.paired import PairedLayer, jensen_shannon_bits, paired_routing
from moexray.stats.pairs import PairSummary, cohens_d
from moexray.stats.partial import PartialEffect, partial_effect
from moexray.stats.pca import PrincipalComponents, principal_components
from moexray.stats.peak import peak_layer_interval
from moexray.stats.permutation import PermutationTest, p_value, permutation_test
from moexray.stats.phases import PhaseComparison, PhaseEffect, compare_phases
from moexray.stats.residual_test import ResidualTest, residual_test
from moexray.stats.saturation import Saturation, router_saturation
from moexray.stats.shrinkage import dirichlet_strength, shrunk_routing
from moexray.stats.similarity import CategoryEffect, Similarity, category_effect, similarity, unit_rows
from moexray.stats.specialisation import (
    SpecialisationTests,
    domain_specialisation,
    specialisation_tests,
    vocabulary_specialisation,
)
from moexray.stats.specifications import Specification, jensen_shannon, specifications
from moexray.stats.token_identity import SameTokenTest, same_token_test
from moexray.stats.token_share import TokenShare, token_share
from moexray.stats.token_sums import TokenRows, selections, token_rows
from moexray.stats.words import near_duplicates, word_similarities

__all__ = [
    "Auc",
    "Baseline",
    "Bits",
    "CategoryEffect",
    "CategorySilhouettes",
    "CentroidDistance",
    "Classification",
    "Coactivation",
    "DepthTrend",
    "ExpectedRouting",
    "LayerLoad",
    "LayerPValues",
    "LayerStatistics",
    "OtherBlocks",
    "PairSummary",
    "PairedDifference",
    "PairedLayer",
    "PartialEffect",
    "PermutationTest",
    "PhaseComparison",
    "PhaseEffect",
    "PrincipalComponents",
    "ResidualTest",
    "RoutingInformation",
    "SameTokenTest",
    "Saturation",
    "Similarity",
    "SpecialisationTests",
    "Specification",
    "TokenRows",
    "TokenShare",
    "category_effect",
    "category_silhouettes",
    "centroid_distance",
    "classifier_p_value",
    "classify",
    "classify_words",
    "coactivation",
    "cohens_d",
    "compare_phases",
    "depth_trend",
    "dirichlet_strength",
    "domain_specialisation",
    "exact_auc",
    "expected_routing",
    "jackknife_interval",
    "jensen_shannon",
    "jensen_shannon_bits",
    "layer_accuracies",
    "layer_loads",
    "layer_p_values",
    "layer_statistics",
    "load_matched_baseline",
    "logit_interval",
    "mean_interval",
    "near_duplicates",
    "p_value",
    "paired_difference",
    "paired_routing",
    "partial_effect",
    "peak_layer_interval",
    "permutation_test",
    "principal_components",
    "residual_test",
    "router_saturation",
    "routing_information",
    "same_token_test",
    "selections",
    "shrunk_routing",
    "similarity",
    "specialisation_tests",
    "specifications",
    "surface_likenesses",
    "table_information",
    "token_rows",
    "token_share",
    "uniform_baseline",
    "unit_rows",
    "vocabulary_specialisation",
    "word_similarities",
]
