"""analyze(): the statistics, in order, into one Analysis that can be saved as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moexray.errors import AnalysisError, NotComputable
from moexray.files import whole_file
from moexray.signatures import Signatures, Weighting
from moexray.studies.alternatives import specifications_of
from moexray.studies.cohort import Subject, subject_of
from moexray.studies.sections import STATISTICS
from moexray.trace import Trace
from moexray.version import __version__

SCHEMA = 1
SPECIFICATION_PERMUTATIONS = 1000


@dataclass(frozen=True)
class Analysis:
    """The statistics of one set of signatures: a JSON document with the keys of docs/analysis.md."""

    document: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the document as JSON; the same analysis gives the same text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the document to `path`, whole or not at all."""
        with whole_file(Path(path)) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Analysis":
        """Read a file that `save` wrote; `AnalysisError` if it is missing, damaged, foreign or too new."""
        try:
            document = json.loads(Path(path).read_bytes())
        except OSError as error:
            message = f"{path} could not be read: {error.strerror}"
            raise AnalysisError(message) from error
        except ValueError as error:
            message = f"{path} is not an analysis: it is not JSON"
            raise AnalysisError(message) from error
        if not isinstance(document, dict) or "similarity" not in document or "schema" not in document:
            message = f"{path} is not an analysis: `moexray analyze` makes one"
            raise AnalysisError(message)
        if document["schema"] != SCHEMA:
            message = f"{path} has schema {document['schema']!r}; this moexray reads schema {SCHEMA}: update moexray"
            raise AnalysisError(message)
        return Analysis(document)


def analyze(
    signatures: Signatures,
    *,
    phase: str = "all",
    by: Weighting = "counts",
    permutations: int = 10_000,
    seed: int = 0,
    folds: int = 5,
    specifications: bool = False,
    trace: Trace | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Analysis:
    """Compute every statistic of one phase; the same seed gives the same result.

    What these signatures cannot give (one category, one prompt in a category) is None in the document,
    with the reason under ``notes``.

    Parameters
    ----------
    signatures
        What `moexray.recording.capture` recorded, or a file of it that is read in blocks. Of more than 5,000
        prompts, what needs every prompt in memory looks at 2,000 drawn at random, and the notes say so.
    phase
        ``prompt``, ``generated`` or ``all``; prompts without a token in it are left out and named in the notes.
    by
        What signatures are shares of: ``counts``, each expert's selections, or ``mass``, their gate weights, where
        these were recorded. Load, its nulls and their verdicts are of selections either way.
    permutations
        Shuffles of each permutation test; the classifier's takes at most 200.
    seed
        Of every random draw, and of which prompts share a fold.
    folds
        Of the classifier's cross-validation.
    specifications
        Also compute the headline under every other sensible choice, with at most 1,000 shuffles each.
    trace
        Every token's experts, of these very prompts, for the control of token identity.
    on_step
        Called with the name of each statistic before it is computed.

    Raises
    ------
    AnalysisError
        If no prompt has a token in the phase, or an option cannot be used.
    SignaturesError
        If signatures by mass are asked for, and none was recorded.
    """
    subject = subject_of(signatures, phase, by=by, permutations=permutations, seed=seed, folds=folds)
    document: dict[str, Any] = {"schema": SCHEMA, "signatures": _header(subject), "settings": _settings(subject)}
    for name, statistic in STATISTICS.items():
        if on_step is not None:
            on_step(name)
        try:
            document[name] = statistic(subject)
        except NotComputable as reason:
            document[name] = None
            subject.notes[name] = str(reason)
    document["controls"]["token_identity"] = _token_identity(subject, trace, on_step)
    if specifications:
        document["specifications"] = _specifications(subject)
    document["notes"] = dict(sorted(subject.notes.items()))
    return Analysis(json.loads(json.dumps(document)))  # tuples become lists, as in its file


def _token_identity(
    subject: Subject, trace: Trace | None, on_step: Callable[[str], None] | None
) -> dict[str, Any] | None:
    if trace is None:
        subject.notes["controls.token_identity"] = (
            "how much of this is the tokens themselves takes a trace: moexray capture --trace, then "
            "moexray analyze --trace signatures.trace.parquet"
        )
        return None
    if on_step is not None:
        on_step("token identity")
    from moexray.studies.same_token import token_identity

    return token_identity(subject, trace)


def _specifications(subject: Subject) -> list[dict[str, Any]]:
    shuffles = min(subject.permutations, SPECIFICATION_PERMUTATIONS)
    return [asdict(one) for one in specifications_of(subject.signatures, permutations=shuffles, seed=subject.seed)]


def _header(subject: Subject) -> dict[str, Any]:
    signatures = subject.signatures
    return {
        "prompts": len(subject.all_labels),
        "categories": dict(sorted(Counter(subject.all_labels).items())),
        "layers": signatures.layers.tolist(),
        "experts": signatures.counts.shape[3],
        "top_k": signatures.top_k.tolist(),
        "phase": subject.phase,
        "by": subject.by,
        "model": signatures.meta.get("model"),
    }


def _settings(subject: Subject) -> dict[str, Any]:
    return {
        "permutations": subject.permutations,
        "seed": subject.seed,
        "folds": subject.folds,
        "moexray": __version__,
    }
