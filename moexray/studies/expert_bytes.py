"""The memory that one expert takes, as a capture recorded it or a user says."""

from moexray.errors import AnalysisError
from moexray.signatures import Signatures

UNKNOWN = (
    "the signatures do not say how large an expert is, as those of an earlier moexray: give `expert_bytes` "
    "(--expert-bytes), or capture anew"
)
# One expert of a pebibyte: the bytes of all experts of any model are then whole numbers of 64 bits.
_MOST = 2**50


def expert_bytes_of(signatures: Signatures, given: int | None = None) -> tuple[int, ...] | None:
    """Return the bytes of one expert of each layer; None where neither the user nor the signatures say.

    Parameters
    ----------
    signatures
        Their meta has ``expert_bytes``: one number for each layer.
    given
        What the user says an expert of every layer takes.

    Raises
    ------
    AnalysisError
        If what is given is not positive or absurd, or what is recorded does not fit the layers.
    """
    if given is not None:
        if not 1 <= given <= _MOST:
            message = f"`expert_bytes` is {given}: an expert takes one byte at least, and {_MOST:,} at most"
            raise AnalysisError(message)
        return (given,) * len(signatures.layers)
    found = signatures.meta.get("expert_bytes")
    if found is None:
        return None
    numbers = found if isinstance(found, list) else []
    if len(numbers) != len(signatures.layers) or not all(type(one) is int and 0 < one <= _MOST for one in numbers):
        message = (
            f"meta.expert_bytes of the signatures is {found!r}, which is no number of bytes for each of their "
            f"{len(signatures.layers)} layers: give `expert_bytes` (--expert-bytes), or capture anew"
        )
        raise AnalysisError(message)
    return tuple(numbers)
