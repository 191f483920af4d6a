"""Which recorded layer is which layer of the model: by index, or in their order where indices cannot be meant."""

from collections.abc import Sequence
from dataclasses import dataclass

from moexray.checks.diagnosis import Diagnosis
from moexray.formats import count, runs


@dataclass(frozen=True)
class Layers:
    """The MoE layers of a recording or of a model: index, experts and k of each."""

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    top_k: tuple[int, ...]

    @staticmethod
    def of(layers: Sequence[int], experts: Sequence[int], top_k: Sequence[int]) -> "Layers":
        """Return the layers of these sequences of whole numbers."""
        return Layers(*(tuple(int(one) for one in values) for values in (layers, experts, top_k)))


@dataclass(frozen=True)
class Alignment:
    """How recorded layers are laid beside those of a model.

    Attributes
    ----------
    places
        Of each layer of the model, the place of the recorded one; None where it was not recorded.
    kept
        How many experts were recorded of each layer of the model.
    diagnoses
        What is wrong with numbers of layers or experts, if the routing itself is true.
    problem
        Why nothing can be compared; None where it can.
    """

    places: tuple[int | None, ...] = ()
    kept: tuple[int, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    problem: str | None = None


def align(recorded: Layers, model: Layers) -> Alignment:
    """Return how the layers of a recording are laid beside those of a model."""
    diagnoses: list[Diagnosis] = []
    of = {layer: place for place, layer in enumerate(recorded.layers)}
    if len(recorded.layers) == len(model.layers) and recorded.layers != model.layers:
        places: tuple[int | None, ...] = tuple(range(len(model.layers)))
        text = (
            f"layers are numbered {runs(recorded.layers)}, and the model's MoE layers are {runs(model.layers)}: in "
            "their order, they are compared"
        )
        diagnoses.append(Diagnosis("layer_numbers", text))
    else:
        places = tuple(of.get(layer) for layer in model.layers)
        others = [layer for layer in recorded.layers if layer not in model.layers]
        missing = [layer for layer in model.layers if layer not in of]
        if len(missing) == len(model.layers) or (others and missing):
            return Alignment(problem=_foreign(recorded, model))
        if others:
            text = f"the model has no MoE layer {runs(others)}: rows that were recorded there mean nothing"
            diagnoses.append(Diagnosis("layer_numbers", text))
        if missing:
            text = f"{count(len(missing), 'MoE layer')} of the model ({runs(missing)}) were not recorded"
            diagnoses.append(Diagnosis("layer_numbers", text))
    kept = []
    for place, (layer, experts, k) in zip(
        places, zip(model.layers, model.experts, model.top_k, strict=True), strict=True
    ):
        if place is None:
            kept.append(k)
            continue
        if recorded.experts[place] != experts:
            held = recorded.experts[place]
            return Alignment(
                problem=f"layer {layer} was recorded with {held} experts, and the model has {experts} there"
            )
        if recorded.top_k[place] > k:
            held = recorded.top_k[place]
            return Alignment(
                problem=f"{held} experts a token were recorded in layer {layer}, and the model selects {k}"
            )
        kept.append(recorded.top_k[place])
    if tuple(kept) != model.top_k:
        fewer = next(one for one, k in zip(kept, model.top_k, strict=True) if one != k)
        text = (
            f"{fewer} experts a token were recorded where the model selects {max(model.top_k)}: those of the greatest "
            "scores"
        )
        diagnoses.append(Diagnosis("truncated", text))
    return Alignment(places, tuple(kept), tuple(diagnoses))


def _foreign(recorded: Layers, model: Layers) -> str:
    return f"layers {runs(recorded.layers)} were recorded, and the model's MoE layers are {runs(model.layers)}"
