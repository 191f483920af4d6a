"""The claims of a study, and the finding of a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a test makes of a claim."""

    consistent = "consistent"
    direction_only = "direction only"
    inconclusive = "inconclusive"
    different = "different"
    not_applicable = "not applicable"


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    id, name, text
        Its number, a few words for it, and the claim itself.
    kind
        The test that decides: one of `moexray.claims.claim_tests.CLAIM_TESTS`.
    published
        The value as the study prints it.
    values
        What the test takes of that value.
    needs
        Which of the study's settings the claim depends on.
    margin
        The largest difference from the published value that is of no importance; without it no value is consistent.
    error
        The error of the published value, one of ``se``, ``ci`` and ``prompts``, and its ``source``: see
        `moexray.claims.published`. Without it every other value is inconclusive.
    """

    id: str
    name: str
    text: str
    kind: str
    published: str
    values: Mapping[str, Any]
    needs: tuple[str, ...]
    margin: float | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Study:
    """A study's claims, and under which settings they were made.

    Attributes
    ----------
    title, source
        What it is called, and where to find it.
    settings
        ``model``; ``categories``, where claims depend on them; all others as in `Signatures.meta`.
    claims
        In the order of the table.
    """

    title: str
    source: str
    settings: Mapping[str, Any]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Finding:
    """What a test finds: verdict and reason, the values here, and the same in words.

    Attributes
    ----------
    detectable, detects
        The smallest difference that these data could have shown, and the same in words; None where there is none, as
        of a fact.
    """

    verdict: Verdict
    reason: str
    here: Mapping[str, Any]
    shown: str
    detectable: float | None = None
    detects: str | None = None
