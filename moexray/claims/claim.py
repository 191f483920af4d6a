"""The claims of a study, and the finding of a test."""

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
        The test that decides: one of `moexray.claims.claim_tests.CLAIM_TESTS`.
    published
        The value as the study prints it.
    values
        What the test takes of that value.
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
    """What a test finds: verdict and reason, the values here, and the same in words."""

    verdict: Verdict
    reason: str
    here: Mapping[str, Any]
    shown: str
