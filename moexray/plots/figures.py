"""The figures that there are: each computes its numbers from signatures and draws them."""

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from moexray.errors import FigureError, NotComputable
from moexray.plots.layerwise import draw_layerwise
from moexray.plots.load import draw_load
from moexray.plots.pca import draw_pca
from moexray.plots.similarity import draw_similarity
from moexray.plots.specifications import draw_specifications
from moexray.signatures import Phase, Signatures
from moexray.specifications import specifications_of
from moexray.stats.classifier import classify
from moexray.stats.layers import layer_statistics
from moexray.stats.load import layer_loads
from moexray.stats.pca import principal_components
from moexray.stats.similarity import unit_rows

_LONGEST_NAME = 50
_SHUFFLES = 499
_PHASE_NAMES = {"all": "prompt and generated tokens", "prompt": "prompt tokens", "generated": "generated tokens"}


def make_figure(name: str, signatures: Signatures, *, phase: Phase = "all") -> Figure:
    """Draw one of `FIGURES`; prompts without a token in the phase are left out.

    Raises
    ------
    FigureError
        If these signatures cannot give the figure.
    """
    ids = [i for i, there in zip(signatures.prompt_ids, signatures.has_tokens(phase), strict=True) if there]
    if not ids:
        message = f"no figure {name}: no prompt has a token in the phase {phase!r}"
        raise FigureError(message)
    try:
        return FIGURES[name](signatures.select(ids=ids), phase)
    except NotComputable as reason:
        message = f"no figure {name}: {reason}"
        raise FigureError(message) from reason


def _layerwise(signatures: Signatures, phase: Phase) -> Figure:
    by_layer = signatures.vectors(phase).reshape(len(signatures), len(signatures.layers), -1)
    labels = signatures.categories
    chance = classify(by_layer.reshape(len(signatures), -1), labels, groups=signatures.groups).chance
    layers = layer_statistics(by_layer, labels, signatures.layers.tolist(), groups=signatures.groups)
    return draw_layerwise(layers, chance=chance, title=_title("Category structure by layer", signatures, phase))


def _similarity(signatures: Signatures, phase: Phase) -> Figure:
    units = unit_rows(signatures.vectors(phase))
    title = _title("Similarity of routing signatures", signatures, phase)
    return draw_similarity(units @ units.T, signatures.categories, title=title)


def _pca(signatures: Signatures, phase: Phase) -> Figure:
    components = principal_components(signatures.vectors(phase), signatures.categories)
    return draw_pca(components, signatures.categories, title=_title("Principal components", signatures, phase))


def _load(signatures: Signatures, phase: Phase) -> Figure:
    load = signatures.loads(phase).sum(axis=0)
    title = _title("Load of every expert", signatures, phase)
    return draw_load(load, layer_loads(load), signatures.layers.tolist(), title=title)


def _title(what: str, signatures: Signatures, phase: Phase) -> str:
    model = str(signatures.meta.get("model") or "unknown model")
    shown = model if len(model) <= _LONGEST_NAME else "…" + model[1 - _LONGEST_NAME :]
    return f"{what}, {_PHASE_NAMES[phase]}\n{shown}, {len(signatures)} prompts"


def _specifications(signatures: Signatures, _phase: Phase) -> Figure:
    found = specifications_of(signatures, permutations=_SHUFFLES, seed=0)
    if not any(one.cohens_d is not None for one in found):
        message = "no specification has an effect size"
        raise NotComputable(message)
    return draw_specifications(found, title=_title("Effect size under every choice", signatures, "all"))


FIGURES: Mapping[str, Callable[[Signatures, Phase], Figure]] = {
    "layerwise": _layerwise,
    "similarity": _similarity,
    "pca": _pca,
    "load": _load,
    "specifications": _specifications,
}
