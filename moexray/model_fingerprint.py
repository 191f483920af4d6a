"""The fingerprint of the model in the meta of signatures: whether two captures are of one model, whatever its name.

``meta["fingerprint"]`` holds a string for each part: ``weights``, ``configuration``, ``tokenizer``, ``chat_template``
where one was applied, ``code`` where code of the checkpoint ran, and ``adapter`` where there was one. Files of earlier
versions have none, and a model that was made in memory has none of its weights and configuration.
"""

from collections.abc import Mapping
from typing import Any

KEY = "fingerprint"
# Beside it: what a chat template that asks for the time was told.
DATE = "template_date"
_UNKNOWN_IN_MEMORY = ("weights", "configuration")


def weights_of(meta: Mapping[str, Any]) -> str | None:
    """Return the fingerprint of the weights; None where it is not known."""
    found: str | None = (meta.get(KEY) or {}).get("weights")
    return found


def same_part(one: Mapping[str, Any], other: Mapping[str, Any], part: str) -> bool:
    """Whether both metas have this part, and the same."""
    first, second = ((meta.get(KEY) or {}).get(part) for meta in (one, other))
    return first is not None and first == second


def differing_parts(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in words which parts of the models of two metas differ; none where one has no fingerprint."""
    first, second = one.get(KEY), other.get(KEY)
    if not first or not second:
        return []
    return [
        name.replace("_", " ")
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
        and (name not in _UNKNOWN_IN_MEMORY or (name in first and name in second))
    ]
