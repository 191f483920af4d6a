"""The layers that a user named, or a few that stand for all."""

from collections.abc import Sequence

from moexray.errors import AnalysisError


def chosen_layers(known: Sequence[int], layers: Sequence[int] | None) -> list[int]:
    """Return each of some layers once; by default the first MoE layer, the middle one and the last.

    Parameters
    ----------
    known, layers
        The MoE layers and those that were named, by their index in the model.

    Raises
    ------
    AnalysisError
        If one that was named is no MoE layer.

    Examples
    --------
    >>> chosen_layers(range(16), None), chosen_layers([3, 4], None), chosen_layers([3, 4], [4, 4])
    ([0, 8, 15], [3, 4], [4])
    """
    if layers is None:
        return list(dict.fromkeys([known[0], known[len(known) // 2], known[-1]]))
    unknown = [layer for layer in layers if layer not in known]
    if unknown:
        message = f"layer {unknown[0]} has no experts: the MoE layers are {', '.join(map(str, known))}"
        raise AnalysisError(message)
    return list(dict.fromkeys(layers))
