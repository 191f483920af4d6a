"""One prompt among the signatures, by its id."""

from difflib import get_close_matches

from moexray.errors import AnalysisError
from moexray.signatures import Signatures


def row_of(signatures: Signatures, prompt: str) -> int:
    """Return the place of a prompt.

    Raises
    ------
    AnalysisError
        If there is none of this id; it names the nearest ids.
    """
    ids = list(signatures.prompts.ids)
    if prompt not in ids:
        near = get_close_matches(prompt, ids, n=3) or ids[:3]
        message = f"there is no prompt {prompt!r}: there are such as {', '.join(map(repr, near))}"
        raise AnalysisError(message)
    return ids.index(prompt)
