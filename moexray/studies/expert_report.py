"""The report on experts: load, categories, tokens and partners of every expert of every layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from moexray.errors import AnalysisError
from moexray.formats import categories_text, count, percent
from moexray.stats.layers.load import LayerLoad
from moexray.studies.codec import optional
from moexray.studies.expert_tokens import Example, examples
from moexray.studies.results import Result
from moexray.trace import Trace


@dataclass(frozen=True)
class Special:
    """A category that an expert gets another share of than of the others, after Benjamini–Hochberg adjustment.

    Attributes
    ----------
    difference
        Mean share of the category's prompts minus that of all others.
    """

    category: str
    difference: float


@dataclass(frozen=True)
class ExpertToken:
    """A token id, its text where the trace holds it, and the share of its occurrences that an expert gets."""

    token_id: int
    token: str | None
    share: float
    occurrences: int


@dataclass(frozen=True)
class Partner:
    """Another expert, the share of an expert's tokens that it gets as well, and the odds ratio of that."""

    expert: int
    share: float
    odds_ratio: float


@dataclass(frozen=True)
class Expert:
    """One expert of one layer.

    Attributes
    ----------
    load, rank
        Its share of the layer's selections, and its place among the layer's experts by load, from 1.
    categories
        Share of each category's tokens, or selections, that it gets.
    special
        Categories that it gets more or less of than chance; None where that was not tested.
    tokens, partners, redundancy
        Token ids that it gets most of, experts that it shares tokens with more than their loads explain, and the
        largest share of its tokens that another expert gets; None without a trace.
    examples
        Tokens in context, where they were asked for.
    """

    expert: int
    load: float
    rank: int
    categories: Mapping[str, float]
    special: tuple[Special, ...] | None = optional()
    tokens: tuple[ExpertToken, ...] | None = optional()
    partners: tuple[Partner, ...] | None = optional()
    redundancy: float | None = optional(beside="partners")
    examples: tuple[Example, ...] | None = optional()


@dataclass(frozen=True)
class LayerOfExperts:
    """A layer, the balance of its load, and its experts."""

    layer: int
    balance: LayerLoad
    experts: tuple[Expert, ...]


@dataclass(frozen=True, repr=False, kw_only=True)
class ExpertReport(Result):
    """What every expert of every layer does.

    Attributes
    ----------
    model, categories
        The model, and the categories or corpora.
    of
        What shares in categories are of: ``tokens``, or ``selections`` where the number of tokens is not known.
    phase, permutations, seed
        Which tokens, and the tests of categories; None for a table of counts.
    notes
        Why something is None.
    fingerprint
        `Signatures.fingerprint` of what was studied.
    """

    WHAT: ClassVar[str] = "a report on experts"
    MADE_BY: ClassVar[str] = "moexray experts --json"
    MARK: ClassVar[str] = "of"

    model: str | None
    categories: tuple[str, ...]
    layers: tuple[LayerOfExperts, ...]
    phase: str | None = optional()
    of: Literal["tokens", "selections"]
    permutations: int | None = optional()
    seed: int | None = optional()
    notes: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.fingerprint,)

    def at(self, layer: int, expert: int | None = None) -> "ExpertReport":
        """Return the report on one layer, or on one expert of it.

        Raises
        ------
        AnalysisError
            If there is no such layer or expert.
        """
        found = [one for one in self.layers if one.layer == layer]
        if not found:
            message = f"there is no layer {layer}: there are {', '.join(str(one.layer) for one in self.layers)}"
            raise AnalysisError(message)
        experts = [one for one in found[0].experts if expert in (None, one.expert)]
        if not experts:
            last = max(one.expert for one in found[0].experts)
            message = f"there is no expert {expert}: layer {layer} has experts 0 to {last}"
            raise AnalysisError(message)
        return replace(self, layers=(replace(found[0], experts=tuple(experts)),))

    def with_examples(self, trace: Trace, *, most: int = 5) -> "ExpertReport":
        """Return the report with tokens of each expert in context; see `moexray.studies.expert_tokens.examples`."""
        tokens = self.phase or "all"

        def shown(layer: LayerOfExperts, one: Expert) -> Expert:
            return replace(one, examples=examples(trace, layer.layer, one.expert, tokens=tokens, most=most))

        layers = (replace(one, experts=tuple(shown(one, expert) for expert in one.experts)) for one in self.layers)
        return replace(self, layers=tuple(layers))

    def headline(self) -> list[str]:
        """Return the model and the categories, the experts in all, and the busiest of them."""
        layer, one = max(
            ((layer, one) for layer in self.layers for one in layer.experts), key=lambda pair: pair[1].load
        )
        experts = sum(len(of_layer.experts) for of_layer in self.layers)
        dead = sum(of_layer.balance.dead_experts for of_layer in self.layers)
        return [
            f"{self.model or 'unknown model'}, experts by {categories_text(self.categories)}",
            f"{count(experts, 'expert')} in {count(len(self.layers), 'layer')}, {dead} never selected",
            f"busiest: expert {one.expert} of layer {layer.layer}, {percent(one.load)} of the layer's selections",
        ]

    def _main_rows(self) -> list[dict[str, Any]]:
        """Return a row for each expert."""
        return [
            {
                "layer": layer.layer,
                "expert": one.expert,
                "load": one.load,
                "rank": one.rank,
                **{f"categories.{name}": share for name, share in one.categories.items()},
                "redundancy": one.redundancy,
            }
            for layer in self.layers
            for one in layer.experts
        ]
