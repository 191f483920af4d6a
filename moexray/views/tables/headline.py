"""The headline of an analysis: each finding in a row."""

from collections.abc import Iterator

from moexray.formats import count, estimate, interval, number, p_text, percent, points, runs, span
from moexray.stats.pairs.summaries import PairSummary
from moexray.studies.analysis import Analysis
from moexray.studies.sections.controls import Control
from moexray.studies.sections.expectation import Separation
from moexray.studies.sections.phases import PhaseEffect
from moexray.views.tables.table import Column, Table

Row = tuple[str, str]


def headline(analysis: Analysis) -> Table:
    """Return one row for each finding; what was not computed has none, or says so."""
    rows = [row for of_section in _ROWS.values() for row in of_section(analysis)]
    return Table("", [Column(whole=True), Column()], rows)


def _units(analysis: Analysis) -> Iterator[Row]:
    units = analysis.units
    if units is not None and units.design != "independent":
        how = "each in one category" if units.design == "nested" else "some in several categories"
        yield "units", f"{count(units.units, 'group')}, {how}; {count(units.pairs_left_out, 'pair')} inside left out"


def _similarity(analysis: Analysis) -> Iterator[Row]:
    found = analysis.similarity
    yield "within categories", _pairs(found.within)
    yield "across categories", _pairs(found.across)
    d = f"Cohen's d = {estimate(found.cohens_d, found.cohens_d_ci)}"
    yield "effect size", f"{d}, AUC = {estimate(found.auc, found.auc_ci, 3)}"
    if found.balanced is not None:
        yield "equal categories", f"Cohen's d = {estimate(found.balanced.cohens_d, found.balanced.ci)}"


def _pairs(summary: PairSummary) -> str:
    deviation = "" if summary.std is None else f" ± {number(summary.std, 4)}"
    spread = f"{number(summary.mean, 4)}{deviation} ({count(summary.pairs, 'pair')})"
    return spread if summary.ci is None else f"{spread}, mean {interval(summary.ci, 4)}"


def _permutation(analysis: Analysis) -> Iterator[Row]:
    test = analysis.permutation
    if test is None:
        yield "permuted labels", "not computed"
        return
    null = f"{number(test.null_mean, 4)} ± {number(test.null_std, 4)}"
    yield "permuted labels", f"{number(test.observed, 4)} v. {null}: {_tested(test.p_value, test.permutations)}"


def _location(analysis: Analysis) -> Iterator[Row]:
    test = analysis.location
    if test is not None:
        share = test.share_of_difference
        of_means = "" if share is None else f", {percent(share)} by means"
        yield "location", f"t = {number(test.statistic)}: {_tested(test.p_value, test.permutations)}{of_means}"


def _dispersion(analysis: Analysis) -> Iterator[Row]:
    test = analysis.dispersion
    if test is not None:
        spreads = sorted((spread.mean, name) for name, spread in test.by_category.items())
        least, most = (f"{number(mean, 3)} ({name})" for mean, name in (spreads[0], spreads[-1]))
        yield "dispersion", f"{least} to {most}: {p_text(test.p_value)}"


def _balance(analysis: Analysis) -> Iterator[Row]:
    if analysis.balance is None:
        return
    nulls = {"balanced routing": analysis.balance.uniform, "same load, random": analysis.balance.load_matched}
    for name, null in nulls.items():
        within = "within above" if null.within_above else "within not above"
        across = "across below" if null.across_below else "across not below"
        if null.within is None or null.across is None:  # or it was analyzed by an earlier version
            yield name, f"{estimate(null.mean, null.ci, 4)}: {within}, {across}"
        else:
            ends = number(null.within.ci[1], 4), number(null.across.ci[0], 4)
            yield name, f"{number(null.mean, 4)}: {within} {ends[0]}, {across} {ends[1]}"


def _classifier(analysis: Analysis) -> Iterator[Row]:
    found = analysis.classifier
    if found is None:
        yield "classifier", "not computed"
        return
    accuracy = found.accuracy
    repeats = found.repeats or 1
    folds = count(len(accuracy.folds) // repeats, "fold")
    spread = (
        f"{percent(accuracy.mean)} ± {percent(accuracy.std)} in {folds if repeats == 1 else f'{repeats} × {folds}'}"
    )
    yield "classifier", f"{spread} {interval(accuracy.ci, write=percent)}"
    yield "chance", f"{percent(found.chance)}: {_tested(found.p_value, found.permutations)}"
    balanced = found.balanced_accuracy
    if balanced is not None and balanced.chance != found.chance:
        share = estimate(balanced.mean, balanced.ci, write=percent)
        yield "balanced accuracy", f"{share}, chance {percent(balanced.chance)}: {p_text(balanced.p_value)}"


def _generalisation(analysis: Analysis) -> Iterator[Row]:
    found = analysis.generalisation
    if found is not None:
        share = estimate(found.accuracy.mean, found.accuracy.ci, write=percent)
        drop = estimate(-found.drop.difference, _turned(found.drop.ci), write=points)
        yield "left-out groups", f"{share}: {_tested(found.p_value, found.permutations)}"
        yield "groups ignored", f"{percent(found.ignoring_groups.mean)}; left out {drop}"


def _turned(ci: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if ci is None else (-ci[1], -ci[0])


def _test(analysis: Analysis) -> Iterator[Row]:
    found = analysis.test
    if found is not None:
        share = estimate(found.accuracy.mean, found.accuracy.ci, write=percent)
        p = _tested(found.p_value, found.permutations)
        yield "other prompts", f"{share} of {count(found.prompts, 'prompt')}, chance {percent(found.chance)}: {p}"
        similarity = found.similarity
        difference = estimate(similarity.difference, similarity.ci, 4, signed=True)
        yield "", f"similarity to their own category in training {number(similarity.own, 4)}, {difference}"


def _controls(analysis: Analysis) -> Iterator[Row]:
    found = analysis.controls
    if found.lexical is not None:
        yield "words alone", _control(found.lexical)
        for name, control in (("characters", found.lexical.characters), ("token ids", found.lexical.token_ids)):
            if control is not None:
                yield f"{name} alone", _control(control)
    if found.length is not None:
        yield "length alone", _control(found.length)
    if found.partial is not None:
        partial = found.partial
        left = f"{number(partial.category_effect, 4, signed=True)} of {number(partial.unadjusted, 4, signed=True)} left"
        yield "both held fixed", f"{left}: {p_text(partial.p_value)} ({count(partial.permutations, 'draw')} of signs)"


def _control(control: Control) -> str:
    gain = control.signatures_less_this
    accuracy = estimate(control.accuracy.mean, control.accuracy.ci, write=percent)
    return f"{accuracy}; signatures {estimate(gain.difference, gain.ci, write=points)}"


def _token_identity(analysis: Analysis) -> Iterator[Row]:
    found = analysis.controls.token_identity
    if found is None:
        return
    if found.same_token is not None:
        same = found.same_token
        gain = f"{estimate(same.gain, same.ci, 4)} of {number(same.within, 3)} shared"
        yield "same token", f"{gain}: {p_text(same.p_value)} ({count(same.ids, 'id')})"
    if found.share is not None:
        share = span((found.share.share, found.share.ci), (found.share.high, found.share.high_ci), write=percent)
        yield "token identity", share
        yield "tokens covered", f"{percent(found.covered)}: of their separation that is the share"
    for name, part in (("token expectation", found.expected), ("token residual", found.residual)):
        if part is not None and part.cohens_d is not None:
            yield name, _separation(part)


def _separation(part: Separation) -> str:
    accuracy = "" if part.accuracy is None else f", accuracy {percent(part.accuracy)}"
    p = "" if part.p_value is None else f": {p_text(part.p_value)}"
    return f"d = {estimate(part.cohens_d, part.cohens_d_ci)}{accuracy}{p}"


def _phases(analysis: Analysis) -> Iterator[Row]:
    found = analysis.phases
    if found is None:
        return
    yield "prompt tokens", _phase(found.prompt)
    yield "generated tokens", _phase(found.generated)
    difference = estimate(found.difference.cohens_d, found.difference.ci, signed=True)
    yield "their difference", f"d {difference}, generated minus prompt"
    means = f"{number(found.own.mean, 3)} same prompt, {number(found.same_category, 3)} same category"
    yield "between them", f"{means}: {p_text(found.p_value)}"


def _phase(phase: PhaseEffect) -> str:
    return f"d = {estimate(phase.cohens_d, phase.cohens_d_ci)}, accuracy {percent(phase.accuracy)}"


def _components(analysis: Analysis) -> Iterator[Row]:
    if analysis.pca is not None:
        shares = " and ".join(percent(share) for share in analysis.pca.explained_variance_ratio)
        yield "two components", f"{shares} of the variance, silhouette {number(analysis.pca.silhouette)}"


def _depth(analysis: Analysis) -> Iterator[Row]:
    depth = analysis.depth
    if depth is None:
        return
    spearman = f"Spearman {number(depth.spearman, signed=True)}"
    if depth.slope is None:  # of a version whose p was that of the rank correlation
        yield "depth", f"{spearman} ({p_text(depth.p_value)})"
    else:
        slope = estimate(depth.slope, depth.slope_ci, 3, signed=True)
        yield "depth", f"d {slope} a layer: {p_text(depth.p_value)}; {spearman}"
    yield "peak layer", estimate(depth.peak_layer, depth.peak_layer_ci, 0)
    if depth.peak_layers is not None:
        yield "peak may be in", runs(depth.peak_layers)


def _specifications(analysis: Analysis) -> Iterator[Row]:
    found = analysis.specifications_p
    if found is not None:
        together = f"all {count(found.specifications, 'specification')} together"
        yield "other choices", f"{together}: {_tested(found.p_value, found.permutations)}"


def _tested(p: float | None, permutations: int) -> str:
    return f"{p_text(p)} ({count(permutations, 'permutation')})"


# Rows by the section of the analysis that they show.
_ROWS = {
    "units": _units,
    "similarity": _similarity,
    "permutation": _permutation,
    "location": _location,
    "dispersion": _dispersion,
    "balance": _balance,
    "classifier": _classifier,
    "generalisation": _generalisation,
    "test": _test,
    "controls": _controls,
    "token_identity": _token_identity,
    "phases": _phases,
    "pca": _components,
    "depth": _depth,
    "specifications_p": _specifications,
}
HEADLINE_SECTIONS = frozenset(_ROWS)
