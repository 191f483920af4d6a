"""Every layer by itself: similarity, its permutation test and the classifier."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from moexray.stats.inference.multiple import LayerPValues
from moexray.stats.layers.by_layer import layer_accuracies, layer_p_values, layer_statistics
from moexray.stats.pairs.similarity import CategoryEffect
from moexray.stats.pairs.summaries import Interval
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes


@dataclass(frozen=True)
class LayerEffect:
    """One layer; `p_value_corrected` is adjusted for the number of layers."""

    layer: int
    within: float | None
    across: float | None
    cohens_d: float | None
    cohens_d_ci: Interval | None
    accuracy: float | None
    accuracy_ci: Interval | None
    p_value: float | None
    p_value_corrected: float | None


def layer_by_layer(cohort: Cohort, notes: Notes) -> tuple[LayerEffect, ...]:
    """Measure the category effect in each layer, test it, and classify prompts by that layer alone."""
    accuracies = layer_accuracies(cohort.by_layer, cohort.labels, **cohort.fold_options)
    rows = layer_statistics(cohort.layers, cohort.layer_effects, accuracies)
    _note_dropped(cohort, cohort.layer_effects, notes)
    tests = notes.attempt("p_value", lambda: _p_values(cohort))
    if tests is not None and not cohort.complete:
        notes.add("p_value", str(cohort.sampled()))
    none = [None] * len(rows)
    p_values: Iterable[tuple[float | None, float | None]] = (
        zip(none, none, strict=True) if tests is None else zip(tests.p_values, tests.adjusted, strict=True)
    )
    return tuple(
        LayerEffect(**asdict(row), p_value=p, p_value_corrected=corrected)
        for row, (p, corrected) in zip(rows, p_values, strict=True)
    )


def _p_values(cohort: Cohort) -> LayerPValues:
    return layer_p_values(
        cohort.by_layer,
        cohort.labels,
        permutations=min(cohort.permutations, cohort.limits.layer_permutations),
        rng=cohort.rng("layers"),
        groups=cohort.groups,
    )


def _note_dropped(cohort: Cohort, effects: Iterable[CategoryEffect], notes: Notes) -> None:
    """Note which layers have no signature of some prompts, because a router dropped all their tokens."""
    prompts = len(cohort.all_labels if cohort.streamed else cohort.labels)
    missing = ((layer, prompts - one.prompts) for layer, one in zip(cohort.layers, effects, strict=True))
    places = ", ".join(f"{count:,} prompts in layer {layer}" for layer, count in missing if count)
    if places:
        note = f"the router dropped every token of {places}: they are left out of that layer's similarity"
        notes.add("prompts", note)
