"""Two captures of the same prompts compared: what two models, checkpoints or precisions route differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from moexray.corpus_counts import CorpusCounts
from moexray.errors import AnalysisError
from moexray.signatures import Signatures
from moexray.stats.experts.paired import paired_routing
from moexray.stats.experts.saturation import router_saturation
from moexray.stats.pairs.divergence import jensen_shannon
from moexray.stats.pairs.summaries import Interval
from moexray.studies.codec import from_values, optional, to_values
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
        Divergence of the loads in bits, and its p-value from exchanging the two in prompts.
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
    prompts, phase, permutations, seed
        Prompts that are in both, which tokens, and the tests; None for tables of counts.
    layers
        Layer by layer; for tables of counts, corpus by corpus in each layer.
    fingerprints
        `Signatures.fingerprint` of the two.
    """

    WHAT: ClassVar[str] = "a comparison"
    MADE_BY: ClassVar[str] = "moexray compare --json"
    MARK: ClassVar[str] = "models"

    models: tuple[str | None, str | None]
    prompts: int | None = optional()
    phase: str | None = optional()
    layers: tuple[ComparedLayer, ...]
    permutations: int | None = optional()
    seed: int | None = optional()
    fingerprints: tuple[str, str] | None = optional()

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprints of the two signatures."""
        return self.fingerprints or (None, None)

    def headline(self) -> list[str]:
        """Return the two models, and the layers that differ least and most."""
        first, second = (model or "unknown model" for model in self.models)
        lines = [f"{first} and {second}, {len({one.layer for one in self.layers})} layers"]
        least, most = (of(self.layers, key=lambda one: one.jensen_shannon) for of in (min, max))
        for word, one in (("most similar", least), ("least similar", most)):
            lines.append(f"{word}: layer {one.layer}, cosine {one.similarity:.4f}, {one.jensen_shannon:.4f} bits")
        return lines

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.layers)


def compare(
    first: Signatures,
    second: Signatures,
    *,
    phase: str = "all",
    permutations: int = 10_000,
    seed: int = 0,
    common: bool = False,
    traces: tuple[Trace, Trace] | None = None,
) -> Comparison:
    """Compare loads and signatures layer by layer, and selections token by token where both have a trace.

    Parameters
    ----------
    first, second
        Captures of the same prompts by routers of the same layout.
    phase
        Whose tokens.
    permutations, seed
        Shuffles of which of a prompt's two signatures is whose, and their seed.
    common
        Compare the prompts and layers that are in both, where others are not.
    traces
        Of the two.

    Raises
    ------
    AnalysisError
        If prompts, layers, experts or, token by token, tokens are not the same.
    """
    fingerprints = (first.fingerprint, second.fingerprint)
    first, second = _matched(first, second, common=common)
    there = np.flatnonzero(first.has_tokens(phase) & second.has_tokens(phase))
    if not len(there):
        message = f"no prompt has a token in the phase {phase!r} in both"
        raise AnalysisError(message)
    first, second = first.take(there), second.take(there)
    shares = [one.vectors(phase).reshape(len(there), len(one.layers), -1) for one in (first, second)]
    found = paired_routing(shares[0], shares[1], first.prompts.categories, permutations=permutations, rng=seed)
    layers = [
        {
            "layer": layer,
            "jensen_shannon": one.jensen_shannon,
            "p_value": one.p_value,
            "similarity": one.similarity,
            "similarity_ci": one.similarity_ci,
            "moved": _moved(one.differences, one.adjusted),
        }
        for layer, one in zip(first.layers.tolist(), found, strict=True)
    ]
    if traces is not None:
        _add_agreement(layers, traces, first, phase)
    models = [one.meta.get("model") for one in (first, second)]
    settings = {"permutations": permutations, "seed": seed, "fingerprints": fingerprints}
    document = {"models": models, "prompts": len(there), "phase": phase, "layers": layers, **settings}
    return from_values(to_values(document), Comparison)


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
    if first.layers != second.layers or first.counts.shape[2] != second.counts.shape[2]:
        message = f"{first.model} and {second.model} differ in layers or experts, which cannot be matched"
        raise AnalysisError(message)
    layers = []
    for place, layer in enumerate(first.layers):
        for corpus in corpora:
            loads = [one.corpus(corpus)[place].astype(np.float64) for one in (first, second)]
            shares = [load / load.sum() for load in loads]
            cosine = float(loads[0] @ loads[1] / np.linalg.norm(loads[0]) / np.linalg.norm(loads[1]))
            layers.append(
                {
                    "layer": layer,
                    "corpus": corpus,
                    "jensen_shannon": float(jensen_shannon(*shares)),
                    "similarity": cosine,
                }
            )
    return from_values(to_values({"models": [first.model, second.model], "layers": layers}), Comparison)


def _matched(first: Signatures, second: Signatures, *, common: bool) -> tuple[Signatures, Signatures]:
    if first.shape[3] != second.shape[3]:
        message = f"one has {first.shape[3]} experts a layer, the other {second.shape[3]}: they have no match"
        raise AnalysisError(message)
    if first.layers.tolist() != second.layers.tolist():
        layers = [layer for layer in first.layers.tolist() if layer in second.layers.tolist()]
        if not common or not layers:
            message = (
                f"one has layers {first.layers.tolist()}, the other {second.layers.tolist()}: "
                "--common compares those that both have"
            )
            raise AnalysisError(message)
        first, second = _of_layers(first, layers), _of_layers(second, layers)
    ids = [name for name in first.prompts.ids if name in set(second.prompts.ids)]
    if set(first.prompts.ids) != set(second.prompts.ids) and (not common or not ids):
        only = sorted(set(first.prompts.ids) ^ set(second.prompts.ids))
        message = f"they hold different prompts ({only[0]!r} is in one only): --common compares the {len(ids)} in both"
        raise AnalysisError(message)
    one, other = (_in_order(part, ids) for part in (first, second))
    ours, theirs = one.prompts.texts, other.prompts.texts
    if ours is not None and theirs is not None and tuple(ours) != tuple(theirs):
        name = next(n for n, a, b in zip(ids, ours, theirs, strict=True) if a != b)
        message = f"prompt {name!r} is not the same text in both: capture the same prompts with either model"
        raise AnalysisError(message)
    return one, other


def _of_layers(signatures: Signatures, layers: Sequence[int]) -> Signatures:
    places = [signatures.layers.tolist().index(layer) for layer in layers]
    mass = signatures.mass
    return signatures.replace(
        counts=signatures.counts[:, :, places],
        mass=None if mass is None else mass[:, :, places],
        experts=signatures.experts[places],
        layers=signatures.layers[places],
        top_k=signatures.top_k[places],
    )


def _in_order(signatures: Signatures, ids: Sequence[str]) -> Signatures:
    places = {name: i for i, name in enumerate(signatures.prompts.ids)}
    return signatures.take([places[name] for name in ids])


def _moved(differences: NDArray[np.float64], adjusted: NDArray[np.float64]) -> list[dict[str, Any]]:
    order = [i for i in np.argsort(-np.abs(differences), kind="stable") if adjusted[i] < 0.05]
    return [{"expert": int(i), "difference": float(differences[i])} for i in order[:_MOST_MOVED]]


def _add_agreement(
    layers: Sequence[dict[str, Any]], traces: tuple[Trace, Trace], prompts: Signatures, phase: str
) -> None:
    """Compare prompt tokens always, generated ones as far as both models wrote the same."""
    texts = [trace.texts() for trace in traces]
    for token in texts[0].keys() & texts[1].keys():
        if texts[0][token] != texts[1][token]:
            named = f"{texts[0][token]!r} in one and {texts[1][token]!r} in the other"
            message = f"token {token} is {named}: their tokenizers differ"
            raise AnalysisError(message)
    tokens = []
    for trace in traces:
        places = {name: i for i, name in enumerate(trace.signatures.prompts.ids)}
        tokens.append(trace.tokens(np.array([places[name] for name in prompts.prompts.ids]), phase))
    keys = [np.column_stack([one.prompts, one.positions]) for one in tokens]
    order = [np.lexsort(key.T[::-1]) for key in keys]
    width = max(int(key[:, 1].max()) for key in keys) + 1
    flat = [(key[:, 0] * width + key[:, 1])[rows] for key, rows in zip(keys, order, strict=True)]
    both = np.intersect1d(flat[0], flat[1])
    rows = [rows[np.searchsorted(one, both)] for one, rows in zip(flat, order, strict=True)]
    same = tokens[0].token_ids[rows[0]] == tokens[1].token_ids[rows[1]]
    given = ~tokens[0].generated[rows[0]]
    if (given & ~same).any():
        name = prompts.prompts.ids[int(tokens[0].prompts[rows[0][given & ~same]][0])]
        message = f"prompt {name!r} is not the same tokens in both: their tokenizers or templates differ"
        raise AnalysisError(message)
    first_other = np.full(len(prompts), width)
    np.minimum.at(first_other, both[~same] // width, both[~same] % width)
    kept = both % width < first_other[both // width]
    held = np.unique(both[kept] // width, return_inverse=True)
    labels = [prompts.prompts.categories[i] for i in held[0]]
    places_of = [[trace.signatures.layers.tolist().index(layer["layer"]) for layer in layers] for trace in traces]
    chosen = [one.experts[some[kept]][:, places] for one, some, places in zip(tokens, rows, places_of, strict=True)]
    found = router_saturation(chosen[0], chosen[1], held[1], labels)
    for layer, agreement, interval in zip(layers, found.by_layer, found.intervals, strict=True):
        layer |= {"agreement": agreement, "agreement_ci": interval, "tokens": int(kept.sum())}
