"""What an analysis found, in a few sentences with its figures and its caveats."""

from collections.abc import Mapping
from typing import Any

_LEVEL = 0.05
CAVEATS = (
    "Routers look at the token first: shared words, a shared template or prompt length can imitate all of this, "
    "and none of these is held fixed here.",
    "Pairs of prompts are not independent, so p-values come from shuffling labels over prompts, and intervals "
    "from leaving out one prompt after another.",
)


def summarize(document: Mapping[str, Any]) -> list[str]:
    """Put the document of an `Analysis` into sentences; what it could not compute is left out, with the reason."""
    parts = {
        "permutation": _effect,
        "balance": _balance,
        "classifier": _classifier,
        "depth": _depth,
    }
    sentences = []
    for key, sentence in parts.items():
        if document[key] is None:
            sentences.append(f"Not computed: {key} ({document['notes'][key]}).")
        else:
            sentences.append(sentence(document))
    return [*sentences, *CAVEATS]


def p_text(p: float | None) -> str:
    """Return ``p < 0.001`` or ``p = `` with three decimals."""
    if p is None:
        return "p not computed"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def _effect(document: Mapping[str, Any]) -> str:
    found, test = document["similarity"], document["permutation"]
    p = f"{p_text(test['p_value'])}, {test['permutations']:,} shuffles of the labels"
    means = f"mean similarity {found['within']['mean']:.3f} within against {found['across']['mean']:.3f} across"
    effect = "" if found["cohens_d"] is None else f", Cohen's d = {found['cohens_d']:.2f}"
    if found["cohens_d_ci"] is not None:
        effect += " (95 % interval {:.2f} to {:.2f})".format(*found["cohens_d_ci"])
    if test["p_value"] < _LEVEL:
        return f"Prompts of one category are routed more alike than prompts of different ones: {means}{effect}; {p}."
    return f"The categories' routing cannot be told from that of shuffled labels: {means}{effect}; {p}."


def _balance(document: Mapping[str, Any]) -> str:
    nulls = document["balance"]
    uniform, matched = nulls["uniform"], nulls["load_matched"]
    return (
        f"Routers that only balanced their load would make every pair {uniform['mean']:.3f} alike, and chance under "
        f"the load observed here {matched['mean']:.3f}: pairs within lie {_place(nulls, 'within_above', 'above')}, "
        f"pairs across {_place(nulls, 'across_below', 'below')}."
    )


def _place(nulls: Mapping[str, Any], verdict: str, word: str) -> str:
    beaten = [name for key, name in (("uniform", "the first"), ("load_matched", "the second")) if nulls[key][verdict]]
    return {0: f"{word} neither", 1: f"{word} {beaten[0] if beaten else ''} only", 2: f"{word} both"}[len(beaten)]


def _classifier(document: Mapping[str, Any]) -> str:
    found = document["classifier"]
    accuracy = found["accuracy"]
    return (
        f"From its signature alone a linear classifier names the category of {percent(accuracy['mean'])} of the "
        f"prompts (± {percent(accuracy['std'])} over {len(accuracy['folds'])} folds; "
        f"chance {percent(found['chance'])}, {p_text(found['p_value'])})."
    )


def _depth(document: Mapping[str, Any]) -> str:
    trend = document["depth"]
    peak = next(layer for layer in document["layers"] if layer["layer"] == trend["peak_layer"])
    rank = f"Spearman {trend['spearman']:+.2f}, {p_text(trend['p_value'])}"
    if trend["p_value"] >= _LEVEL:
        course = f"shows no clear trend with depth ({rank})"
    else:
        course = f"{'grows' if trend['spearman'] > 0 else 'falls'} with depth ({rank})"
    where = ""
    if trend["peak_layer_ci"] is not None:
        where = "; with other prompts like these the peak would lie in layers {} to {}".format(*trend["peak_layer_ci"])
    return f"The effect {course} and is largest in layer {peak['layer']} (d = {peak['cohens_d']:.2f}{where})."
