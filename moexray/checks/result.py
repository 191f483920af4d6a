"""What a check found: the result that is saved and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from moexray.checks.diagnosis import Diagnosis
from moexray.checks.integrity import Integrity
from moexray.formats import count, percent
from moexray.studies.codec import optional
from moexray.studies.results import Result

# true: every row compared is the model's, ties aside; whole: rows can be those of a router, and no model was asked;
# different: some row is not the model's; not whole: some rows cannot be those of any router; undecided: counts differ
# as near ties may make them; not compared: nothing could be laid beside the model.
Verdict = Literal["true", "whole", "different", "not whole", "undecided", "not compared"]
RIGHT: tuple[Verdict, ...] = ("true", "whole")


@dataclass(frozen=True)
class Place:
    """One row: a token in a layer.

    Attributes
    ----------
    token, text
        Position in the prompt from 0, and the token's text.
    recorded, true
        The recorded experts and the model's, by falling score.
    gap
        The gap between the swapped experts, as a share of the spread of scores; None where none can be had.
    """

    prompt: str
    token: int
    text: str
    phase: str
    layer: int
    recorded: tuple[int, ...]
    true: tuple[int, ...]
    gap: float | None


@dataclass(frozen=True)
class LayerRows:
    """Rows of one layer and phase: how many were compared, and how many are equal, ties, and different."""

    layer: int
    phase: str
    rows: int
    equal: int
    ties: int
    different: int


@dataclass(frozen=True)
class PromptRows:
    """Rows of one prompt, all layers together; see `LayerRows`."""

    prompt: str
    tokens: int
    rows: int
    equal: int
    ties: int
    different: int


@dataclass(frozen=True)
class Ties:
    """Near ties, by gaps as shares of the spread of scores.

    Attributes
    ----------
    limit
        The greatest gap that the number format explains.
    median, greatest
        Of the gaps of the ties that were found; None where there are none.
    """

    limit: float
    median: float | None
    greatest: float | None


@dataclass(frozen=True)
class Comparison:
    """Recorded rows beside the model's.

    Attributes
    ----------
    rows, equal, ties, different
        Rows (a token in a layer) that were compared, and what they are.
    tie
        The gaps of ties; None where scores are not to be had.
    first
        The first row of each layer that differs, for the first few such layers.
    layers, prompts
        The same numbers by layer and phase, and by prompt.
    """

    rows: int
    equal: int
    ties: int
    different: int
    tie: Ties | None
    first: tuple[Place, ...]
    layers: tuple[LayerRows, ...]
    prompts: tuple[PromptRows, ...]


@dataclass(frozen=True)
class CountedLayer:
    """Counts of one layer: selections of the prompts, and how many of them are other experts' than the model's."""

    layer: int
    selections: int
    moved: int


@dataclass(frozen=True, repr=False, kw_only=True)
class RoutingCheck(Result):
    """Whether recorded routing is true.

    Attributes
    ----------
    verdict
        See `Verdict`.
    source
        The file, or the engine that was asked.
    recorded
        Model, engine and number format of the recording, as it says.
    reference
        Model, number format and device that it was compared with; None where no model was asked.
    integrity
        What was looked at without a model.
    comparison
        Rows beside the model's; None where there are none.
    counts
        Counts beside the model's, where no rows were recorded.
    diagnosis
        The cause of what differs, where one is proven.
    findings
        What else explains a difference, such as another fingerprint of the model.
    """

    WHAT: ClassVar[str] = "a check of recorded routing"
    MADE_BY: ClassVar[str] = "moexray check --json"
    MARK: ClassVar[str] = "verdict"

    verdict: Verdict
    source: str
    recorded: Mapping[str, Any]
    reference: Mapping[str, Any] | None = optional()
    integrity: Integrity
    comparison: Comparison | None = optional()
    counts: tuple[CountedLayer, ...] | None = optional()
    diagnosis: Diagnosis | None = optional()
    findings: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = optional()

    @property
    def is_true(self) -> bool:
        """Whether nothing that was looked at is wrong."""
        return self.verdict in RIGHT

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def headline(self) -> list[str]:
        """Return the verdict, what was compared, and the cause of what differs."""
        lines = [f"{self.verdict}: routing of {self.recorded.get('model') or 'an unknown model'} in {self.source}"]
        if self.comparison is not None:
            found = self.comparison
            lines.append(
                f"{count(found.rows, 'row')} compared: {percent(found.equal / max(found.rows, 1))} equal, "
                f"{found.ties:,} ties, {found.different:,} different"
            )
        if self.diagnosis is not None:
            lines.append(self.diagnosis.text)
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each layer and phase that was compared."""
        layers = () if self.comparison is None else self.comparison.layers
        return [vars(one) for one in layers]
