"""The memory that one expert takes, as a capture recorded it or a user says."""

from moexray.errors import AnalysisError
from moexray.signatures import Signatures

UNKNOWN = (
    "the signatures do not say how large an expert is, as those of an earlier moexray: give `expert_bytes`, or capture "
    "anew"
)


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
        If what is given is not positive, or what is recorded does not fit the layers.
    """
    if given is not None:
        if given < 1:
            message = f"`expert_bytes` is {given}: an expert takes one byte at least"
            raise AnalysisError(message)
        return (given,) * len(signatures.layers)
    found = signatures.meta.get("expert_bytes")
    if found is None:
        return None
    numbers = found if isinstance(found, list) else []
    if len(numbers) != len(signatures.layers) or not all(type(one) is int and one > 0 for one in numbers):
        message = (
            f"meta.expert_bytes of the signatures is {found!r}, which is no positive number for each of their "
            f"{len(signatures.layers)} layers: give `expert_bytes`, or capture anew"
        )
        raise AnalysisError(message)
    return tuple(numbers)
