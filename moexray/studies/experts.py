"""What every expert does: its load, its categories, its tokens and its partners."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moexray.corpus_counts import CorpusCounts
from moexray.errors import AnalysisError
from moexray.formats import listed, token_text
from moexray.signatures import Signatures
from moexray.stats.experts.coactivation import Coactivation, coactivation
from moexray.stats.experts.specialisation import (
    SpecialisationTests,
    domain_specialisation,
    specialisation_tests,
    vocabulary_specialisation,
)
from moexray.stats.layers.load import layer_loads
from moexray.studies.expert_report import Expert, ExpertReport, ExpertToken, LayerOfExperts, Partner, Special
from moexray.studies.expert_tokens import LEAST_OCCURRENCES, LayerTokens, layer_tokens
from moexray.studies.limits import LEVEL
from moexray.studies.notes import Notes
from moexray.trace import Trace

# Tokens and partners of an expert that are named at most.
MOST_NAMED = 10


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
        message = f"no prompt has any {token_text(tokens)}"
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
        if tests.untested:
            notes.add("categories", f"{listed(tests.untested)}: fewer than three prompts or groups, so no test")
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
        there.vectors(tokens),
        there.prompts.categories,
        groups=there.prompts.groups,
        permutations=permutations,
        rng=seed,
        exists=exists.ravel(),
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
