"""The statistics of an analysis, one after the other, each as JSON values under its key of the document."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from moexray.errors import NotComputable
from moexray.stats.categories.balance import load_matched_baseline, uniform_baseline
from moexray.stats.categories.classifier import classifier_p_value
from moexray.stats.categories.pca import principal_components
from moexray.stats.inference.multiple import LayerPValues, max_t_p_values
from moexray.stats.inference.permutation import permutation_result
from moexray.stats.layers.by_layer import layer_accuracies, layer_p_values, layer_statistics
from moexray.stats.layers.depth import depth_trend
from moexray.stats.layers.load import layer_loads
from moexray.stats.layers.peak import peak_layer_interval
from moexray.stats.pairs.shuffled import permutation_test
from moexray.stats.pairs.similarity import Similarity
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.codec import pair_name
from moexray.studies.cohort import Subject
from moexray.studies.controls import controls
from moexray.studies.segments import phases

# A shuffle of the classifier costs a whole cross-validation; two hundred of them give p down to 0.005.
CLASSIFIER_PERMUTATIONS = 200
CLASSIFIER_SHUFFLED_PROMPTS = 500
# A null of load balancing draws every token of every prompt a hundred times.
BALANCE_PROMPTS = 500


def _similarity(subject: Subject) -> dict[str, Any]:
    found = subject.pairs
    by_pair = {pair_name(a, b): asdict(summary) for (a, b), summary in found.by_pair.items()}
    for name, summary in (("within", found.within), ("across", found.across)):
        _note_few_pairs(subject, f"similarity.{name}", summary)
    for name, summary in found.by_category.items():
        _note_few_pairs(subject, f"similarity.by_category.{name}", summary)
    for key in ("cohens_d", "auc"):
        if getattr(found, key) is None:
            subject.notes[f"similarity.{key}"] = "it needs pairs within and across categories that vary"
    if found.auc is not None and found.auc.error is not None:
        subject.notes["similarity.auc"] = (
            f"estimated from pairs drawn at random: off by at most {found.auc.error:.3f} with a probability of 95 %"
        )
    _note_missing_intervals(subject, found)
    return {
        "within": asdict(found.within),
        "across": asdict(found.across),
        "cohens_d": found.cohens_d,
        "cohens_d_ci": found.cohens_d_ci,
        "auc": found.auc.value if found.auc else None,
        "auc_ci": found.auc.ci if found.auc else None,
        "by_category": {name: asdict(summary) for name, summary in found.by_category.items()},
        "by_pair": by_pair,
    }


def _note_missing_intervals(subject: Subject, found: Similarity) -> None:
    if found.cohens_d is not None and found.cohens_d_ci is None:
        subject.notes["similarity.cohens_d_ci"] = "an interval needs two prompts in each category, left out in turn"
    if subject.signatures.prompts.groups is not None:
        subject.notes["similarity.ci"] = "intervals take prompts as independent: those of one group may not be"


def _note_few_pairs(subject: Subject, key: str, summary: PairSummary) -> None:
    if summary.pairs < 2:
        subject.notes[key] = f"{summary.pairs} pairs: a mean needs one, a standard deviation two"


def _permutation(subject: Subject) -> dict[str, Any]:
    if subject.everything is not None:
        return asdict(permutation_result(subject.differences.whole))
    vectors = subject.vectors
    return asdict(
        permutation_test(vectors, subject.labels, permutations=subject.permutations, rng=subject.rng("permutation"))
    )


def _balance(subject: Subject) -> dict[str, Any]:
    if subject.by == "mass":
        message = "a null of load balancing draws selections: it says nothing of gate mass"
        raise NotComputable(message)
    signatures, observed = subject.few(BALANCE_PROMPTS, "balance"), subject.pairs
    if len(signatures) < 2:
        message = "one prompt makes no pair"
        raise NotComputable(message)
    if signatures.meta.get("router_may_drop"):
        subject.notes["balance.uniform"] = "the router may drop tokens: the null lets each pick k experts all the same"
    uniform = uniform_baseline(
        signatures.lengths(subject.phase),
        signatures.top_k,
        signatures.counts.shape[3],
        observed=observed,
        rng=subject.rng("balance.uniform"),
    )
    matched = load_matched_baseline(
        signatures.loads(subject.phase), observed=observed, rng=subject.rng("balance.load_matched")
    )
    return {name: asdict(null) for name, null in (("uniform", uniform), ("load_matched", matched))}


def _classifier(subject: Subject) -> dict[str, Any]:
    found = subject.classification
    permutations = min(subject.permutations, CLASSIFIER_PERMUTATIONS)
    return {
        "accuracy": {
            "mean": found.accuracy,
            "std": found.accuracy_std,
            "ci": found.accuracy_ci,
            "folds": list(found.fold_accuracies),
        },
        "chance": found.chance,
        "p_value": _classifier_p_value(subject, permutations),
        "permutations": permutations,
        "labels": list(found.labels),
        "confusion": found.confusion.tolist(),
    }


def _classifier_p_value(subject: Subject, permutations: int) -> float | None:
    some = subject.few(CLASSIFIER_SHUFFLED_PROMPTS, "classifier.p_value")
    options = {**subject.classing, "groups": some.prompts.groups}
    try:
        return classifier_p_value(
            some.vectors(subject.phase, weighting=subject.by),
            some.prompts.categories,
            permutations=permutations,
            **options,
        )
    except NotComputable as reason:
        subject.notes["classifier.p_value"] = str(reason)
        return None


def _pca(subject: Subject) -> dict[str, Any]:
    found = principal_components(subject.vectors, subject.labels)
    if found.silhouette is None:
        subject.notes["pca.silhouette"] = "it needs two categories, one of them with two prompts"
    return {
        "explained_variance_ratio": found.explained_variance_ratio.tolist(),
        "coordinates": found.coordinates.tolist(),
        "prompt_ids": list(subject.signatures.prompts.ids),
        "silhouette": found.silhouette,
    }


def _layers(subject: Subject) -> list[dict[str, Any]]:
    accuracies = layer_accuracies(subject.by_layer, subject.labels, **subject.classing)
    found = layer_statistics(subject.signatures.layers.tolist(), subject.layer_effects, accuracies)
    rows = [{**asdict(layer), "p_value": None, "p_value_corrected": None} for layer in found]
    try:
        tests = _layer_p_values(subject)
    except NotComputable as reason:
        subject.notes["layers.p_value"] = str(reason)
        return rows
    for row, p, adjusted in zip(rows, tests.p_values, tests.adjusted, strict=True):
        row.update(p_value=p, p_value_corrected=adjusted)
    return rows


def _layer_p_values(subject: Subject) -> LayerPValues:
    if subject.everything is not None:
        return max_t_p_values(subject.differences.layers)
    return layer_p_values(
        subject.by_layer, subject.labels, permutations=subject.permutations, rng=subject.rng("layers")
    )


def _depth(subject: Subject) -> dict[str, Any]:
    layers = subject.signatures.layers.tolist()
    effect_sizes = [effect.cohens_d for effect in subject.layer_effects]
    trend = depth_trend(layers, effect_sizes, permutations=subject.permutations, rng=subject.rng("depth"))
    without_each = np.column_stack([effect.without_each for effect in subject.layer_effects])
    interval = None
    try:
        interval = peak_layer_interval(effect_sizes, without_each, subject.all_labels, layers, rng=subject.rng("peak"))
    except NotComputable as reason:
        subject.notes["depth.peak_layer_ci"] = str(reason)
    return {**asdict(trend), "peak_layer_ci": interval}


def _load(subject: Subject) -> list[dict[str, Any]]:
    loads = layer_loads(subject.load)
    return [
        {"layer": layer, **asdict(load)} for layer, load in zip(subject.signatures.layers.tolist(), loads, strict=True)
    ]


STATISTICS: Mapping[str, Callable[[Subject], Any]] = {
    "similarity": _similarity,
    "permutation": _permutation,
    "balance": _balance,
    "classifier": _classifier,
    "controls": controls,
    "phases": phases,
    "pca": _pca,
    "layers": _layers,
    "depth": _depth,
    "load": _load,
}
