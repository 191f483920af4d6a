"""What each expert is for: its load, its categories, its tokens and its partners, as JSON values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from moexray.corpus_counts import CorpusCounts
from moexray.errors import AnalysisError, NotComputable
from moexray.signatures import Signatures
from moexray.stats.experts.coactivation import Coactivation, coactivation
from moexray.stats.experts.specialisation import domain_specialisation, specialisation_tests, vocabulary_specialisation
from moexray.stats.layers.load import LayerLoad, layer_loads
from moexray.stats.tokens.sums import sum_at
from moexray.studies.codec import from_values, optional, to_values
from moexray.studies.results import Result
from moexray.trace import RoutedTokens, Trace

# A token that occurs less often says nothing of an expert; so many tokens and partners are named.
LEAST_OCCURRENCES, MOST_NAMED = 5, 10
_AROUND = 6


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
class Example:
    """A token in brackets with the tokens around it, and the prompt that holds it."""

    prompt: str
    text: str


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

    def headline(self) -> list[str]:
        """Return the model, and the busiest expert of each layer."""
        lines = [f"{self.model or 'unknown model'}, categories {', '.join(self.categories)}"]
        for layer in self.layers:
            busiest = min(layer.experts, key=lambda one: one.rank)
            dead = layer.balance.dead_experts
            lines.append(
                f"layer {layer.layer}: {len(layer.experts)} experts, busiest {busiest.expert} "
                f"({100 * busiest.load:.1f} %), {dead} never selected"
            )
        return lines

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


@dataclass(frozen=True)
class LayerTokens:
    """What one layer did with token ids, and which experts it selected together.

    Attributes
    ----------
    token_ids, occurrences, counts
        Ids, how often each occurs, and what it was sent to ``(ids,)``, ``(ids,)``, ``(ids, experts)``.
    pairs, tokens
        Tokens that selected both of two experts ``(experts, experts)``, and all tokens.
    """

    token_ids: NDArray[np.int64]
    occurrences: NDArray[np.int64]
    counts: NDArray[np.int32]
    pairs: NDArray[np.int64]
    tokens: int


def describe_experts(
    signatures: Signatures,
    *,
    phase: str = "all",
    permutations: int = 10_000,
    seed: int = 0,
    trace: Trace | None = None,
) -> ExpertReport:
    """Describe every expert of every layer; tokens, partners and redundancy where there is a trace.

    Raises
    ------
    AnalysisError
        If no prompt has a token in the phase.
    """
    there = signatures.take(np.flatnonzero(signatures.has_tokens(phase)))
    if not len(there):
        message = f"no prompt has a token in the phase {phase!r}"
        raise AnalysisError(message)
    names = sorted(set(there.prompts.categories))
    marks = np.array([[label == name for label in there.prompts.categories] for name in names], dtype=np.int64)
    counts = np.einsum("cp,ple->lce", marks, there.loads(phase))
    tokens = marks @ there.lengths(phase)
    document = _document(signatures.meta.get("model"), there.layers.tolist(), counts, tokens=tokens, names=names)
    document |= {"phase": phase, "of": "tokens", "permutations": permutations, "seed": seed}
    document["fingerprint"] = signatures.fingerprint
    _add_tests(document, there, phase, permutations, seed)
    if trace is not None:
        texts = trace.texts()
        for layer, found in zip(document["layers"], layer_tokens(trace, phase), strict=True):
            _add_tokens(layer, found, texts)
    return from_values(to_values(document), ExpertReport)


def describe_experts_of_counts(counts: CorpusCounts) -> ExpertReport:
    """Describe every expert of a table of counts, whose corpora are its categories.

    Shares are of a corpus's selections, k to a token, since such a table does not say how many tokens there were.
    """
    by_layer = counts.counts.swapaxes(0, 1)
    found = _document(counts.model, counts.layers, by_layer, tokens=counts.selections, names=counts.corpora)
    return from_values(to_values({**found, "of": "selections"}), ExpertReport)


def layer_tokens(trace: Trace, phase: str) -> list[LayerTokens]:
    """Count ids by expert, and experts by expert, in every layer of a trace, which is read twice."""
    token_ids = np.zeros(0, dtype=np.int64)
    for block in trace.blocks():
        token_ids = np.union1d(token_ids, block.select(phase).token_ids)
    layers, width = len(trace.signatures.layers), trace.width
    counts = np.zeros((layers, len(token_ids), width), dtype=np.int32)
    pairs = np.zeros((layers, width, width), dtype=np.int64)
    occurrences = np.zeros(len(token_ids), dtype=np.int64)
    for block in (block.select(phase) for block in trace.blocks()):
        known, rows = np.unique(np.searchsorted(token_ids, block.token_ids), return_inverse=True)
        occurrences[known] += np.bincount(rows, minlength=len(known))
        for layer, chosen in enumerate(block.experts.swapaxes(0, 1)):
            marks = np.zeros((len(rows), width + 1))  # the last column takes what is no selection
            np.put_along_axis(marks, np.where(chosen < 0, width, chosen).astype(np.int64), 1, axis=1)
            counts[layer, known] += sum_at(rows, marks[:, :width], len(known)).astype(np.int32)
            pairs[layer] += (marks[:, :width].T @ marks[:, :width]).astype(np.int64)
    tokens = int(occurrences.sum())
    return [LayerTokens(token_ids, occurrences, *found, tokens) for found in zip(counts, pairs, strict=True)]


def examples(trace: Trace, layer: int, expert: int, *, phase: str = "all", most: int = 5) -> list[dict[str, str]]:
    """Show the tokens that an expert gets most surely, each in its context, and each in another prompt.

    Surest are ids of which it gets the largest share; those that occur less than five times come last. The trace is
    read twice.
    """
    texts, place = trace.texts(), trace.signatures.layers.tolist().index(layer)
    surest = _surest(trace, place, expert, phase)[:most]
    found: dict[int, tuple[int, str]] = {}
    for block in (block.select(phase) for block in trace.blocks()):
        hit = (block.experts[:, place] == expert).any(axis=1)
        for token in (token for token in surest if token not in found):
            shown = [prompt for prompt, _ in found.values()]
            rows = np.flatnonzero(hit & (block.token_ids == token) & ~np.isin(block.prompts, shown))
            if len(rows):
                found[token] = (int(block.prompts[rows[0]]), _in_context(block, int(rows[0]), texts))
    names = trace.signatures.prompts.ids
    return [{"prompt": names[found[token][0]], "text": found[token][1]} for token in surest if token in found]


def _surest(trace: Trace, place: int, expert: int, phase: str) -> list[int]:
    """Order the ids that an expert gets by the share that it gets of them."""
    occurrences: Counter[int] = Counter()
    got: Counter[int] = Counter()
    for block in (block.select(phase) for block in trace.blocks()):
        hit = (block.experts[:, place] == expert).any(axis=1)
        occurrences.update(block.token_ids.tolist())
        got.update(block.token_ids[hit].tolist())
    return sorted(got, key=lambda i: (occurrences[i] < LEAST_OCCURRENCES, -got[i] / occurrences[i], i))


def _in_context(block: RoutedTokens, row: int, texts: Mapping[int, str]) -> str:
    """Write the tokens around a row, which stands in brackets."""
    those = np.flatnonzero(block.prompts == block.prompts[row])
    around = range(max(those[0], row - _AROUND), min(those[-1], row + _AROUND) + 1)
    words = [texts.get(int(block.token_ids[i]), "?") for i in around]
    words[row - around.start] = f"[{words[row - around.start]}]"
    return "".join(words)


def _document(
    model: Any, layers: Sequence[int], counts: NDArray[np.int64], *, tokens: NDArray[np.int64], names: Sequence[str]
) -> dict[str, Any]:
    """Describe experts by their `counts` ``(layers, categories, experts)``."""
    described = []
    for layer, of_layer in zip(layers, counts, strict=True):
        shares = domain_specialisation(of_layer, tokens)
        load = of_layer.sum(axis=0) / max(int(of_layer.sum()), 1)
        ranks = np.argsort(np.argsort(-load, kind="stable"), kind="stable")
        described.append(
            {
                "layer": layer,
                "balance": asdict(layer_loads(of_layer.sum(axis=0)[None])[0]),
                "experts": [
                    {
                        "expert": expert,
                        "load": float(load[expert]),
                        "rank": int(ranks[expert]) + 1,
                        "categories": {name: float(shares[c, expert]) for c, name in enumerate(names)},
                    }
                    for expert in range(of_layer.shape[1])
                ],
            }
        )
    return {"model": model, "categories": list(names), "layers": described}


def _add_tests(document: dict[str, Any], there: Signatures, phase: str, permutations: int, seed: int) -> None:
    document["notes"] = {}
    try:
        found = specialisation_tests(
            there.vectors(phase), there.prompts.categories, permutations=permutations, rng=seed
        )
    except NotComputable as reason:
        document["notes"]["categories"] = str(reason)
        return
    names, width = document["categories"], there.shape[3]
    for place, layer in enumerate(document["layers"]):
        for expert in layer["experts"]:
            column = place * width + expert["expert"]
            expert["special"] = [
                {"category": name, "difference": float(found.differences[c, column])}
                for c, name in enumerate(names)
                if found.adjusted[c, column] < 0.05
            ]


def _add_tokens(layer: dict[str, Any], found: LayerTokens, texts: Mapping[int, str]) -> None:
    shares = vocabulary_specialisation(found.counts, found.occurrences)
    often = np.flatnonzero(found.occurrences >= LEAST_OCCURRENCES)
    together: Coactivation | None
    try:
        together = coactivation(found.pairs, found.tokens)
    except NotComputable:
        together = None
    for expert in layer["experts"]:
        number = expert["expert"]
        best = often[np.argsort(-shares[often, number], kind="stable")[:MOST_NAMED]]
        expert["tokens"] = [
            {
                "token_id": int(found.token_ids[i]),
                "token": texts.get(int(found.token_ids[i])),
                "share": float(shares[i, number]),
                "occurrences": int(found.occurrences[i]),
            }
            for i in best
            if shares[i, number] > 0
        ]
        expert.update(_partners(together, number))


def _partners(together: Coactivation | None, expert: int) -> dict[str, Any]:
    if together is None:
        return {"partners": [], "redundancy": None}
    ratios, shares = together.odds_ratio[expert], together.shares[expert]
    order = [i for i in np.argsort(-np.nan_to_num(ratios), kind="stable") if np.isfinite(ratios[i]) and ratios[i] > 1]
    if np.isnan(shares).all():  # never selected
        return {"partners": [], "redundancy": None}
    partners = [{"expert": int(i), "share": float(shares[i]), "odds_ratio": float(ratios[i])} for i in order]
    return {"partners": partners[:MOST_NAMED], "redundancy": float(np.nanmax(shares))}
