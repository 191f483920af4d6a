"""The findings of an analysis in a few sentences, with their numbers and their caveats."""

from collections.abc import Callable, Mapping

from moexray.formats import count, number, p_text, percent, points, visible
from moexray.stats.categories.balance import Baseline
from moexray.studies.analysis import Analysis
from moexray.studies.limits import LEVEL
from moexray.studies.sections.controls import Controls

CAVEATS = (
    "Routers read the token first: what remains after the controls for words and length may still be a shared "
    "template, or tokens that the controls did not model.",
    "Pairs of prompts are not independent, so p-values come from permuting labels over prompts, and intervals from "
    "leaving out one prompt at a time.",
)


def summarize(analysis: Analysis) -> list[str]:
    """Return one sentence for each finding; for what could not be computed, the reason."""
    sentences = []
    for name, sentence in _SENTENCES.items():
        found = sentence(analysis)
        sentences.append(found or f"Not computed: {name} ({analysis.reason(name) or 'no reason given'}).")
    return [visible(sentence) for sentence in [*sentences, *CAVEATS]]


def _permutation(analysis: Analysis) -> str | None:
    found, test = analysis.similarity, analysis.permutation
    if test is None:
        return None
    means = f"mean similarity {number(found.within.mean, 3)} within and {number(found.across.mean, 3)} across"
    effect = "" if found.cohens_d is None else f", Cohen's d = {number(found.cohens_d)}"
    if found.cohens_d_ci is not None:
        effect += f" (95 % interval {_from_to(found.cohens_d_ci)})"
    p = f"{p_text(test.p_value)}, {count(test.permutations, 'permutation')} of the labels"
    if test.p_value < LEVEL:
        return (
            f"Prompts of one category are routed more similarly than prompts of different ones: {means}{effect}; {p}."
        )
    return f"The routing of the categories cannot be told from that of permuted labels: {means}{effect}; {p}."


def _balance(analysis: Analysis) -> str | None:
    if analysis.balance is None:
        return None
    uniform, matched = analysis.balance.uniform, analysis.balance.load_matched
    above = [null.within_above for null in (uniform, matched)]
    below = [null.across_below for null in (uniform, matched)]
    return (
        f"Perfectly balanced random routing has a mean similarity of {_mean(uniform)}, random routing with the load "
        f"observed here {_mean(matched)}: pairs within categories lie {_place('above', above)}, pairs across "
        f"{_place('below', below)}."
    )


def _mean(null: Baseline) -> str:
    return number(null.mean, 3)


def _place(word: str, beaten: list[bool]) -> str:
    where = {(True, True): "both", (True, False): "the first only", (False, True): "the second only"}
    return f"{word} {where.get((beaten[0], beaten[1]), 'neither')}"


def _classifier(analysis: Analysis) -> str | None:
    found = analysis.classifier
    if found is None:
        return None
    spread = f"± {percent(found.accuracy.std)} over {count(len(found.accuracy.folds), 'fold')}"
    return (
        f"A linear classifier names the category of {percent(found.accuracy.mean)} of the prompts from the signature "
        f"alone ({spread}; chance {percent(found.chance)}, {p_text(found.p_value)})."
    )


def _controls(analysis: Analysis) -> str | None:
    found = analysis.controls
    if found.length is None or found.lexical is None or found.partial is None:
        missing = next(key for key in ("length", "lexical", "partial") if getattr(found, key) is None)
        reason = analysis.reason(f"controls.{missing}") or "no reason given"
        return f"Words and length were not both controlled for ({reason})."
    lexical, partial = found.lexical, found.partial
    further = (("characters alone", lexical.characters), ("token ids alone", lexical.token_ids))
    texts = [("words", lexical), *((name.removesuffix(" alone"), one) for name, one in further if one is not None)]
    name, strongest = min(texts, key=lambda one: one[1].signatures_less_this.difference)
    gain = strongest.signatures_less_this
    ends = "" if gain.ci is None else f", 95 % interval {points(gain.ci[0])} to {points(gain.ci[1])}"
    accuracies = "".join(f", {name} {percent(one.accuracy.mean)}" for name, one in further if one is not None)
    text = "" if lexical.of is None else f" (of {lexical.of})"
    return (
        f"Words{text} alone name {percent(lexical.accuracy.mean)} of the prompts{accuracies} and length alone "
        f"{percent(found.length.accuracy.mean)}; signatures minus {name}: {points(gain.difference)} points{ends}. "
        f"With both held fixed, {number(partial.category_effect, 3)} of the {number(partial.unadjusted, 3)} between "
        f"pairs within and across remains ({p_text(partial.p_value)}). {verdict(found)}"
    )


def verdict(controls: Controls) -> str:
    """Say whether routing says more than words and length: by classifier, by similarity, by both or by neither.

    Signatures must name categories better than every control does; there is no verdict where one is missing.
    """
    length, lexical, partial = controls.length, controls.lexical, controls.partial
    if length is None or lexical is None or partial is None:
        return "So there is no verdict on words and length."
    if lexical.of is None:
        return (
            "So there is no verdict on words and length: this analysis was made by a version whose controls read "
            "prompts, whatever the tokens; analyze again."
        )
    texts = [one for one in (lexical, lexical.words, lexical.characters, lexical.token_ids) if one is not None]
    intervals = [one.signatures_less_this.ci for one in (length, *texts)]
    better = all(interval is not None and interval[0] > 0 for interval in intervals)
    similar = partial.category_effect > 0 and partial.p_value < LEVEL
    if better and similar:
        return "So routing tells categories apart beyond words and length."
    if similar:
        return "So routing is more similar than words and length explain, but names categories no better than they do."
    if better:
        return "So signatures name categories better than words and length, but are no more similar than these explain."
    return "So an effect of category beyond words and length is not shown."


def _depth(analysis: Analysis) -> str | None:
    trend = analysis.depth
    if trend is None or analysis.layers is None:
        return None
    peak = next(layer for layer in analysis.layers if layer.layer == trend.peak_layer)
    rank = f"Spearman {number(trend.spearman, signed=True)}, {p_text(trend.p_value)}"
    course = f"{'grows' if trend.spearman > 0 else 'falls'} with depth ({rank})"
    if trend.p_value >= LEVEL:
        course = f"shows no clear trend with depth ({rank})"
    ends = (
        "" if trend.peak_layer_ci is None else f"; 95 % interval of the peak: layers {_from_to(trend.peak_layer_ci, 0)}"
    )
    return f"The effect {course} and is largest in layer {peak.layer} (d = {number(peak.cohens_d)}{ends})."


def _from_to(ends: tuple[float, float], digits: int = 2) -> str:
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


# Sentences by the section of the analysis that they tell.
_SENTENCES: Mapping[str, Callable[[Analysis], str | None]] = {
    "permutation": _permutation,
    "balance": _balance,
    "classifier": _classifier,
    "controls": _controls,
    "depth": _depth,
}
