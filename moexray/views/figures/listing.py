"""The figures that there are: each computes its numbers from signatures and draws them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from matplotlib.figure import Figure

from moexray.errors import AnalysisError, FigureError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.categories.pca import principal_components
from moexray.stats.layers.by_layer import layer_accuracies, layer_statistics
from moexray.stats.layers.load import layer_loads
from moexray.stats.pairs.similarity import unit_rows
from moexray.studies.codec import to_values
from moexray.studies.cohort import Cohort
from moexray.studies.limits import Limits
from moexray.studies.notes import Notes
from moexray.studies.sections.alternatives import alternatives
from moexray.studies.sections.token_identity import token_identity
from moexray.trace import Trace
from moexray.views.figures.alternatives import draw_specifications
from moexray.views.figures.layerwise import draw_layerwise
from moexray.views.figures.load import draw_load
from moexray.views.figures.pca import draw_pca
from moexray.views.figures.similarity import draw_similarity
from moexray.views.figures.tokens import draw_tokens

_LONGEST_NAME = 50
_SHUFFLES = 499
_PHASE_NAMES = {"all": "prompt and generated tokens", "prompt": "prompt tokens", "generated": "generated tokens"}


def make_figure(name: str, signatures: Signatures, *, phase: str = "all") -> Figure:
    """Draw one of `FIGURES`; prompts without a token in the phase are left out.

    Raises
    ------
    FigureError
        If these signatures cannot give the figure.
    """
    try:
        return FIGURES[name](Cohort.of(signatures, tokens=phase))
    except (AnalysisError, NotComputable) as reason:
        message = f"no figure {name}: {reason}"
        raise FigureError(message) from reason


def make_trace_figure(name: str, signatures: Signatures, trace: Trace, *, phase: str = "all") -> Figure:
    """Draw one of `TRACE_FIGURES`, of these very signatures and what each of their tokens selected.

    Raises
    ------
    FigureError
        If they cannot give the figure.
    TraceError
        If the trace is not one of these signatures.
    """
    try:
        return TRACE_FIGURES[name](Cohort.of(signatures, tokens=phase, trace=trace))
    except (AnalysisError, NotComputable) as reason:
        message = f"no figure {name}: {reason}"
        raise FigureError(message) from reason


def _layerwise(subject: Cohort) -> Figure:
    accuracies = layer_accuracies(subject.by_layer, subject.labels, **subject.fold_options)
    return draw_layerwise(
        layer_statistics(subject.layers, subject.layer_effects, accuracies),
        chance=subject.classification.chance,
        title=_title("Category structure by layer", subject),
    )


def _similarity(subject: Cohort) -> Figure:
    units = unit_rows(subject.vectors)
    title = _title("Similarity of routing signatures", subject, of_sample=True)
    return draw_similarity(units @ units.T, subject.labels, title=title)


def _pca(subject: Cohort) -> Figure:
    components = principal_components(subject.vectors, subject.labels)
    return draw_pca(components, subject.labels, title=_title("Principal components", subject, of_sample=True))


def _load(subject: Cohort) -> Figure:
    load = subject.load
    title = _title("Load of every expert", subject)
    return draw_load(load, layer_loads(load, subject.all.experts), subject.layers, title=title)


def _title(what: str, subject: Cohort, *, of_sample: bool = False) -> str:
    model = str(subject.signatures.meta.get("model") or "unknown model")
    shown = model if len(model) <= _LONGEST_NAME else "…" + model[1 - _LONGEST_NAME :]
    prompts = f"{len(subject.all_labels):,} prompts"
    if of_sample and not subject.complete:
        prompts = f"{len(subject.signatures):,} of {prompts}, drawn at random"
    return f"{what}, {_PHASE_NAMES[subject.tokens]}\n{shown}, {prompts}"


def _specifications(subject: Cohort) -> Figure:
    limited = replace(subject, limits=Limits(specification_permutations=_SHUFFLES))
    found = alternatives(limited, Notes())
    if not any(one.cohens_d is not None for one in found):
        message = "no specification has an effect size"
        raise NotComputable(message)
    title = _title("Effect size under every choice", replace(subject, tokens="all"), of_sample=True)
    return draw_specifications(found, title=title)


def _tokens(subject: Cohort) -> Figure:
    notes = Notes()
    found = token_identity(subject, notes)
    if found.same_token is None and found.share is None:
        raise NotComputable(notes.found["same_token"])
    return draw_tokens(to_values(found), title=_title("Token identity by layer", subject, of_sample=True))


FIGURES: Mapping[str, Callable[[Cohort], Figure]] = {
    "layerwise": _layerwise,
    "similarity": _similarity,
    "pca": _pca,
    "load": _load,
    "specifications": _specifications,
}
TRACE_FIGURES: Mapping[str, Callable[[Cohort], Figure]] = {"tokens": _tokens}
