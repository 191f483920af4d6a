"""The file of co-selections: for each segment and layer, the number of tokens that selected each pair of experts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moexray.errors import SignaturesError
from moexray.signatures_file import npy_bytes
from moexray.stored_members import StoredFile

# The end of its name, beside signatures.
SUFFIX = "coselection.npz"
_HEADROOM = 2**20


def members_of_pairs(pairs: NDArray[np.uint64], layers: NDArray[np.int16]) -> list[tuple[str, list[bytes]]]:
    """Return the members of the file, for `moexray.signatures_file.write_members`: ``pairs`` and ``layers``.

    Parameters
    ----------
    pairs
        ``(segments, layers, experts, experts)``: how many tokens of a segment (0 prompt, 1 generated, for texts)
        selected both experts in a layer; the diagonal holds how many selected each.
    layers
        Index in the model of each layer.
    """
    return [("pairs", [npy_bytes(pairs)]), ("layers", [npy_bytes(layers)])]


def read_pairs(
    path: Path,
    selected: NDArray[np.int64],
    layers: NDArray[np.int16],
    top_k: NDArray[np.int16],
    *,
    may_drop: bool = False,
) -> NDArray[np.uint64]:
    """Read the pairs of a file of co-selections.

    Parameters
    ----------
    path
        The file.
    selected
        ``(segments, layers, experts)``: how often the signatures beside it selected each expert.
    layers, top_k
        Index in the model of each layer of the signatures, and its selections a token.
    may_drop
        Whether a token may have fewer selections than k.

    Raises
    ------
    SignaturesError
        If the file is missing or damaged, or is not of these signatures.
    """
    cure = "`moexray capture --record coselection` writes both"
    shape = (*selected.shape, selected.shape[-1])
    # Pairs of few tokens are nearly all 0 and compress to almost nothing.
    file = StoredFile.of(path, most_unpacked=8 * int(np.prod(shape, dtype=object)) + _HEADROOM)
    with file.archive() as archive:
        names = archive.namelist()
    missing = next((name for name in ("pairs", "layers") if f"{name}.npy" not in names), None)
    if missing is not None:
        message = f"{path} has no {missing}: {cure}"
        raise SignaturesError(message)
    stored, of_layers = file.array("pairs"), file.array("layers")
    if stored.dtype != np.uint64 or stored.shape != shape or of_layers.shape != layers.shape:
        message = f"{path} holds pairs {stored.dtype} {stored.shape}, its signatures need uint64 {shape}: {cure}"
        raise SignaturesError(message)
    pairs = stored.read()
    if of_layers.read().tolist() != layers.tolist():
        message = f"{path} is of other layers than its signatures: {cure}"
        raise SignaturesError(message)
    # A token that selects an expert makes k pairs of it, its pair with itself among them; also where it selects the
    # expert twice, in two passes of a layer.
    found, expected = pairs.sum(axis=3), selected.astype(np.uint64) * top_k.astype(np.uint64)[:, None]
    wrong = (found > expected) | (found < selected.astype(np.uint64)) if may_drop else found != expected
    if wrong.any():
        segment, layer, expert = (int(place) for place in np.argwhere(wrong)[0])
        message = (
            f"{path}: expert {expert} of layer {layers[layer]} is in {found[segment, layer, expert]} pairs, and its "
            f"{selected[segment, layer, expert]} selections in the signatures make {expected[segment, layer, expert]}: "
            f"{cure}"
        )
        raise SignaturesError(message)
    return np.asarray(pairs, dtype=np.uint64)
