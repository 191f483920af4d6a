"""What figures are drawn from: signatures and their analysis, an analysis alone, or the result of another study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from moexray.cli.options import refuse_idle
from moexray.cli.render import say
from moexray.cli.saved_analysis import Saved, find_saved, mismatch, saved_or_new
from moexray.coselection_file import SUFFIX
from moexray.errors import AnalysisError, MoexrayError
from moexray.files import find_companion
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.completion import options_of
from moexray.studies.results import Result
from moexray.trace import Trace
from moexray.views.figures import ANALYSIS, MATRIX, OF_SIGNATURES, PAIRS, SHARES, Entry
from moexray.views.studies import read_result


@dataclass(frozen=True)
class AnalysisInputs:
    """Signatures with what is known of them; without signatures, what a saved analysis holds.

    Attributes
    ----------
    options
        Of `moexray.analyze`, that the user gave.
    pairs
        The file of co-selections.
    layers
        That the user named, for figures of some layers.
    """

    signatures: Signatures | None
    saved: Saved
    trace: Trace | None
    options: Mapping[str, Any]
    pairs: Path | None = None
    layers: Sequence[int] | None = None
    kinds = OF_SIGNATURES

    @property
    def damage(self) -> str | None:
        """What is at fault where a figure cannot read its result, and what makes another; None if it is no file."""
        return "the saved analysis; `moexray analyze` makes another" if self.signatures is None else None

    def obstacle(self, entry: Entry) -> str | None:
        """Say why a figure cannot be drawn; None if nothing is in its way."""
        analysis, alone = self.saved.analysis, self.signatures is None
        if entry.of_study:
            return f"it draws what `moexray {entry.of} --json` prints"
        if alone and entry.of != ANALYSIS:
            return "it needs the signatures, not an analysis"
        if entry.of == PAIRS:
            return self._obstacle_of_pairs()
        if entry.needs == "specifications" and alone and (analysis is None or analysis.specifications is None):
            return "the analysis has no specifications: `moexray analyze --specifications` adds them"
        identity = None if analysis is None else analysis.controls.token_identity
        if entry.needs == "trace" and identity is None and (alone or self.trace is None):
            return "it needs --trace: `moexray capture --record trace` writes signatures.trace.parquet"
        return None

    def _obstacle_of_pairs(self) -> str | None:
        if self.pairs is None and self.trace is None:
            return (
                "it needs --trace, or signatures.coselection.npz beside the signatures: "
                "`moexray capture --record coselection` writes it"
            )
        if self.layers is not None and len(set(self.layers)) > 1:
            return "it draws one layer: give one --layer"
        return None

    def results(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Return the results that some figures are of, read or computed."""
        found: dict[str, Any] = {}
        if any(entry.of == ANALYSIS for entry in entries):
            found[ANALYSIS] = self._analysis(entries)
        computed = [kind for kind in _COMPUTED if any(entry.of == kind for entry in entries)]
        made_with = self.options
        if computed and self.saved.analysis is not None:
            made_with = options_of(self.saved.analysis)
            if ANALYSIS not in found:
                what = "the matrix is" if computed == [MATRIX] else "figures are"
                say(f"{self.saved.remark}: {what} computed with its options", err=True)
        for kind in computed:
            found[kind] = _COMPUTED[kind](self, made_with)
        return found

    def _analysis(self, entries: Sequence[Entry]) -> Analysis | None:
        if self.signatures is None:
            say(self.saved.remark, err=True)
            return self.saved.analysis
        return saved_or_new(
            self.saved,
            self.signatures,
            given=self.options,
            trace=self.trace if any(entry.needs == "trace" and entry.of == ANALYSIS for entry in entries) else None,
            specifications=any(entry.needs == "specifications" for entry in entries),
        )


def _matrix(inputs: AnalysisInputs, made_with: Mapping[str, Any]) -> Any:
    from moexray.studies.similarity_matrix import similarity_matrix

    assert inputs.signatures is not None
    options = {name: made_with[name] for name in ("tokens", "weighting", "seed") if name in made_with}
    return similarity_matrix(inputs.signatures, **options)


def _shares(inputs: AnalysisInputs, made_with: Mapping[str, Any]) -> Any:
    from moexray.studies.category_shares import category_shares

    assert inputs.signatures is not None
    return category_shares(inputs.signatures, tokens=made_with.get("tokens", "all"), layers=inputs.layers)


def _pairs(inputs: AnalysisInputs, made_with: Mapping[str, Any]) -> Any:
    from moexray.studies.layer_coactivation import layer_coactivation

    source = inputs.trace or inputs.pairs
    assert inputs.signatures is not None
    assert source is not None
    layer = None if inputs.layers is None else inputs.layers[0]
    return layer_coactivation(inputs.signatures, source, tokens=made_with.get("tokens", "all"), layer=layer)


# Of those of `OF_SIGNATURES` that no file holds: what computes them, from what is open and the analysis' options.
_COMPUTED: Mapping[str, Callable[[AnalysisInputs, Mapping[str, Any]], Any]] = {
    MATRIX: _matrix,
    SHARES: _shares,
    PAIRS: _pairs,
}
# Those that are of some layers.
OF_LAYERS = (SHARES, PAIRS)


@dataclass(frozen=True)
class StudyInputs:
    """The result of another study than the analysis, and the command that made it."""

    file: Path
    kind: str
    result: Result

    @property
    def kinds(self) -> tuple[str, ...]:
        """What its figures are of."""
        return (self.kind,)

    @property
    def damage(self) -> str:
        """What is at fault where a figure cannot read its result, and what makes another."""
        return f"{self.file}; `moexray {self.kind} --json` makes another"

    def obstacle(self, entry: Entry) -> str | None:
        """Say why a figure cannot be drawn; None if nothing is in its way."""
        if entry.of == self.kind:
            return None
        needed = f"draws what `moexray {entry.of} --json` prints" if entry.of_study else "is one of signatures"
        return f"it {needed}, and {self.file} is {self.result.WHAT}"

    def results(self, entries: Sequence[Entry]) -> dict[str, Any]:
        """Return the result, by what figures of it are of."""
        return {entry.of: self.result for entry in entries}


def pairs_beside(file: Path) -> Path | None:
    """Return the file of the co-selections of some signatures, if there is one."""
    return find_companion(file, SUFFIX)


def is_result(file: Path) -> bool:
    """Whether a file is read as a result, not as signatures."""
    return file.suffix.lower() == ".json"


def open_signatures(
    file: Path,
    *,
    analysis: Path | None,
    trace: Path | None,
    options: Mapping[str, Any],
    layers: Sequence[int] | None = None,
    spare: bool = False,
) -> AnalysisInputs:
    """Open signatures that figures are drawn of, and what goes with them.

    Parameters
    ----------
    file
        The signatures.
    analysis, trace
        Of these signatures, where the user named them.
    options
        Of `moexray.analyze`, which a saved analysis must have been made with.
    layers
        For figures of some layers.
    spare
        Whether the trace was found, not named, for figures that can be left out: one that cannot be read is said.
    """
    signatures = Signatures.open(file)
    try:
        opened = None if trace is None else Trace.open(trace, signatures)
    except MoexrayError as error:
        if not spare:
            raise
        say(f"drawn without a trace: {error}", err=True)
        opened = None
    saved = find_saved(file, signatures, named=analysis, given=options)
    return AnalysisInputs(signatures, saved, opened, options, pairs_beside(file), layers)


def open_result(
    file: Path, *, analysis: Path | None, trace: Path | None, options: Mapping[str, Any]
) -> AnalysisInputs | StudyInputs:
    """Read a result that is drawn without its signatures, which cannot be made with other options.

    Parameters
    ----------
    file
        The result.
    analysis, trace, options
        As in `open_signatures`: refused where they can have no part.
    """
    kind, found = read_result(file)
    for option, path in (("--analysis", analysis), ("--trace", trace)):
        if path is not None:
            message = f"{option} needs signatures, and {file} is {found.WHAT}: name the signatures instead"
            raise typer.BadParameter(message)
    if not isinstance(found, Analysis):
        named = {"by" if name == "weighting" else name: value for name, value in options.items()}
        refuse_idle(f"is for figures of signatures, and {file} is {found.WHAT}", **named)
        return StudyInputs(file, kind, found)
    problem = mismatch(found, options)
    if problem is not None:
        message = f"{file} {problem}"
        raise AnalysisError(message)
    return AnalysisInputs(None, Saved(found, f"read {file}"), None, options)
