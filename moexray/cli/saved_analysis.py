"""The analysis that a command shows: a saved one if it fits, else computed anew; standard error says which."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moexray.cli.options import DEFAULT_ANALYSIS
from moexray.cli.progress import step_progress
from moexray.cli.render import say
from moexray.errors import AnalysisError
from moexray.formats import listed, visible
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis, analyze
from moexray.studies.completion import completed, options_of
from moexray.trace import Trace
from moexray.version import __version__
from moexray.views.wording import name_of


@dataclass(frozen=True)
class Saved:
    """The saved analysis that fits, and a remark: which file it is, or why there is none."""

    analysis: Analysis | None
    remark: str


def analyze_with_progress(signatures: Signatures, **options: Any) -> Analysis:
    """Analyze with a spinner on standard error."""
    with step_progress() as announce:
        return analyze(signatures, on_step=lambda part: announce(name_of(part)), **options)


def find_saved(file: Path, signatures: Signatures, *, named: Path | None, given: Mapping[str, Any]) -> Saved:
    """Look for a saved analysis of some signatures.

    Parameters
    ----------
    file
        Where the signatures are.
    named
        The analysis that the user named, which must fit. By default analysis.json in the working directory or beside
        the signatures, if it fits and this version of moexray made it.
    given
        Options of `analyze` that the user gave: an analysis with other values does not fit.

    Raises
    ------
    AnalysisError
        If the user named an analysis that does not fit.
    """
    if named is not None:
        analysis = Analysis.load(named)
        problem = _foreign(analysis, signatures) or mismatch(analysis, given)
        if problem is not None:
            message = f"{named} {problem}"
            raise AnalysisError(message)
        version = _of_other_version(analysis)
        return Saved(analysis, f"read {named}" if version is None else f"read {named}, which {version}")
    problems = []
    for candidate in dict.fromkeys((DEFAULT_ANALYSIS, file.with_name(DEFAULT_ANALYSIS.name))):
        if not candidate.is_file():
            continue
        try:
            analysis = Analysis.load(candidate)
        except AnalysisError as error:
            problems.append(str(error))
            continue
        problem = _foreign(analysis, signatures) or _of_other_version(analysis) or mismatch(analysis, given)
        if problem is None:
            return Saved(analysis, f"read {candidate}")
        problems.append(f"{candidate} {problem}")
    return Saved(None, f"{problems[0] if problems else f'there is no {DEFAULT_ANALYSIS}'}: analyzed anew")


def saved_or_new(
    saved: Saved,
    signatures: Signatures,
    *,
    given: Mapping[str, Any],
    trace: Trace | None = None,
    specifications: bool = False,
) -> Analysis:
    """Return the saved analysis, or compute one; standard error says which.

    Parameters
    ----------
    saved
        What `find_saved` found.
    signatures
        What it is of.
    given
        Options of `analyze`, for an analysis that there is not.
    trace, specifications
        What it must have, too: a saved analysis without is completed with its own settings.
    """
    analysis, remark = saved.analysis, saved.remark
    if analysis is None:
        analysis = analyze_with_progress(signatures, **given, trace=trace, specifications=specifications)
    else:
        lacks_identity = trace is not None and analysis.controls.token_identity is None
        lacks = {
            "specifications": specifications and analysis.specifications is None,
            "token identity": lacks_identity,
        }
        if any(lacks.values()):
            tokens = trace if lacks_identity else None
            analysis = completed(analysis, signatures, specifications=lacks["specifications"], trace=tokens)
            remark += f"; computed what it lacks: {listed([name for name, lacking in lacks.items() if lacking])}"
    say(remark, err=True)
    return analysis


def mismatch(analysis: Analysis, given: Mapping[str, Any]) -> str | None:
    """Say which option an analysis was made with that is not the one given; None if there is none."""
    made_with = options_of(analysis)
    for name, value in given.items():
        if made_with[name] != value:
            option = "--by" if name == "weighting" else f"--{name}"
            return f"was made with {option} {made_with[name]}, not {value}"
    return None


def _foreign(analysis: Analysis, signatures: Signatures) -> str | None:
    """Say why an analysis is not known to be of some signatures; None if it is."""
    if None in analysis.studied():
        return "does not say which signatures it belongs to"
    return None if analysis.belongs_to(signatures) else "belongs to other signatures"


def _of_other_version(analysis: Analysis) -> str | None:
    """Say which other version of moexray made an analysis, since its statistics may differ; None if this one did."""
    version = analysis.settings.moexray
    return None if version == __version__ else f"was made by moexray {visible(version)}, not {__version__}"
