"""What every expert does: its load, its categories, its tokens and its partners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from moexray.corpus_counts import CorpusCounts
from moexray.errors import AnalysisError
from moexray.formats import categories_text, count, percent
from moexray.signatures import Signatures
from moexray.stats.experts.coactivation import Coactivation, coactivation
from moexray.stats.experts.specialisation import (
    SpecialisationTests,
    domain_specialisation,
    specialisation_tests,
    vocabulary_specialisation,
)
from moexray.stats.layers.load import LayerLoad, layer_loads
from moexray.studies.codec import optional
from moexray.studies.expert_tokens import LEAST_OCCURRENCES, Example, LayerTokens, examples, layer_tokens
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes
from moexray.studies.results import Result
from moexray.trace import Trace

# Tokens and partners of an expert that are named at most.
MOST_NAMED = 10


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


def describe_experts(
    signatures: Signatures,
    *,
    tokens: str = "all",
    permutations: int = 10_000,
    seed: int = 0,
    trace: Trace | None = None,
) -> ExpertReport:
    """Describe every expert of every layer.

    Parameters
    ----------
    signatures
        What was recorded.
    tokens
        Which tokens: see `moexray.segments.places`.
    permutations, seed
        Permutations of the categories behind each expert's test, and their seed.
    trace
        Every token's experts, of these prompts; adds each expert's token ids and partners.

    Raises
    ------
    AnalysisError
        If no prompt has a selected token.
    """
    there = signatures.take(np.flatnonzero(signatures.has_tokens(tokens)))
    if not len(there):
        message = f"no prompt has a token in the phase {tokens!r}"
        raise AnalysisError(message)
    names, notes, model = sorted(set(there.prompts.categories)), Notes(), signatures.meta.get("model")
    marks = np.array([[label == name for label in there.prompts.categories] for name in names], dtype=np.int64)
    layers = _described(
        there.layers.tolist(),
        there.experts.tolist(),
        np.einsum("cp,ple->lce", marks, there.loads(tokens)),
        per=marks @ there.lengths(tokens),
        names=names,
    )
    tests = notes.attempt("categories", lambda: _tests(there, tokens, permutations, seed))
    if tests is not None:
        layers = [_with_tests(layer, tests, place, there.shape[3], names) for place, layer in enumerate(layers)]
    if trace is not None:
        texts = trace.texts()
        of_layers = zip(layers, layer_tokens(trace, tokens), strict=True)
        layers = [_with_tokens(layer, found, texts) for layer, found in of_layers]
    return ExpertReport(
        model=None if model is None else str(model),
        categories=tuple(names),
        layers=tuple(layers),
        phase=tokens,
        of="tokens",
        permutations=permutations,
        seed=seed,
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


def describe_experts_of_counts(counts: CorpusCounts) -> ExpertReport:
    """Describe every expert of a table of counts, whose corpora are its categories.

    Shares are of a corpus's selections, k to a token: such a table does not say how many tokens there were.
    """
    by_layer = counts.counts.swapaxes(0, 1)
    layers = _described(counts.layers, counts.experts, by_layer, per=counts.selections, names=counts.corpora)
    return ExpertReport(model=counts.model, categories=counts.corpora, layers=tuple(layers), of="selections")


def _described(
    layers: Sequence[int],
    experts: Sequence[int],
    counts: NDArray[np.int64],  # (layers, categories, experts)
    *,
    per: NDArray[np.int64],  # (categories,)
    names: Sequence[str],
) -> list[LayerOfExperts]:
    """Describe the experts that each layer has by their load and by their shares in categories."""
    return [
        _described_layer(layer, of_layer[:, :size], per, names)
        for layer, size, of_layer in zip(layers, experts, counts, strict=True)
    ]


def _described_layer(
    layer: int, counts: NDArray[np.int64], per: NDArray[np.int64], names: Sequence[str]
) -> LayerOfExperts:
    shares, total = domain_specialisation(counts, per), counts.sum(axis=0)
    load = total / max(int(total.sum()), 1)
    ranks = np.argsort(np.argsort(-load, kind="stable"), kind="stable")
    experts = (
        Expert(
            expert=expert,
            load=float(load[expert]),
            rank=int(ranks[expert]) + 1,
            categories={name: float(shares[c, expert]) for c, name in enumerate(names)},
        )
        for expert in range(len(load))
    )
    return LayerOfExperts(layer, layer_loads(total[None])[0], tuple(experts))


def _tests(there: Signatures, tokens: str, permutations: int, seed: int) -> SpecialisationTests:
    exists = np.arange(there.shape[3]) < there.experts[:, None]
    return specialisation_tests(
        there.vectors(tokens), there.prompts.categories, permutations=permutations, rng=seed, exists=exists.ravel()
    )


def _with_tests(
    layer: LayerOfExperts, tests: SpecialisationTests, place: int, width: int, names: Sequence[str]
) -> LayerOfExperts:
    def special(expert: int) -> tuple[Special, ...]:
        column = place * width + expert
        return tuple(
            Special(name, float(tests.differences[c, column]))
            for c, name in enumerate(names)
            if tests.adjusted[c, column] < LEVEL
        )

    return replace(layer, experts=tuple(replace(one, special=special(one.expert)) for one in layer.experts))


def _with_tokens(layer: LayerOfExperts, found: LayerTokens, texts: Mapping[int, str]) -> LayerOfExperts:
    shares = vocabulary_specialisation(found.counts, found.occurrences)
    often = np.flatnonzero(found.occurrences >= LEAST_OCCURRENCES)
    size = len(layer.experts)
    together = Notes().attempt("partners", lambda: coactivation(found.pairs[:size, :size], found.tokens))

    def described(one: Expert) -> Expert:
        best = often[np.argsort(-shares[often, one.expert], kind="stable")[:MOST_NAMED]]
        tokens = (
            ExpertToken(
                token_id=int(found.token_ids[i]),
                token=texts.get(int(found.token_ids[i])),
                share=float(shares[i, one.expert]),
                occurrences=int(found.occurrences[i]),
            )
            for i in best
            if shares[i, one.expert] > 0
        )
        partners, redundancy = _partners(together, one.expert)
        return replace(one, tokens=tuple(tokens), partners=partners, redundancy=redundancy)

    return replace(layer, experts=tuple(map(described, layer.experts)))


def _partners(together: Coactivation | None, expert: int) -> tuple[tuple[Partner, ...], float | None]:
    """Return the experts that get tokens of an expert more than loads explain, and the largest share that one gets."""
    if together is None or np.isnan(together.shares[expert]).all():  # never selected
        return (), None
    ratios, shares = together.odds_ratio[expert], together.shares[expert]
    order = [i for i in np.argsort(-np.nan_to_num(ratios), kind="stable") if np.isfinite(ratios[i]) and ratios[i] > 1]
    partners = (Partner(int(i), float(shares[i]), float(ratios[i])) for i in order[:MOST_NAMED])
    return tuple(partners), float(np.nanmax(shares))
