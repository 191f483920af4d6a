"""analyze(): the statistics, in order, into one Analysis that can be saved as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import moexray
from moexray.errors import AnalysisError, NotComputable
from moexray.files import whole_file
from moexray.findings import STATISTICS
from moexray.signatures import PHASES, Phase, Signatures
from moexray.specifications import specifications_of
from moexray.subject import Subject

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
    phase: Phase = "all",
    permutations: int = 10_000,
    seed: int = 0,
    folds: int = 5,
    specifications: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> Analysis:
    """Compute every statistic of one phase; the same seed gives the same result.

    What these signatures cannot give (one category, one prompt in a category) is None in the document,
    with the reason under ``notes``.

    Parameters
    ----------
    signatures
        What `moexray.capture.capture` recorded.
    phase
        ``prompt``, ``generated`` or ``all``; prompts without a token in it are left out and named in the notes.
    permutations
        Shuffles of each permutation test; the classifier's takes at most 200.
    seed
        Of every random draw, and of which prompts share a fold.
    folds
        Of the classifier's cross-validation.
    specifications
        Also compute the headline under every other sensible choice, with at most 1,000 shuffles each.
    on_step
        Called with the name of each statistic before it is computed.

    Raises
    ------
    AnalysisError
        If no prompt has a token in the phase, or an option cannot be used.
    """
    subject = _subject(signatures, phase, permutations, seed, folds)
    document: dict[str, Any] = {"schema": SCHEMA, "signatures": _header(subject), "settings": _settings(subject)}
    for name, statistic in STATISTICS.items():
        if on_step is not None:
            on_step(name)
        try:
            document[name] = statistic(subject)
        except NotComputable as reason:
            document[name] = None
            subject.notes[name] = str(reason)
    if specifications:
        document["specifications"] = _specifications(signatures, subject)
    document["notes"] = dict(sorted(subject.notes.items()))
    return Analysis(json.loads(json.dumps(document)))  # tuples become lists, as in its file


def _specifications(signatures: Signatures, subject: Subject) -> list[dict[str, Any]]:
    shuffles = min(subject.permutations, SPECIFICATION_PERMUTATIONS)
    return [asdict(one) for one in specifications_of(signatures, permutations=shuffles, seed=subject.seed)]


def _subject(signatures: Signatures, phase: Phase, permutations: int, seed: int, folds: int) -> Subject:
    if phase not in PHASES:
        message = f"no phase {phase!r}: there are {', '.join(PHASES)}"
        raise AnalysisError(message)
    for name, value, least in (("permutations", permutations, 1), ("folds", folds, 2), ("seed", seed, 0)):
        if value < least:
            message = f"{name} is {value}: it must be at least {least}"
            raise AnalysisError(message)
    kept = signatures.has_tokens(phase)
    if not kept.any():
        message = f"no prompt has a token in the phase {phase!r}: there is nothing to analyze"
        raise AnalysisError(message)
    ids = [name for name, there in zip(signatures.prompt_ids, kept, strict=True) if there]
    subject = Subject(signatures.select(ids=ids), phase, permutations, seed, folds)
    left_out = [name for name, there in zip(signatures.prompt_ids, kept, strict=True) if not there]
    if left_out:
        subject.notes["signatures.prompts"] = (
            f"{len(left_out)} of {len(signatures)} prompts have no token in the phase {phase!r} "
            f"and are left out: {', '.join(left_out)}"
        )
    return subject


def _header(subject: Subject) -> dict[str, Any]:
    signatures = subject.signatures
    return {
        "prompts": len(signatures),
        "categories": dict(sorted(Counter(subject.labels).items())),
        "layers": signatures.layers.tolist(),
        "experts": signatures.counts.shape[3],
        "top_k": signatures.top_k.tolist(),
        "phase": subject.phase,
        "model": signatures.meta.get("model"),
    }


def _settings(subject: Subject) -> dict[str, Any]:
    return {
        "permutations": subject.permutations,
        "seed": subject.seed,
        "folds": subject.folds,
        "moexray": moexray.__version__,
    }
