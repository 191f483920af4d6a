"""Two captures of the same prompts, brought into one order."""

from collections.abc import Sequence

from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.studies.shown_images import images_shown


def aligned(first: Signatures, second: Signatures, *, common: bool) -> tuple[Signatures, Signatures]:
    """Return two captures with the same layers, and the same prompts in the same order and groups.

    Parameters
    ----------
    first, second
        Captures of the same prompts by routers with the same experts.
    common
        Keep the prompts and layers that are in both, where others are not.

    Raises
    ------
    AnalysisError
        If prompts, their texts, images or groups, layers or experts are not the same.
    """
    first, second = _same_layers(first, second, common=common)
    ids = [name for name in first.prompts.ids if name in set(second.prompts.ids)]
    if set(first.prompts.ids) != set(second.prompts.ids) and (not common or not ids):
        only = sorted(set(first.prompts.ids) ^ set(second.prompts.ids))
        message = (
            f"they hold different prompts ({only[0]!r} is in one only): `common=True` compares the {len(ids)} in both"
        )
        raise AnalysisError(message)
    one, other = (_in_order(part, ids) for part in (first, second))
    ours, theirs = one.prompts.texts, other.prompts.texts
    if ours is not None and theirs is not None and tuple(ours) != tuple(theirs):
        name = next(n for n, a, b in zip(ids, ours, theirs, strict=True) if a != b)
        message = f"prompt {name!r} is not the same text in both: capture the same prompts with either model"
        raise AnalysisError(message)
    for name, shown, other_shown in zip(ids, images_shown(one), images_shown(other), strict=True):
        if shown is not None and other_shown is not None and shown != other_shown:
            message = f"prompt {name!r} has not the same images in both: capture the same prompts with either model"
            raise AnalysisError(message)
    return _same_groups(one, other)


def _same_groups(one: Signatures, other: Signatures) -> tuple[Signatures, Signatures]:
    """Return both with the groups that either of them has."""
    ours, theirs = one.prompts.groups, other.prompts.groups
    if ours == theirs:
        return one, other
    if ours is None or theirs is None:
        groups = ours or theirs
        return one.replace(groups=groups), other.replace(groups=groups)
    for name, first, second in zip(one.prompts.ids, ours, theirs, strict=True):
        if first != second:
            message = f"prompt {name!r} is of group {first!r} in one and {second!r} in the other: give both the same"
            raise AnalysisError(message)
    return one, other


def _same_layers(first: Signatures, second: Signatures, *, common: bool) -> tuple[Signatures, Signatures]:
    """Return both with the layers that both have, which have as many experts in both."""
    ours, theirs = first.layers.tolist(), second.layers.tolist()
    layers = [layer for layer in ours if layer in theirs]
    if ours != theirs and not (common and layers):
        message = f"one has layers {ours}, the other {theirs}: `common=True` compares those that both have"
        raise AnalysisError(message)
    first, second = (_of_layers(one, layers) for one in (first, second))
    for layer, one, other in zip(layers, first.experts.tolist(), second.experts.tolist(), strict=True):
        if one != other:
            message = f"one has {one} experts in layer {layer}, the other {other}: they have no match"
            raise AnalysisError(message)
    return first, second


def _of_layers(signatures: Signatures, layers: Sequence[int]) -> Signatures:
    """Return some layers, as wide as the widest of them has experts."""
    places = [signatures.layers.tolist().index(layer) for layer in layers]
    experts, mass = signatures.experts[places], signatures.mass
    width = int(experts.max())
    if len(places) == len(signatures.layers) and width == signatures.shape[3]:
        return signatures
    return signatures.replace(
        counts=signatures.counts[:, :, places, :width],
        mass=None if mass is None else mass[:, :, places, :width],
        experts=experts,
        layers=signatures.layers[places],
        top_k=signatures.top_k[places],
    )


def _in_order(signatures: Signatures, ids: Sequence[str]) -> Signatures:
    places = signatures.prompts.place_of()
    return signatures.take([places[name] for name in ids])
