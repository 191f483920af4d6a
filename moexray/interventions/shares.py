"""What a policy is to keep: a share of the experts of all tokens, or one for each kind of token."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A share of the experts, in percent.

    Attributes
    ----------
    keep
        Of all tokens; where shares are by kind, what they come to.
    kinds
        By the kind of token; None where all have the same.
    """

    keep: float
    kinds: Mapping[str, float] | None = None

    def __str__(self) -> str:
        if self.kinds is None:
            return f"{self.keep:g} %"
        return ", ".join(f"{kind} {share:g} %" for kind, share in self.kinds.items())


def overall(kinds: Mapping[str, float], tokens: Mapping[str, int]) -> Share:
    """Return shares by kind with what they come to over so many tokens of each kind, to a tenth of a percent."""
    total = sum(tokens[kind] for kind in kinds)
    return Share(round(sum(share * tokens[kind] for kind, share in kinds.items()) / max(total, 1), 1), dict(kinds))
