"""The control of token identity: what an analysis says of a trace, as JSON values."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import NotComputable
from moexray.stats.categories.classifier import classify
from moexray.stats.inference.labels import category_numbers, group_numbers
from moexray.stats.pairs.matrix import matrix_effect, matrix_permutation_test, matrix_similarity
from moexray.stats.pairs.similarity import Similarity
from moexray.stats.tokens.expected import ExpectedRouting, OtherBlocks, covered_tokens, expected_routing
from moexray.stats.tokens.information import routing_information
from moexray.stats.tokens.pairs import CategorySums, IdPairs
from moexray.stats.tokens.residual import residual_test
from moexray.stats.tokens.same_token import SameTokenTest, same_token_test
from moexray.stats.tokens.share import token_share
from moexray.stats.tokens.sums import TokenRows, selections, token_rows
from moexray.studies.cohort import Subject
from moexray.trace import RoutedTokens, Trace

# Every layer has matrices of prompts by prompts, and a prompt its part in all others.
MOST_PROMPTS = 500
# Every shuffle looks at all pairs of prompts in all layers; so many give p down to 0.0005.
GAIN_PERMUTATIONS, RESIDUAL_PERMUTATIONS = 2000, 1000
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class _Tokens:
    """The tokens of the prompts that are looked at, and their rows."""

    routed: RoutedTokens
    labels: Sequence[str]
    groups: Sequence[str] | None
    layers: Sequence[int]
    width: int
    rows: TokenRows
    by_layer: list[NDArray[np.float64]]


def token_identity(subject: Subject, trace: Trace) -> dict[str, Any]:
    """Compare tokens with themselves in other prompts, and prompts with what their tokens make one expect.

    Of more than 500 prompts all but the gain looks at as many drawn at random, and the notes say so.
    """
    few = subject.few(MOST_PROMPTS, "controls.token_identity")
    places = {name: place for place, name in enumerate(trace.signatures.prompts.ids)}
    routed = trace.tokens(np.array([places[name] for name in few.prompts.ids]), subject.phase)
    width, layers = few.counts.shape[3], few.layers.tolist()
    rows = token_rows(routed.token_ids, routed.prompts)
    by_layer = [selections(rows, chosen, width) for chosen in routed.experts.swapaxes(0, 1)]
    tokens = _Tokens(routed, few.prompts.categories, few.prompts.groups, layers, width, rows, by_layer)
    found: dict[str, Any] = {"same_token": _or_note(subject, "same_token", lambda: _same_token(subject, tokens))}
    if len(few) < len(subject.all_labels) and found["same_token"] is not None:
        gains = streamed_gains(trace, subject.phase)
        found["same_token"]["every_prompt"] = {"gain": float(np.mean(gains)), "by_layer": gains}
    labels = few.prompts.categories
    other_prompts = OtherBlocks(rows, group_numbers(len(few), few.prompts.groups))
    other_categories = OtherBlocks(rows, category_numbers(few.prompts.categories).astype(np.int64))
    main = _or_note(subject, "expected", lambda: _expectation(subject, tokens, other_prompts))
    found |= dict.fromkeys(("covered", "observed", "expected", "residual", "layers")) if main is None else main
    if found["residual"] is not None:
        found["residual"] |= _residual_p(subject, tokens)
    found["other_categories"] = _or_note(
        subject,
        "other_categories",
        # What is expected lacks a prompt's own category, so a classifier could read the category from that alone.
        lambda: _expectation(subject, tokens, other_categories, accuracies=False),
    )
    found["share"] = _or_note(subject, "share", lambda: asdict(token_share(other_prompts, by_layer, labels)))
    found["information"] = _or_note(subject, "information", lambda: _information(tokens))
    return found


def streamed_gains(trace: Trace, phase: Any) -> list[float]:
    """Return each layer's gain of the same-token test over all prompts, in memory for ids × categories × experts.

    As many layers as fit into a gigabyte are summed in one reading of the trace.
    """
    numbers = category_numbers(trace.signatures.prompts.categories)
    ids = np.zeros(0, dtype=np.int64)
    for block in trace.blocks():
        ids = np.union1d(ids, block.select(phase).token_ids)
    categories = int(numbers.max()) + 1
    layers, width = len(trace.signatures.layers), trace.width
    together = max(1, _MOST_BYTES // (len(ids) * categories * (width + 3) * 8))
    gains: list[float] = []
    for start in range(0, layers, together):
        some = range(start, min(start + together, layers))
        sums = [_nothing(len(ids), categories, width) for _ in some]
        for block in trace.blocks():
            _add(sums, block.select(phase), some, ids=ids, numbers=numbers)
        pairs = [one.pairs(int(trace.signatures.top_k[layer])) for one, layer in zip(sums, some, strict=True)]
        gains += [_gain(one) for one in pairs]
    return gains


def _nothing(ids: int, categories: int, width: int) -> CategorySums:
    empty = np.zeros((4, ids, categories))
    return CategorySums(empty[0], np.zeros((ids, categories, width)), empty[1], empty[2])


def _add(
    sums: Sequence[CategorySums], block: RoutedTokens, layers: range, *, ids: NDArray[np.int64], numbers: Any
) -> None:
    rows = token_rows(block.token_ids, block.prompts)
    where = np.searchsorted(ids, rows.token_ids)
    for one, layer in zip(sums, layers, strict=True):
        counts = selections(rows, block.experts[:, layer], one.selections.shape[2])
        more = CategorySums.of(rows, counts, numbers, one.occurrences.shape[1])
        for name in ("occurrences", "selections", "own_occurrences", "own_selections"):
            getattr(one, name)[where] += getattr(more, name)


def _gain(pairs: IdPairs) -> float:
    weight = float(pairs.weights.sum())
    return float(pairs.weighted_gains.sum()) / weight if weight else float("nan")


def _same_token(subject: Subject, tokens: _Tokens) -> dict[str, Any]:
    found: SameTokenTest = same_token_test(
        tokens.routed.token_ids,
        tokens.routed.prompts,
        tokens.routed.experts,
        tokens.labels,
        width=tokens.width,
        permutations=min(subject.permutations, GAIN_PERMUTATIONS if len(tokens.labels) <= 100 else 1000),
        rng=subject.rng("token_identity.same_token"),
        groups=tokens.groups,
    )
    by_layer = zip(tokens.layers, found.by_layer, found.null_by_layer, found.p_values, found.adjusted, strict=True)
    return {
        "gain": found.gain,
        "ci": found.gain_ci,
        "within": found.within,
        "null_mean": found.null_mean,
        "null_std": found.null_std,
        "p_value": found.p_value,
        "permutations": found.permutations,
        "ids": found.ids,
        "by_layer": [
            {"layer": layer, "gain": gain, "null_ci": ends, "p_value": p, "p_value_corrected": adjusted}
            for layer, gain, ends, p, adjusted in by_layer
        ],
    }


def _expectation(subject: Subject, tokens: _Tokens, others: OtherBlocks, *, accuracies: bool = True) -> dict[str, Any]:
    covered = covered_tokens(others)
    there = np.flatnonzero(covered).tolist()
    labels = [tokens.labels[i] for i in there]
    if len(set(labels)) < 2 or len(there) == len(set(labels)):
        message = "too few tokens have an id that occurs often enough elsewhere"
        raise NotComputable(message)
    found = [expected_routing(others, counts) for counts in tokens.by_layer]
    shuffles: Any = {"permutations": min(subject.permutations, 10_000), "rng": subject.rng("token_identity.expected")}
    document: dict[str, Any] = {"covered": float(covered.sum() / tokens.rows.occurrences.sum())}
    layers: dict[str, list[float | None]] = {}
    for name, part in _PARTS.items():
        vectors = [part(one)[there] for one in found]
        noise = [_NOISE[name](one)[np.ix_(there, there)] for one in found]
        alike = _cosines(np.hstack(vectors), np.sum(noise, axis=0))
        document[name] = _summary(matrix_similarity(alike, labels))
        if name != "residual":
            document[name]["p_value"] = matrix_permutation_test(alike, labels, **shuffles).p_value
        if accuracies:
            document[name] |= _accuracy(subject, tokens, there, np.hstack(vectors))
        layers[name] = [matrix_effect(_cosines(*one), labels) for one in zip(vectors, noise, strict=True)]
    document["layers"] = [
        {"layer": layer, **{name: effects[i] for name, effects in layers.items()}}
        for i, layer in enumerate(tokens.layers)
    ]
    return document


_PARTS: dict[str, Callable[[ExpectedRouting], NDArray[np.float64]]] = {
    "observed": lambda one: one.observed,
    "expected": lambda one: one.expected,
    "residual": lambda one: one.residual,
}
_NOISE: dict[str, Callable[[ExpectedRouting], NDArray[np.float64]]] = {
    "observed": lambda one: np.zeros_like(one.noise_expected),
    "expected": lambda one: one.noise_expected,
    "residual": lambda one: one.noise_residual,
}


def _cosines(vectors: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1)
    lengths[lengths == 0] = 1
    return np.asarray((vectors @ vectors.T - noise) / lengths[:, None] / lengths)


def _summary(found: Similarity) -> dict[str, Any]:
    return {
        "within": found.within.mean,
        "across": found.across.mean,
        "cohens_d": found.cohens_d,
        "cohens_d_ci": found.cohens_d_ci,
    }


def _accuracy(subject: Subject, tokens: _Tokens, there: Sequence[int], vectors: NDArray[np.float64]) -> dict[str, Any]:
    groups = None if tokens.groups is None else [tokens.groups[i] for i in there]
    options = {**subject.classing, "groups": groups}
    try:
        found = classify(vectors, [tokens.labels[i] for i in there], **options)
    except NotComputable as reason:
        subject.notes["controls.token_identity.accuracy"] = str(reason)
        return {"accuracy": None, "accuracy_ci": None}
    return {"accuracy": found.accuracy, "accuracy_ci": found.accuracy_ci}


def _residual_p(subject: Subject, tokens: _Tokens) -> dict[str, Any]:
    def tested() -> dict[str, Any]:
        found = residual_test(
            tokens.rows,
            tokens.by_layer,
            tokens.labels,
            permutations=min(subject.permutations, RESIDUAL_PERMUTATIONS),
            rng=subject.rng("token_identity.residual"),
            groups=tokens.groups,
        )
        by_layer = zip(tokens.layers, found.p_values, found.adjusted, strict=True)
        return {
            "p_value": found.p_value,
            "permutations": found.permutations,
            "by_layer": [{"layer": layer, "p_value": p, "p_value_corrected": q} for layer, p, q in by_layer],
        }

    return _or_note(subject, "residual", tested) or {"p_value": None}


def _information(tokens: _Tokens) -> list[dict[str, Any]]:
    routed = tokens.routed
    found = []
    for layer, chosen in zip(tokens.layers, routed.experts.swapaxes(0, 1), strict=True):
        measured = routing_information(
            routed.token_ids, routed.prompts, routed.positions, chosen, tokens.labels, width=tokens.width
        )
        found.append({"layer": layer, **asdict(measured)})
    return found


def _or_note(subject: Subject, name: str, control: Callable[[], Any]) -> Any:
    try:
        return control()
    except NotComputable as reason:
        subject.notes[f"controls.token_identity.{name}"] = str(reason)
        return None
