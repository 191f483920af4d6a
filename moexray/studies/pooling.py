"""pool(): several captures of the same prompts, as of several models, seeds or checkpoints, in one summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError, NotComputable
from moexray.formats import count, estimate, interval, number, p_text, token_text
from moexray.prompt_table import PromptTable
from moexray.signatures import MOST_IN_MEMORY, Signatures, Weighting, check_weighting
from moexray.stats.categories.centred_layers import centred_prompts, p_value_of
from moexray.stats.categories.location import location_statistics
from moexray.stats.inference.jackknife import jackknife_interval
from moexray.stats.inference.pooling import PooledEffect, pooled_effect
from moexray.stats.inference.units import Units, units_of
from moexray.stats.pairs.balanced import LEAST_BALANCED, balanced_without_each
from moexray.stats.pairs.pair_sums import pair_sums
from moexray.stats.pairs.similarity import unit_rows
from moexray.stats.pairs.summaries import Interval
from moexray.studies.notes import Notes
from moexray.studies.results import Result, rows_of
from moexray.studies.shown_images import images_shown
from moexray.version import __version__


@dataclass(frozen=True)
class PooledCapture:
    """One capture.

    Attributes
    ----------
    model, fingerprint
        As `Signatures.meta` names it, and which signatures.
    cohens_d, ci
        Effect of category on similarity with equal weights of categories, and its 95 % interval over units.
    location_p_value
        Of the test whether categories differ in mean routing.
    """

    model: str | None
    fingerprint: str
    cohens_d: float | None
    ci: Interval | None
    location_p_value: float | None


@dataclass(frozen=True, repr=False, kw_only=True)
class Pooled(Result):
    """Several captures of the same prompts in one summary.

    Attributes
    ----------
    captures
        Each by itself, in the order given.
    effect
        The mean of their effect sizes, and how far captures differ.
    p_value
        Of the mean statistic of location over captures, with labels permuted once for all of them.
    prompts, units, categories
        Prompts with a token in all captures, their units, and how many prompts each category has.
    phase, by, permutations, seed, moexray
        Which tokens, what signatures are shares of, and the tests; the version that computed them.
    notes
        Why something is None, or what it says, by its name.
    """

    WHAT: ClassVar[str] = "a summary of several captures"
    MADE_BY: ClassVar[str] = "moexray pool --json"
    MARK: ClassVar[str] = "captures"

    captures: tuple[PooledCapture, ...]
    effect: PooledEffect | None
    p_value: float | None
    prompts: int
    units: int
    categories: Mapping[str, int]
    phase: str
    by: str
    permutations: int
    seed: int
    moexray: str
    notes: Mapping[str, str]

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprints of the captures."""
        return tuple(one.fingerprint for one in self.captures)

    def headline(self) -> list[str]:
        """Return the captures, the mean effect, how far captures differ, and the joint test."""
        lines = [f"{count(len(self.captures), 'capture')} of {count(self.prompts, 'prompt')}"]
        if self.effect is not None:
            lines.append(f"Cohen's d = {estimate(self.effect.mean, self.effect.ci)} on average")
            lines.append(f"standard deviation between captures {number(self.effect.between_sd)}")
            lines.append(f"one more capture of these prompts: {interval(self.effect.new_capture_ci)}")
        return [*lines, f"permuted labels: {p_text(self.p_value)}"]

    def _main_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.captures)


def pool(
    captures: Sequence[Signatures],
    *,
    tokens: str = "all",
    weighting: Weighting = "counts",
    permutations: int = 10_000,
    seed: int = 0,
) -> Pooled:
    """Summarise several captures of the same prompts: models, seeds or checkpoints.

    Captures share their prompts, so their errors have a part in common, which more captures do not make smaller; and
    captures differ by more than the errors of prompts. The mean over captures counts both:
    `moexray.stats.inference.pooling` says how.

    Parameters
    ----------
    captures
        Of the same prompts, by their ids, with the same categories, groups and texts; layers and experts may differ.
    tokens, weighting
        Which tokens, and what signatures are shares of: as in `moexray.analyze`. Prompts without such a token in some
        capture are left out of all.
    permutations, seed
        Permutations of labels, the same for all captures, and their seed.

    Raises
    ------
    AnalysisError
        If there are fewer than two captures, one is given twice, their prompts differ, or an option cannot be used.
    """
    _check(captures, permutations=permutations, seed=seed)
    for one in captures:
        check_weighting(weighting, has_mass=one.has_mass)
    aligned = _in_one_order(captures)
    kept = np.flatnonzero(np.all([one.has_tokens(tokens) for one in aligned], axis=0))
    if not len(kept):
        message = f"no prompt has any {token_text(tokens)} in all captures"
        raise AnalysisError(message)
    notes = Notes({})
    if len(kept) < len(aligned[0]):
        notes.add("prompts", f"{len(aligned[0]) - len(kept)} have no such token in some capture and are left out")
    aligned = [one.take(kept) for one in aligned]
    prompts = aligned[0].prompts
    units = units_of(prompts.categories, prompts.groups)
    shares = [_shares(one, tokens, weighting) for one in aligned]
    effects, left_out = _effects(shares, units)
    statistics = notes.attempt("p_value", lambda: _location(shares, prompts, permutations=permutations, seed=seed))
    effect = notes.attempt("effect", lambda: _pooled(effects, left_out, units))
    if effect is not None and len(captures) == 2:
        notes.add(
            "effect",
            "two captures say little of how captures differ: intervals reach 12.7 standard errors",
        )
    each = _each(captures, effects, left_out, units, statistics)
    return Pooled(
        captures=each,
        effect=effect,
        p_value=None if statistics is None else _p_value(statistics.mean(axis=0)),
        prompts=len(kept),
        units=len(units),
        categories=dict(sorted(Counter(prompts.categories).items())),
        phase=tokens,
        by=weighting,
        permutations=permutations,
        seed=seed,
        moexray=__version__,
        notes=notes.sorted(),
    )


def _check(captures: Sequence[Signatures], *, permutations: int, seed: int) -> None:
    for name, value, least in (("permutations", permutations, 1), ("seed", seed, 0)):
        if value < least:
            message = f"`{name}` is {value}: it must be at least {least}"
            raise AnalysisError(message)
    if len(captures) < 2:
        message = f"{count(len(captures), 'capture')} cannot be pooled: give two or more of the same prompts"
        raise AnalysisError(message)
    fingerprints = [one.fingerprint for one in captures]
    for place, fingerprint in enumerate(fingerprints):
        if (first := fingerprints.index(fingerprint)) < place:
            message = f"captures {first + 1} and {place + 1} are the same signatures: give each once"
            raise AnalysisError(message)
    if len(captures[0]) > MOST_IN_MEMORY:
        message = f"{len(captures[0]):,} prompts are more than fit memory: pool at most {MOST_IN_MEMORY:,}"
        raise AnalysisError(message)


def _in_one_order(captures: Sequence[Signatures]) -> list[Signatures]:
    """Return the captures with their prompts in the order of the first; AnalysisError where these differ."""
    first, found = captures[0], [captures[0]]
    for place, other in enumerate(captures[1:], start=2):
        if only := sorted(set(first.prompts.ids) ^ set(other.prompts.ids)):
            message = f"captures 1 and {place} hold different prompts: {only[0]!r} is in one of them only"
            raise AnalysisError(message)
        places = other.prompts.place_of()
        ordered = other.take([places[name] for name in first.prompts.ids])
        for name, ours, theirs in (
            ("category", first.prompts.categories, ordered.prompts.categories),
            ("group", first.prompts.groups, ordered.prompts.groups),
            ("text", first.prompts.texts, ordered.prompts.texts),
        ):
            if name == "text" and (ours is None or theirs is None):
                continue
            blank = [""] * len(first)
            pairs = zip(first.prompts.ids, ours or blank, theirs or blank, strict=True)
            if (differs := next((prompt for prompt, a, b in pairs if a != b), None)) is not None:
                message = f"prompt {differs!r} has another {name} in capture {place} than in capture 1"
                raise AnalysisError(message)
        for prompt, ours, theirs in zip(first.prompts.ids, images_shown(first), images_shown(ordered), strict=True):
            if ours is not None and theirs is not None and ours != theirs:
                message = f"prompt {prompt!r} has other images in capture {place} than in capture 1"
                raise AnalysisError(message)
        found.append(ordered)
    return found


def _shares(signatures: Signatures, tokens: str, weighting: Weighting) -> NDArray[np.float64]:
    vectors = signatures.vectors(tokens, weighting=weighting)
    return vectors.reshape(len(vectors), len(signatures.layers), -1)


def _effects(
    shares: Sequence[NDArray[np.float64]], units: Units
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (captures,), (units, captures)
    found = []
    for one in shares:
        directions = unit_rows(one.reshape(len(one), -1))
        sums = pair_sums(directions, units.categories, len(units.names), units.together)
        found.append(balanced_without_each(sums, units))
    return np.array([effect for effect, _ in found]), np.stack([left for _, left in found], axis=1)


def _location(
    shares: Sequence[NDArray[np.float64]], prompts: PromptTable, *, permutations: int, seed: int
) -> NDArray[np.float64]:  # (captures, 1 + permutations)
    """Return the statistics of location of all captures, under the same permutations."""
    each = (centred_prompts(one, prompts.categories, prompts.groups) for one in shares)
    return np.stack([location_statistics(one, permutations=permutations, rng=seed)[2] for one in each])


def _pooled(effects: NDArray[np.float64], left_out: NDArray[np.float64], units: Units) -> PooledEffect:
    sizes = np.bincount(units.strata)
    if sizes[sizes > 0].min() < LEAST_BALANCED:
        message = f"an interval needs {LEAST_BALANCED} prompts, or groups, in each category"
        raise NotComputable(message)
    return pooled_effect(effects, left_out, units.strata)


def _p_value(statistics: NDArray[np.float64]) -> float:
    return p_value_of(float(statistics[0]), statistics[1:])


def _each(
    captures: Sequence[Signatures],
    effects: NDArray[np.float64],
    left_out: NDArray[np.float64],
    units: Units,
    statistics: NDArray[np.float64] | None,
) -> tuple[PooledCapture, ...]:
    found = []
    for place, one in enumerate(captures):
        effect, model = float(effects[place]), one.meta.get("model")
        known = bool(np.isfinite(effect))
        ends = jackknife_interval(effect, left_out[:, place], units.strata, least=LEAST_BALANCED) if known else None
        found.append(
            PooledCapture(
                model=None if model is None else str(model),
                fingerprint=one.fingerprint,
                cohens_d=effect if known else None,
                ci=ends,
                location_p_value=None if statistics is None else _p_value(statistics[place]),
            )
        )
    return tuple(found)
