"""Statistics: functions of arrays that return frozen dataclasses or numbers, one statistic a file.

This is their list: a new statistic is a new file, and its name here. SciPy and scikit-learn are imported inside the
functions that need them, so that importing all statistics loads little more than NumPy. Folders import one way:
workloads, kinds, tokens, experts, layers, categories, then pairs, then inference.
"""

from moexray.stats.categories.alternatives import Specification, specifications
from moexray.stats.categories.balance import (
    AcrossUnderNull,
    Baseline,
    WithinUnderNull,
    load_matched_baseline,
    uniform_baseline,
)
from moexray.stats.categories.classifier import Classification, classify
from moexray.stats.categories.clusters import (
    CategorySilhouettes,
    CentroidDistance,
    category_silhouettes,
    centroid_distance,
)
from moexray.stats.categories.dispersion import DispersionTest, Spread, dispersion_test
from moexray.stats.categories.generalisation import LeftOutGroups, leave_groups_out
from moexray.stats.categories.joint import SpecificationTest, specification_test
from moexray.stats.categories.location import LocationTest, location_test
from moexray.stats.categories.other_prompts import (
    OtherPrompts,
    SimilarityToTraining,
    classify_others,
    similarity_to_training,
)
from moexray.stats.categories.partial import PartialEffect, partial_effect
from moexray.stats.categories.pca import PrincipalComponents, principal_components
from moexray.stats.categories.permuted_classifier import ClassifierTest, classifier_p_value, classifier_test
from moexray.stats.categories.plane_intervals import closeness_of_pair, silhouette_intervals
from moexray.stats.categories.population import Population, StudyDesign, estimated_population, population_of_effect
from moexray.stats.categories.power import simulated_power
from moexray.stats.categories.segments import SegmentComparison, SegmentEffect, compare_segments
from moexray.stats.categories.surface import PairedDifference, paired_difference, surface_similarities
from moexray.stats.categories.word_classifier import classify_words
from moexray.stats.categories.words import near_duplicates, word_similarities
from moexray.stats.experts.coactivation import Coactivation, coactivation
from moexray.stats.experts.paired import PairedLayer, paired_routing
from moexray.stats.experts.saturation import Saturation, router_saturation
from moexray.stats.experts.specialisation import (
    SpecialisationTests,
    domain_specialisation,
    specialisation_tests,
    vocabulary_specialisation,
)
from moexray.stats.inference.jackknife import jackknife_interval, logit_interval, mean_interval
from moexray.stats.inference.multiple import LayerPValues
from moexray.stats.inference.permutation import PermutationTest, p_value
from moexray.stats.inference.pooling import PooledEffect, pooled_effect
from moexray.stats.inference.replication import Estimate, StudyDifference, study_difference
from moexray.stats.kinds.bias import KindsInLayer, kinds_by_layer
from moexray.stats.kinds.devices import MixedLoad, busiest, device_loads, mixed_loads
from moexray.stats.kinds.even import EvenLoad, even_loads
from moexray.stats.kinds.exchange import KindDifference, difference_within
from moexray.stats.kinds.matched import matched_counts
from moexray.stats.kinds.separate import difference_between
from moexray.stats.kinds.shift import MsiShift, ShiftedLayer, msi_shift, shift_of_kinds
from moexray.stats.layers.by_layer import (
    LayerStatistics,
    layer_accuracies,
    layer_p_values,
    layer_statistics,
)
from moexray.stats.layers.depth import DepthTrend, depth_trend
from moexray.stats.layers.load import LayerLoad, layer_loads
from moexray.stats.layers.peak import peak_layer_interval, peak_layers
from moexray.stats.layers.violation import max_violations
from moexray.stats.pairs.auc import Auc, exact_auc
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import CategoryEffect, Similarity, category_effect, similarity, unit_rows
from moexray.stats.pairs.summaries import PairSummary, cohens_d
from moexray.stats.tokens.entropy import Bits, table_information
from moexray.stats.tokens.expected import ExpectedRouting, OtherBlocks, expected_routing
from moexray.stats.tokens.information import RoutingInformation, routing_information
from moexray.stats.tokens.residual import ResidualTest, residual_test
from moexray.stats.tokens.same_token import SameTokenTest, same_token_test
from moexray.stats.tokens.share import TokenShare, token_share
from moexray.stats.tokens.sums import TokenRows, selections, token_rows
from moexray.stats.workloads.batch_loads import BatchLoads, batch_loads
from moexray.stats.workloads.coactivation_groups import coactivation_devices
from moexray.stats.workloads.consistency import consistency, independent_counts, window_counts
from moexray.stats.workloads.device_loads import balancedness, devices_touched, uniform_devices_touched
from moexray.stats.workloads.distinct import DistinctExperts, distinct_experts
from moexray.stats.workloads.eplb import eplb
from moexray.stats.workloads.graph_devices import graph_devices
from moexray.stats.workloads.home_devices import homes_of, sends_at_home
from moexray.stats.workloads.lanes import Lanes, Uses, lanes_by_layer, lanes_of_all_layers, uses_of
from moexray.stats.workloads.lookahead import lookahead_depth_counts
from moexray.stats.workloads.plain_placements import category_bins
from moexray.stats.workloads.prediction import transitions
from moexray.stats.workloads.reached import expected_reached
from moexray.stats.workloads.recency import Recency, recency_of
from moexray.stats.workloads.shared_cache import shared_lru_depths
from moexray.stats.workloads.slots import Slots, slots_of
from moexray.stats.workloads.stacks import (
    belady_priorities,
    depth_counts,
    fixed_priorities,
    lfu_priorities,
    lru_priorities,
)
from moexray.stats.workloads.token_traffic import Traffic, traffic

__all__ = [
    "AcrossUnderNull",
    "Auc",
    "Baseline",
    "BatchLoads",
    "Bits",
    "CategoryEffect",
    "CategorySilhouettes",
    "CentroidDistance",
    "Classification",
    "ClassifierTest",
    "Coactivation",
    "DepthTrend",
    "DispersionTest",
    "DistinctExperts",
    "Estimate",
    "EvenLoad",
    "ExpectedRouting",
    "KindDifference",
    "KindsInLayer",
    "Lanes",
    "LayerLoad",
    "LayerPValues",
    "LayerStatistics",
    "LeftOutGroups",
    "LocationTest",
    "MixedLoad",
    "MsiShift",
    "OtherBlocks",
    "OtherPrompts",
    "PairSummary",
    "PairedDifference",
    "PairedLayer",
    "PartialEffect",
    "PermutationTest",
    "PooledEffect",
    "Population",
    "PrincipalComponents",
    "Recency",
    "ResidualTest",
    "RoutingInformation",
    "SameTokenTest",
    "Saturation",
    "SegmentComparison",
    "SegmentEffect",
    "ShiftedLayer",
    "Similarity",
    "SimilarityToTraining",
    "Slots",
    "SpecialisationTests",
    "Specification",
    "SpecificationTest",
    "Spread",
    "StudyDesign",
    "StudyDifference",
    "TokenRows",
    "TokenShare",
    "Traffic",
    "Uses",
    "WithinUnderNull",
    "balancedness",
    "batch_loads",
    "belady_priorities",
    "busiest",
    "category_bins",
    "category_effect",
    "category_silhouettes",
    "centroid_distance",
    "classifier_p_value",
    "classifier_test",
    "classify",
    "classify_others",
    "classify_words",
    "closeness_of_pair",
    "coactivation",
    "coactivation_devices",
    "cohens_d",
    "compare_segments",
    "consistency",
    "depth_counts",
    "depth_trend",
    "device_loads",
    "devices_touched",
    "difference_between",
    "difference_within",
    "dispersion_test",
    "distinct_experts",
    "domain_specialisation",
    "eplb",
    "estimated_population",
    "even_loads",
    "exact_auc",
    "expected_reached",
    "expected_routing",
    "fixed_priorities",
    "graph_devices",
    "homes_of",
    "independent_counts",
    "jackknife_interval",
    "jensen_shannon",
    "kinds_by_layer",
    "lanes_by_layer",
    "lanes_of_all_layers",
    "layer_accuracies",
    "layer_loads",
    "layer_p_values",
    "layer_statistics",
    "leave_groups_out",
    "lfu_priorities",
    "load_matched_baseline",
    "location_test",
    "logit_interval",
    "lookahead_depth_counts",
    "lru_priorities",
    "matched_counts",
    "max_violations",
    "mean_interval",
    "mixed_loads",
    "msi_shift",
    "near_duplicates",
    "p_value",
    "paired_difference",
    "paired_routing",
    "partial_effect",
    "peak_layer_interval",
    "peak_layers",
    "permutation_test",
    "pooled_effect",
    "population_of_effect",
    "principal_components",
    "recency_of",
    "residual_test",
    "router_saturation",
    "routing_information",
    "same_token_test",
    "selections",
    "sends_at_home",
    "shared_lru_depths",
    "shift_of_kinds",
    "silhouette_intervals",
    "similarity",
    "similarity_to_training",
    "simulated_power",
    "slots_of",
    "specialisation_tests",
    "specification_test",
    "specifications",
    "study_difference",
    "surface_similarities",
    "table_information",
    "token_rows",
    "token_share",
    "traffic",
    "transitions",
    "uniform_baseline",
    "uniform_devices_touched",
    "unit_rows",
    "uses_of",
    "vocabulary_specialisation",
    "window_counts",
    "word_similarities",
]
