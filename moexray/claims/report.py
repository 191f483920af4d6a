"""The claims of a study, checked: a result that is saved and shown."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from moexray.claims.claim import Verdict
from moexray.studies.header import Header, Settings
from moexray.studies.results import Result, rows_of


@dataclass(frozen=True)
class StudyHeader:
    """A study: its title, where to find it, and the settings that its claims depend on."""

    title: str
    source: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class CheckedClaim:
    """A claim with its verdict.

    Attributes
    ----------
    id, name, text, kind, needs, published, values, margin, error
        The claim: see `moexray.claims.claim.Claim`.
    test
        The rule that decides, in words.
    here, shown
        The values here, and the same in words; None where they could not be computed.
    verdict, reason
        ``not applicable`` where the claim is about another model, other settings, or a value that there is not.
    as_if, as_if_reason
        What the test says nevertheless, where the verdict is ``not applicable`` and there is a value.
    detectable, detects
        The smallest difference that these data could have shown, and the same in words; None for a fact.
    tokens
        How much of the value token identity explains, where a trace told; the verdict does not depend on it.
    """

    id: str
    name: str
    text: str
    kind: str
    needs: tuple[str, ...]
    published: str
    values: Mapping[str, Any]
    test: str
    here: Mapping[str, Any] | None
    shown: str | None
    verdict: Verdict
    reason: str
    margin: float | None = None
    error: Mapping[str, Any] | None = None
    detectable: float | None = None
    detects: str | None = None
    as_if: Verdict | None = None
    as_if_reason: str | None = None
    tokens: str | None = None

    @property
    def explanation(self) -> str:
        """The reason of the test's verdict, the smallest difference it could have shown, and what tokens explain."""
        reason = self.reason if self.as_if_reason is None else self.as_if_reason
        could = None if self.detects is None else f"detectable from {self.detects}"
        return "; ".join(filter(None, (reason, could, self.tokens)))


@dataclass(frozen=True, repr=False)
class ClaimsReport(Result):
    """The claims of a study, checked against an analysis.

    Attributes
    ----------
    study
        Whose claims.
    signatures, settings
        Of the analysis.
    claims
        In the order of the study.
    verdicts
        How many claims have each verdict.
    """

    SCHEMA: ClassVar[int] = 2  # 1 had the verdicts of a test of one study's error
    WHAT: ClassVar[str] = "a report on claims"
    MADE_BY: ClassVar[str] = "moexray claims --json"
    MARK: ClassVar[str] = "study"

    study: StudyHeader
    signatures: Header
    settings: Settings
    claims: tuple[CheckedClaim, ...]
    verdicts: Mapping[str, int]

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.signatures.fingerprint,)

    def headline(self) -> list[str]:
        """Return the study, how many claims have each verdict, and what the tests of the others say."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items() if count)
        as_if = Counter(str(one.as_if) for one in self.claims if one.as_if is not None)
        lines = [f"{self.study.title} ({self.study.source})", f"{len(self.claims)} claims: {counts}"]
        if as_if:
            lines.append(f"if they applied: {', '.join(f'{count} {verdict}' for verdict, count in as_if.items())}")
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.claims)
