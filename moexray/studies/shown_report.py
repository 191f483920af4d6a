"""The result of looking at one prompt: its tokens, the experts of a layer that lead, and every layer beside chance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moexray.formats import count
from moexray.studies.results import Result, rows_of


@dataclass(frozen=True)
class ShownToken:
    """A token in the shown layer.

    Attributes
    ----------
    position, token_id, text
        Place in the prompt from 0, id, and its text by itself; None where the trace has no texts.
    phase, kind
        Of its segment.
    experts, weights
        Its experts, in the order of the trace, and their gate weights; None where the trace has none.
    expert
        What tints it: its first choice, or, where the order of experts is not known, the one of its experts that leads
        most. None where it has none of these.
    strength
        How strongly the one expert that was asked for tints it, from 1 to 4; None where it does not select it.
    reached
        How many experts of the layer this token and those before it reached.
    """

    position: int
    token_id: int
    text: str | None
    phase: str
    kind: str
    experts: tuple[int, ...]
    weights: tuple[float, ...] | None
    expert: int | None
    strength: int | None
    reached: int


@dataclass(frozen=True)
class LeadingExpert:
    """An expert, the tokens that it tints, and those that select it."""

    expert: int
    tokens: int
    selected: int


@dataclass(frozen=True)
class ShownPiece:
    """Tokens that are shown as one: a token, the parts of one character, or an image.

    Attributes
    ----------
    text
        What it says; empty for an image.
    first, tokens
        The place of its first token among those shown, and how many it has.
    image
        The kind of tokens without words, such as ``image``; None for text.
    rows, columns
        The grid of an image, where it is recorded.
    leading
        The experts that tint most of its tokens.
    """

    text: str
    first: int
    tokens: int
    image: str | None = None
    rows: int | None = None
    columns: int | None = None
    leading: tuple[LeadingExpert, ...] = ()


@dataclass(frozen=True)
class ShownLayer:
    """A layer: how many experts the prompt's tokens reach, and how many two of its tokens share, beside chance.

    Attributes
    ----------
    layer, experts, top_k
        Its index in the model, its experts, and how many a token selects.
    reached
        Experts that at least one token selects.
    expected
        See `expected_reached`: tokens routed as those of the other prompts are; None where there are none.
    uniform
        With even load, E (1 − (1 − k / E)^T) for T tokens.
    shared
        The share of their experts that two tokens of the prompt have in common; see `shared_within`. None for one
        token.
    shared_between
        The same for two tokens of two other prompts; None where there are no two. With even load, k / E.
    """

    layer: int
    experts: int
    top_k: int
    reached: int
    expected: float | None
    uniform: float
    shared: float | None
    shared_between: float | None


@dataclass(frozen=True, repr=False, kw_only=True)
class ShownPrompt(Result):
    """One prompt's tokens and experts.

    Attributes
    ----------
    model, prompt, category, tokens
        The model; the prompt's id and category; the selector of tokens.
    layer, experts, top_k
        The shown layer's index in the model, its experts, and how many a token selects.
    ranked, weighted
        Whether experts stand in the router's order, and whether gate weights are known.
    leading, others
        The experts that tint most tokens, and how many tokens none of them tints.
    expert
        The one expert that was asked for; None without.
    greatest_weight
        The greatest gate weight in this layer of the prompt; None where weights are not known.
    layers, sequence, pieces
        Every layer; the tokens in their order; what of them is shown as one.
    notes, fingerprint
        Why something is None; `Signatures.fingerprint`.
    """

    WHAT: ClassVar[str] = "a prompt that is shown"
    MADE_BY: ClassVar[str] = "moexray show --json"
    MARK: ClassVar[str] = "sequence"

    model: str | None
    prompt: str
    category: str
    tokens: str
    layer: int
    experts: int
    top_k: int
    ranked: bool
    weighted: bool
    leading: tuple[LeadingExpert, ...]
    others: int
    expert: LeadingExpert | None
    greatest_weight: float | None
    layers: tuple[ShownLayer, ...]
    sequence: tuple[ShownToken, ...]
    pieces: tuple[ShownPiece, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.sequence)

    @property
    def even(self) -> float:
        """The share of tokens that an expert would tint were all used alike."""
        return (1 if self.ranked else self.top_k) / self.experts

    def headline(self) -> list[str]:
        """Return the prompt, and the experts that lead."""
        first = f"{self.model or 'unknown model'}, prompt {self.prompt}: {count(len(self.sequence), 'token')}"
        leading = ", ".join(f"{one.expert} ({one.tokens})" for one in self.leading)
        return [first, f"layer {self.layer}: most tokens lead to {leading or 'no expert'}"]
