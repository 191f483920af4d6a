"""Parts that are added to an analysis after it was made, with its own settings."""

from dataclasses import replace
from typing import Any

from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.cohort import Cohort
from moexray.studies.notes import Notes
from moexray.studies.sections.alternatives import all_alternatives, alternatives
from moexray.studies.sections.controls import token_ids_alone
from moexray.studies.sections.token_identity import token_identity
from moexray.trace import Trace


def completed(
    analysis: Analysis, signatures: Signatures, *, specifications: bool = False, trace: Trace | None = None
) -> Analysis:
    """Return an analysis with specifications, or the control of token identity, or both, as well.

    They are those that `analyze` would have computed, had it been asked for them.

    Parameters
    ----------
    analysis
        Of these signatures.
    signatures
        What it is of.
    specifications
        Whether to add the headline under every other sensible choice.
    trace
        Of these prompts, for the control of token identity.
    """
    cohort = Cohort.of(signatures, **options_of(analysis), trace=trace)
    notes = Notes(dict(analysis.notes))
    if specifications:
        part = notes.under("specifications")
        found = part.attempt("", lambda: alternatives(cohort, part))
        part = notes.under("specifications_p")
        notes.found.pop(part.prefix, None)
        together = part.attempt("", lambda: all_alternatives(cohort, part))
        analysis = replace(analysis, specifications=found, specifications_p=together)
    if trace is not None:
        part = notes.under("controls.token_identity")
        notes.found.pop(part.prefix, None)
        identity = part.attempt("", lambda: token_identity(cohort, part))
        controls = replace(analysis.controls, token_identity=identity)
        if controls.lexical is not None and controls.lexical.of is not None:
            part = notes.under("controls.lexical.token_ids")
            notes.found.pop(part.prefix, None)
            alone = part.attempt("", lambda: token_ids_alone(cohort))
            controls = replace(controls, lexical=replace(controls.lexical, token_ids=alone))
        analysis = replace(analysis, controls=controls, settings=replace(analysis.settings, trace=True))
    return replace(analysis, notes=notes.sorted())


def options_of(analysis: Analysis) -> dict[str, Any]:
    """Return the options of `analyze` that an analysis was made with, but for what may be added to it."""
    header, settings = analysis.signatures, analysis.settings
    return {
        "tokens": header.phase,
        "weighting": header.by,
        "permutations": settings.permutations,
        "seed": settings.seed,
        "folds": settings.folds,
    }
