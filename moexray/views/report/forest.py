"""Estimates of an analysis side by side, panel by panel: the same for the still table, the view and its CSV."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from moexray.formats import MISSING, count, interval, number, p_value, percent, points, visible
from moexray.studies.analysis import Analysis
from moexray.studies.sections.controls import Control
from moexray.studies.sections.expectation import Separation
from moexray.studies.sections.phases import PhaseEffect
from moexray.studies.sections.token_identity import TokenIdentity
from moexray.views.tables.table import Column, Table

Unit = Literal["share", "points", "effect", "similarity"]
_Ends = tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A number of an analysis.

    Attributes
    ----------
    key
        Where it stands in the JSON of the analysis.
    name
        What it is of.
    value, ci, p_value
        As the analysis has them; None where it has none.
    """

    key: str
    name: str
    value: float | None
    ci: _Ends = None
    p_value: float | None = None


@dataclass(frozen=True)
class Forest:
    """Estimates of one unit, which share an axis.

    Attributes
    ----------
    title
        What they are.
    unit
        How they are written.
    reference, reference_name
        What they are compared with, such as chance; None and empty where there is nothing of the kind.
    rows
        At least one.
    """

    title: str
    unit: Unit
    reference: float | None
    reference_name: str
    rows: tuple[Estimate, ...]


_WRITE: Mapping[Unit, Callable[[float | None], str]] = {
    "share": percent,
    "points": points,
    "effect": number,
    "similarity": lambda value: number(value, 4),
}


def control_forests(analysis: Analysis) -> list[Forest]:
    """Return what words, characters, length and token identity explain, as far as the analysis holds it."""
    identity = analysis.controls.token_identity
    of_tokens = [] if identity is None else [*_expected(identity), *_same_token(identity), *_share(identity)]
    return [*_accuracies(analysis), *_partial(analysis), *of_tokens]


def phase_forests(analysis: Analysis) -> list[Forest]:
    """Return prompt and generated tokens of the same prompts, compared."""
    found = analysis.phases
    if found is None:
        return []
    both = (("prompt", "prompt tokens", found.prompt), ("generated", "generated tokens", found.generated))
    effects = [
        *(Estimate(f"phases.{key}.cohens_d", name, one.cohens_d, one.cohens_d_ci) for key, name, one in both),
        Estimate(
            "phases.difference.cohens_d", "generated minus prompt", found.difference.cohens_d, found.difference.ci
        ),
    ]
    accuracies = [
        Estimate(f"phases.{key}.accuracy", name, one.accuracy, one.accuracy_ci)
        for key, name, one in both
        if one.accuracy is not None
    ]
    between = [
        Estimate("phases.own.mean", "a prompt and what was written to it", found.own.mean, found.own.ci, found.p_value),
        Estimate("phases.same_category", "prompts of one category", found.same_category),
        Estimate("phases.other_categories", "prompts of different categories", found.other_categories),
    ]
    of = f", {count(found.prompts, 'prompt')}"
    return [
        *_forest(f"Effect size (Cohen's d){of}", "effect", effects, (0.0, "no effect")),
        *_forest("Accuracy of the classifier", "share", accuracies),
        *_forest("Mean similarity within a phase", "similarity", [one for part in both for one in _pairs(*part)]),
        *_forest("Mean similarity of prompt tokens with generated ones", "similarity", between),
    ]


def forest_table(forest: Forest) -> Table:
    """Return the estimates of a forest as a table."""
    write = _WRITE[forest.unit]
    title = forest.title
    if forest.reference is not None and forest.reference_name == "chance":
        title += f" ({forest.reference_name}: {write(forest.reference)})"
    rows = [
        [one.name, write(one.value), interval(one.ci, write=write) or MISSING, p_value(one.p_value)]
        for one in forest.rows
    ]
    return Table(title, [Column(), *(Column(name, numeric=True) for name in ("estimate", "95 %", "p"))], rows)


def _forest(
    title: str, unit: Unit, rows: Sequence[Estimate], reference: tuple[float | None, str] = (None, "")
) -> Iterator[Forest]:
    """Yield a forest of the rows that have a value, if any has."""
    known = tuple(one for one in rows if one.value is not None)
    if known:
        yield Forest(visible(title), unit, *reference, known)


def _accuracies(analysis: Analysis) -> Iterator[Forest]:
    found, controls = analysis.classifier, dict(_controls(analysis))
    chance = None if found is None else found.chance
    rows = [
        Estimate(f"{key}.accuracy.mean", _name(key), one.accuracy.mean, one.accuracy.ci)
        for key, one in controls.items()
    ]
    gains = [
        Estimate(
            f"{key}.signatures_less_this.difference",
            f"signatures minus {_name(key)}",
            one.signatures_less_this.difference,
            one.signatures_less_this.ci,
        )
        for key, one in controls.items()
    ]
    if found is not None and rows:
        mean = found.accuracy
        rows.insert(0, Estimate("classifier.accuracy.mean", "signatures", mean.mean, mean.ci, found.p_value))
    title = "Accuracy of a classifier that reads one thing alone"
    yield from _forest(title, "share", rows, (chance, "" if chance is None else "chance"))
    yield from _forest("Accuracy of signatures minus that of a control, in points", "points", gains, (0.0, "no gain"))


def _controls(analysis: Analysis) -> Iterator[tuple[str, Control]]:
    lexical, length = analysis.controls.lexical, analysis.controls.length
    if lexical is not None:
        yield "controls.lexical", lexical
        for name, control in (("characters", lexical.characters), ("token_ids", lexical.token_ids)):
            if control is not None:
                yield f"controls.lexical.{name}", control
    if length is not None:
        yield "controls.length", length


def _name(key: str) -> str:
    return {"lexical": "words"}.get(last := key.rpartition(".")[2], last.replace("_", " "))


def _partial(analysis: Analysis) -> Iterator[Forest]:
    found = analysis.controls.partial
    if found is not None:
        held = "words and length held fixed"
        rows = [
            Estimate("controls.partial.unadjusted", "nothing held fixed", found.unadjusted),
            Estimate("controls.partial.category_effect", held, found.category_effect, None, found.p_value),
        ]
        yield from _forest("Similarity within minus across categories", "similarity", rows, (0.0, "no effect"))


def _expected(identity: TokenIdentity) -> Iterator[Forest]:
    kinds: tuple[tuple[str, str, Separation | None], ...] = (
        ("observed", "signatures", identity.observed),
        ("expected", "what token ids let expect", identity.expected),
        ("residual", "the rest", identity.residual),
    )
    there = [(f"controls.token_identity.{key}", name, one) for key, name, one in kinds if one is not None]
    effects = [
        Estimate(f"{key}.cohens_d", name, one.cohens_d, one.cohens_d_ci, one.p_value) for key, name, one in there
    ]
    accuracies = [Estimate(f"{key}.accuracy", name, one.accuracy, one.accuracy_ci) for key, name, one in there]
    covered = "" if identity.covered is None else f", of the {percent(identity.covered)} of tokens that occur elsewhere"
    yield from _forest(f"Effect size (Cohen's d) by token ids{covered}", "effect", effects, (0.0, "no effect"))
    yield from _forest("Accuracy of the classifier by token ids", "share", accuracies)


def _same_token(identity: TokenIdentity) -> Iterator[Forest]:
    same, context = identity.same_token, identity.same_context
    rows = []
    if same is not None:
        name = "the same token id"
        rows.append(Estimate("controls.token_identity.same_token.gain", name, same.gain, same.ci, same.p_value))
    if context is not None:
        key, name = "controls.token_identity.same_context.gain", "the same id after the same id"
        rows.append(Estimate(key, name, context.gain, context.ci, context.p_value))
    title = "Share of experts in common, within minus across categories"
    yield from _forest(title, "similarity", rows, (0.0, "no gain"))


def _share(identity: TokenIdentity) -> Iterator[Forest]:
    found = identity.share
    if found is not None:
        key = "controls.token_identity.share"
        rows = [
            Estimate(f"{key}.share", "token ids alone", found.share, found.ci),
            Estimate(f"{key}.high", "with what ids and context share", found.high, found.high_ci),
        ]
        yield from _forest("Share of the separation that token identity explains", "share", rows, (0.0, "nothing"))


def _pairs(key: str, name: str, effect: PhaseEffect) -> Iterator[Estimate]:
    yield Estimate(f"phases.{key}.within", f"{name}, within categories", effect.within)
    yield Estimate(f"phases.{key}.across", f"{name}, across categories", effect.across)
