"""The findings of an analysis in a few sentences, with their numbers and their caveats."""

from collections.abc import Callable, Mapping

from moexray.formats import count, number, p_text, percent, points, runs, visible
from moexray.stats.categories.balance import Baseline
from moexray.studies.analysis import Analysis
from moexray.studies.limits import LEVEL
from moexray.studies.sections.controls import Controls

CAVEATS = (
    "Routers read the token first: what remains after the controls for words and length may still be a shared "
    "template, or tokens that the controls did not model.",
    "Pairs of prompts are not independent, so p-values come from permuting labels over prompts, and intervals from "
    "leaving out one prompt at a time; over groups, where prompts are declared to have them.",
)


def summarize(analysis: Analysis) -> list[str]:
    """Return one sentence for each finding; for what could not be computed, the reason."""
    sentences = []
    for name, sentence in _SENTENCES.items():
        found = sentence(analysis)
        sentences.append(found or f"Not computed: {name} ({analysis.reason(name) or 'no reason given'}).")
    return [visible(sentence) for sentence in [*sentences, *CAVEATS]]


def _location(analysis: Analysis) -> str | None:
    """Tell the headline by the test of location, or, where there is none, by permuted labels alone."""
    similarity, test, location = analysis.similarity, analysis.permutation, analysis.location
    if test is None:
        return None
    means = f"mean similarity {number(similarity.within.mean, 3)} within and {number(similarity.across.mean, 3)} across"
    effect = "" if similarity.cohens_d is None else f", Cohen's d = {number(similarity.cohens_d)}"
    if similarity.cohens_d_ci is not None:
        effect += f" (95 % interval {_from_to(similarity.cohens_d_ci)})"
    permuted = f"{p_text(test.p_value)}, {count(test.permutations, 'permutation')} of the labels{_of_groups(analysis)}"
    if location is None:
        reason = analysis.reason("location") or "no reason given"
        told = f"{_difference(found=test.p_value < LEVEL)}: {means}{effect}; {permuted}."
        return f"{told} Mean routing was not tested by itself ({reason}).{_too_few(analysis)}"
    tested = f"test of location t = {number(location.statistic)}, {p_text(location.p_value)}"
    told = f"{_difference(found=location.p_value < LEVEL)}: {means}{effect}; {tested}"
    if (location.p_value < LEVEL) == (test.p_value < LEVEL):
        return f"{told}; permutation test of similarity {permuted}.{_too_few(analysis)}"
    return f"{told}. {_disagreement(analysis, permuted)}"


def _difference(*, found: bool) -> str:
    if found:
        return "Prompts of one category are routed more similarly than prompts of different ones"
    return "The mean routing of the categories cannot be told from that of permuted labels"


def _disagreement(analysis: Analysis, permuted: str) -> str:
    """Say what it means that similarity, as the study tests it, and location differ."""
    test = analysis.permutation
    if test is None or test.p_value >= LEVEL:
        return f"The study's own statistic, similarity within minus across, does not show it ({permuted})."
    return (
        "The study's own statistic, similarity within minus across, is larger than under permuted labels "
        f"({permuted}): categories of unequal spread or unequal length do that without a difference of means."
    )


def _too_few(analysis: Analysis) -> str:
    units = analysis.units
    if units is None or units.least_p <= LEVEL:
        return ""
    of = "prompts" if units.design == "independent" else "groups"
    return f" So few {of} allow no p-value below {number(units.least_p, 3)}."


def _of_groups(analysis: Analysis) -> str:
    units = analysis.units
    if units is None or units.design == "independent":
        return ""
    return f" {'over' if units.design == 'nested' else 'inside'} {count(units.units, 'group')}"


def _balance(analysis: Analysis) -> str | None:
    if analysis.balance is None:
        return None
    uniform, matched = analysis.balance.uniform, analysis.balance.load_matched
    if len(analysis.signatures.categories) < 2:
        return None
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
    ends = f"95 % interval {percent(found.accuracy.ci[0])} to {percent(found.accuracy.ci[1])}"
    told = (
        f"A linear classifier names the category of {percent(found.accuracy.mean)} of the prompts from the signature "
        f"alone ({ends}; chance {percent(found.chance)}, {p_text(found.p_value)})."
    )
    return told + _left_out_groups(analysis) + _other_prompts(analysis)


def _left_out_groups(analysis: Analysis) -> str:
    found = analysis.generalisation
    if found is None:
        return ""
    return (
        " It is trained on other groups than it is tested on; folds that ignore groups would give "
        f"{percent(found.ignoring_groups.mean)}."
    )


def _other_prompts(analysis: Analysis) -> str:
    found = analysis.test
    if found is None:
        return ""
    accuracy = f"{percent(found.accuracy.mean)} of {count(found.prompts, 'prompt')}"
    return f" Of the other capture it names {accuracy} (chance {percent(found.chance)}, {p_text(found.p_value)})."


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
    direction, slope = trend.spearman, f"Spearman {number(trend.spearman, signed=True)}"
    if trend.slope is not None:
        direction, slope = trend.slope, f"d {number(trend.slope, 3, signed=True)} a layer"
    course = f"{'grows' if direction > 0 else 'falls'} with depth ({slope}, {p_text(trend.p_value)})"
    if trend.p_value >= LEVEL:
        course = f"shows no clear trend with depth ({slope}, {p_text(trend.p_value)})"
    ends = ""
    if trend.peak_layers is not None:
        ends = f"; layers that cannot be told from the largest: {runs(trend.peak_layers)}"
    return f"The effect {course} and is largest in layer {peak.layer} (d = {number(peak.cohens_d)}{ends})."


def _from_to(ends: tuple[float, float], digits: int = 2) -> str:
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


# Sentences by the section of the analysis that they tell.
_SENTENCES: Mapping[str, Callable[[Analysis], str | None]] = {
    "permutation": _location,
    "balance": _balance,
    "classifier": _classifier,
    "controls": _controls,
    "depth": _depth,
}
