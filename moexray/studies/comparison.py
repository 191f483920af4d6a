"""Two captures of the same prompts compared: what two models, checkpoints or precisions route differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from moexray.corpus_counts import CorpusCounts
from moexray.errors import AnalysisError
from moexray.formats import token_text
from moexray.model_fingerprint import DATE, differing_parts
from moexray.signatures import Signatures
from moexray.stats.experts.paired import PairedLayer, least_exchange_p, paired_routing
from moexray.stats.inference.units import units_of
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.summaries import Interval
from moexray.studies.agreement import router_agreement
from moexray.studies.alignment import aligned
from moexray.studies.codec import optional
from moexray.studies.limits import LEVEL
from moexray.studies.results import Result, rows_of
from moexray.trace import Trace

_MOST_MOVED = 10


@dataclass(frozen=True)
class Moved:
    """An expert, and its mean share in the second minus that in the first."""

    expert: int
    difference: float


@dataclass(frozen=True, kw_only=True)
class ComparedLayer:
    """One layer of two routers.

    Attributes
    ----------
    corpus
        Whose loads, where tables of counts are compared.
    jensen_shannon, p_value
        Divergence of the loads in bits, and its p-value from exchanging the two in units.
    jensen_shannon_expected
        Mean divergence over these exchanges: what chance alone makes of one router.
    similarity, similarity_ci
        Mean cosine of a prompt's two signatures, or the cosine of the loads of a corpus.
    moved
        Experts whose share differs after Benjamini–Hochberg adjustment, by the size of the difference.
    agreement, agreement_ci, tokens
        Share of a token's experts that both routers select, and the number of tokens; None without traces.
    """

    layer: int
    corpus: str | None = optional()
    jensen_shannon: float
    jensen_shannon_expected: float | None = optional()
    p_value: float | None = optional()
    similarity: float
    similarity_ci: Interval | None = optional(beside="p_value")
    moved: tuple[Moved, ...] | None = optional()
    agreement: float | None = optional()
    agreement_ci: Interval | None = optional(beside="agreement")
    tokens: int | None = optional()


@dataclass(frozen=True, repr=False, kw_only=True)
class Comparison(Result):
    """Two captures of the same prompts, or two tables of counts of the same corpora.

    Attributes
    ----------
    models
        The two models.
    prompts, units, phase, permutations, seed
        Prompts that are in both, groups of them and prompts without one, which tokens, and the tests; None for tables
        of counts.
    common
        True where prompts and layers that only one of them has were to be left out; else None.
    layers
        Layer by layer; for tables of counts, corpus by corpus in each layer.
    fingerprints
        `Signatures.fingerprint` of the two.
    notes
        What the tests cannot show, and prompts that were left out, by the name of the part.
    """

    WHAT: ClassVar[str] = "a comparison"
    MADE_BY: ClassVar[str] = "moexray compare --json"
    MARK: ClassVar[str] = "models"

    models: tuple[str | None, str | None]
    prompts: int | None = optional()
    common: bool | None = optional()
    units: int | None = optional()
    phase: str | None = optional()
    layers: tuple[ComparedLayer, ...]
    permutations: int | None = optional()
    seed: int | None = optional()
    fingerprints: tuple[str, str] | None = optional()
    notes: Mapping[str, str] | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprints of the two signatures."""
        return self.fingerprints or (None, None)

    def headline(self) -> list[str]:
        """Return the two models, and the layers that differ least and most."""
        first, second = (model or "unknown model" for model in self.models)
        lines = [f"{first} and {second}, {len({one.layer for one in self.layers})} layers"]
        least, most = (of(self.layers, key=lambda one: one.jensen_shannon) for of in (min, max))
        for word, one in (("smallest", least), ("largest", most)):
            found = f"{one.jensen_shannon:.4f} bits{_by_chance(one)}, cosine {one.similarity:.4f}"
            lines.append(f"{word} Jensen–Shannon divergence: layer {one.layer}, {found}")
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.layers)


def compare(
    first: Signatures,
    second: Signatures,
    *,
    tokens: str = "all",
    permutations: int = 10_000,
    seed: int = 0,
    common: bool = False,
    traces: tuple[Trace, Trace] | None = None,
) -> Comparison:
    """Compare loads and signatures layer by layer, and selections token by token where both have a trace.

    Parameters
    ----------
    first, second
        Captures of the same prompts by routers with the same experts.
    tokens
        Which tokens: see `moexray.segments.places`.
    permutations, seed
        Permutations, which exchange the two signatures of a prompt, and their seed.
    common
        Compare the prompts and layers that are in both, where others are not.
    traces
        Of the two.

    Raises
    ------
    AnalysisError
        If prompts, layers, experts or, token by token, tokens are not the same.
    """
    one, other = aligned(first, second, common=common)
    there = np.flatnonzero(one.has_tokens(tokens) & other.has_tokens(tokens))
    if not len(there):
        message = f"no prompt has any {token_text(tokens)} in both"
        raise AnalysisError(message)
    one, other = one.take(there), other.take(there)
    shares = [each.vectors(tokens).reshape(len(there), *each.shape[2:]) for each in (one, other)]
    prompts = one.prompts
    found = paired_routing(
        shares[0],
        shares[1],
        prompts.categories,
        groups=prompts.groups,
        permutations=permutations,
        rng=seed,
        experts=one.experts,
    )
    layers = [_layer(layer, of_layer) for layer, of_layer in zip(one.layers.tolist(), found, strict=True)]
    units = len(units_of(prompts.categories, prompts.groups))
    if traces is not None:
        layers = _with_agreement(layers, traces, one, tokens)
    return Comparison(
        models=(_model(first), _model(second)),
        prompts=len(there),
        common=True if common else None,
        units=units,
        phase=tokens,
        layers=tuple(layers),
        permutations=permutations,
        seed=seed,
        fingerprints=(first.fingerprint, second.fingerprint),
        notes={
            **_models_note(first, second),
            **_notes(found, layers, least_p=max(least_exchange_p(units), 1 / (1 + permutations))),
        }
        or None,
    )


def compare_counts(first: CorpusCounts, second: CorpusCounts) -> Comparison:
    """Compare the loads of two models on each corpus that both have; there are no prompts, so nothing is tested.

    Raises
    ------
    AnalysisError
        If they have no corpus in common, or other layers or experts.
    """
    corpora = [name for name in first.corpora if name in second.corpora]
    if not corpora:
        message = f"{first.model} and {second.model} have no corpus in common"
        raise AnalysisError(message)
    if first.layers != second.layers or first.experts != second.experts:
        message = f"{first.model} and {second.model} differ in layers or experts, which cannot be matched"
        raise AnalysisError(message)
    layers = (
        _loads(layer, corpus, *(one.corpus(corpus)[place].astype(np.float64) for one in (first, second)))
        for place, layer in enumerate(first.layers)
        for corpus in corpora
    )
    return Comparison(models=(first.model, second.model), layers=tuple(layers))


def _loads(layer: int, corpus: str, one: NDArray[np.float64], other: NDArray[np.float64]) -> ComparedLayer:
    return ComparedLayer(
        layer=layer,
        corpus=corpus,
        jensen_shannon=float(jensen_shannon(one / one.sum(), other / other.sum())),
        similarity=float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)),
    )


def _layer(layer: int, found: PairedLayer) -> ComparedLayer:
    order = np.argsort(-np.abs(found.differences), kind="stable")
    moved = [Moved(int(i), float(found.differences[i])) for i in order if found.adjusted[i] < LEVEL]
    return ComparedLayer(
        layer=layer,
        jensen_shannon=found.jensen_shannon,
        jensen_shannon_expected=found.expected,
        p_value=found.p_value,
        similarity=found.similarity,
        similarity_ci=found.similarity_ci,
        moved=tuple(moved[:_MOST_MOVED]),
    )


def _models_note(first: Signatures, second: Signatures) -> dict[str, str]:
    """Return in what the two models differ, as far as both captures say so."""
    different = differing_parts(first.meta, second.meta)
    dates = first.meta.get(DATE), second.meta.get(DATE)
    told = [f"the two differ in {' and '.join(different)}"] if different else []
    if None not in dates and dates[0] != dates[1]:
        told.append(f"the chat template gave the date as {dates[0]} to one, as {dates[1]} to the other")
    return {"models": "; ".join(told)} if told else {}


def _notes(found: Sequence[PairedLayer], layers: Sequence[ComparedLayer], *, least_p: float) -> dict[str, str]:
    """Return why p cannot be small, or that of a single expert, and how many prompts layers leave out."""
    prompts = max(of_layer.prompts for of_layer in found)
    notes = {
        f"layers.{layer.layer}": f"of {of_layer.prompts:,} of the prompts: a router dropped every token of the others"
        for layer, of_layer in zip(layers, found, strict=True)
        if of_layer.prompts < prompts
    }
    tests = sum(int(np.count_nonzero(~np.isnan(of_layer.adjusted))) for of_layer in found)
    if least_p > LEVEL:
        notes["layers.p_value"] = f"so few prompts or groups can be exchanged that p cannot be below {least_p:.2g}"
    if min(1.0, least_p * tests) > LEVEL:
        notes["layers.moved"] = (
            f"p of {tests:,} experts cannot be below {least_p:.2g} before its adjustment: "
            "an expert that moved alone cannot be told from chance"
        )
    return notes


def _by_chance(layer: ComparedLayer) -> str:
    expected = layer.jensen_shannon_expected
    return "" if expected is None else f" ({expected:.4f} by chance)"


def _with_agreement(
    layers: Sequence[ComparedLayer], traces: tuple[Trace, Trace], prompts: Signatures, tokens: str
) -> list[ComparedLayer]:
    found, number = router_agreement(traces, prompts, tokens)
    return [
        replace(layer, agreement=agreement, agreement_ci=interval, tokens=number)
        for layer, agreement, interval in zip(layers, found.by_layer, found.intervals, strict=True)
    ]


def _model(signatures: Signatures) -> str | None:
    model = signatures.meta.get("model")
    return None if model is None else str(model)
