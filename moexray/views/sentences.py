"""What an analysis found, in a few sentences with its figures and its caveats."""

from collections.abc import Mapping
from typing import Any

from moexray.formats import p_text, percent

_LEVEL = 0.05
CAVEATS = (
    "Routers look at the token first: what a control for words and length leaves may still be a shared template, "
    "or tokens that the control did not model.",
    "Pairs of prompts are not independent, so p-values come from shuffling labels over prompts, and intervals "
    "from leaving out one prompt after another.",
)


def summarize(document: Mapping[str, Any]) -> list[str]:
    """Put the document of an `Analysis` into sentences; what it could not compute is left out, with the reason."""
    parts = {
        "permutation": _effect,
        "balance": _balance,
        "classifier": _classifier,
        "controls": _controls,
        "depth": _depth,
    }
    sentences = []
    for key, sentence in parts.items():
        if document[key] is None:
            sentences.append(f"Not computed: {key} ({document['notes'][key]}).")
        else:
            sentences.append(sentence(document))
    return [*sentences, *CAVEATS]


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


def _controls(document: Mapping[str, Any]) -> str:
    found = document["controls"]
    missing = [key for key in ("length", "lexical", "partial") if found[key] is None]
    if missing:
        reason = document["notes"].get(f"controls.{missing[0]}", "no reason given")
        return f"Words and length were not all controlled for ({reason})."
    words, length = (percent(found[key]["accuracy"]["mean"]) for key in ("lexical", "length"))
    gain, partial = found["lexical"]["signatures_less_this"], found["partial"]
    between = "" if gain["ci"] is None else ", 95 % interval {:+.1f} to {:+.1f}".format(*(100 * x for x in gain["ci"]))
    return (
        f"Words alone name {words} of the prompts and length alone {length}; signatures name "
        f"{100 * gain['difference']:+.1f} points more than words{between}. With both held fixed, "
        f"{partial['category_effect']:.3f} of the {partial['unadjusted']:.3f} between pairs within and across is left "
        f"({p_text(partial['p_value'])}). {_verdict(found)}"
    )


def _verdict(controls: Mapping[str, Any]) -> str:
    """Routing says more than words and length by the classifier, by similarity, by both or by neither."""
    intervals = [controls[key]["signatures_less_this"]["ci"] for key in ("length", "lexical")]
    better = all(interval is not None and interval[0] > 0 for interval in intervals)
    more_alike = controls["partial"]["category_effect"] > 0 and controls["partial"]["p_value"] < _LEVEL
    if better and more_alike:
        return "So routing tells categories apart beyond words and length."
    if more_alike:
        return "So routing is more alike than words and length explain, but names categories no better than they do."
    if better:
        return "So signatures name categories better than words and length, but are no more alike than these explain."
    return "So that routing tells categories apart beyond words and length is not shown."


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
