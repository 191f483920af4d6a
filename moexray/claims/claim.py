"""What a study claims, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a test makes of a claim."""

    reproduced = "reproduced"
    direction_only = "direction only"
    not_reproduced = "not reproduced"
    not_applicable = "not applicable"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    id, name, text
        Its number, a few words for it, and the claim itself.
    kind
        The test that decides: one of `moexray.claims.kinds.KINDS`.
    published
        The figure as the study prints it.
    values
        What the test takes of that figure.
    needs
        Which of the study's settings the claim depends on.
    """

    id: str
    name: str
    text: str
    kind: str
    published: str
    values: Mapping[str, Any]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """A study's claims, and under which settings they were made.

    Attributes
    ----------
    title, source
        What it is called, and where to find it.
    settings
        ``model``; ``categories``, where claims depend on them; all else as in `Signatures.meta`.
    claims
        In the order of the table.
    """

    title: str
    source: str
    settings: Mapping[str, Any]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Finding:
    """What a test found: verdict and reason, the figures here, and the same in words, parts on lines of their own."""

    verdict: Verdict
    reason: str
    figures: Mapping[str, Any]
    shown: str


@dataclass(frozen=True)
class Result:
    """A claim with its verdict.

    Attributes
    ----------
    claim
        What was claimed.
    test
        The rule that decides, in words.
    figures, shown
        The figures here, and the same in words, parts on lines of their own; empty where they could not be computed.
    verdict, reason
        ``not applicable`` where the claim is about another model, other settings, or a figure that there is not.
    as_if, as_if_reason
        What the test says nevertheless, where the verdict is ``not applicable`` and there is a figure.
    tokens
        How much of the figure is the tokens themselves, where a trace told; the verdict does not depend on it.
    """

    claim: Claim
    test: str
    figures: Mapping[str, Any]
    shown: str
    verdict: Verdict
    reason: str
    as_if: Verdict | None = None
    as_if_reason: str | None = None
    tokens: str | None = None

    @property
    def said(self) -> str:
        """The reason, or what the test says where the claim does not apply, and what is the tokens themselves."""
        reason = self.reason if self.as_if_reason is None else self.as_if_reason
        return reason if self.tokens is None else f"{reason}; {self.tokens}"
