"""analyze(): the statistics, in order, into one Analysis that can be saved as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from moexray.errors import NotComputable
from moexray.formats import p_text
from moexray.signatures import Signatures, Weighting
from moexray.stats.categories.alternatives import Specification
from moexray.stats.inference.permutation import PermutationTest
from moexray.studies.alternatives import specifications_of
from moexray.studies.codec import from_values, named, optional
from moexray.studies.cohort import Subject, subject_of
from moexray.studies.header import Header, Settings
from moexray.studies.old_sections import STATISTICS
from moexray.studies.results import Result
from moexray.studies.sections.balance import Balance
from moexray.studies.sections.classifier import Classifier
from moexray.studies.sections.controls import Controls
from moexray.studies.sections.depth import Depth
from moexray.studies.sections.layers import LayerEffect
from moexray.studies.sections.load import LoadBalance
from moexray.studies.sections.pca import Components
from moexray.studies.sections.phases import Phases
from moexray.studies.sections.similarity import PairSimilarity
from moexray.trace import Trace
from moexray.version import __version__

SPECIFICATION_PERMUTATIONS = 1000


@dataclass(frozen=True, repr=False, kw_only=True)
class Analysis(Result):
    """The statistics of one set of signatures, with the keys of docs/analysis.md.

    Attributes
    ----------
    signatures, settings
        What was studied, and how.
    loads
        The key ``load`` of the file.
    specifications
        The headline under every other sensible choice, where they were asked for.
    notes
        Why something is None, or what it looked at, by its name: ``classifier.p_value``.
    """

    WHAT: ClassVar[str] = "an analysis"
    MADE_BY: ClassVar[str] = "moexray analyze"
    MARK: ClassVar[str] = "similarity"

    signatures: Header
    settings: Settings
    similarity: PairSimilarity
    permutation: PermutationTest | None
    balance: Balance | None
    classifier: Classifier | None
    controls: Controls
    phases: Phases | None
    pca: Components | None
    layers: tuple[LayerEffect, ...]
    depth: Depth | None
    loads: tuple[LoadBalance, ...] | None = named("load")
    specifications: tuple[Specification, ...] | None = optional()
    notes: Mapping[str, str]

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.signatures.fingerprint,)

    def headline(self) -> list[str]:
        """Return what was studied, the effect size, the permutation test and the classifier."""
        about, found = self.signatures, self.similarity
        lines = [f"{about.prompts:,} prompts in {len(about.categories)} categories, tokens {about.phase}, "
                 f"{about.model or 'unknown model'}"]  # fmt: skip
        if found.within.mean is not None and found.across.mean is not None:
            d = "" if found.cohens_d is None else f", Cohen's d = {found.cohens_d:.2f}"
            lines.append(f"similarity {found.within.mean:.3f} within and {found.across.mean:.3f} across categories{d}")
        if self.permutation is not None:
            lines.append(f"permuted labels: {p_text(self.permutation.p_value)}")
        if self.classifier is not None:
            accuracy, chance = self.classifier.accuracy.mean, self.classifier.chance
            lines.append(f"classifier: {100 * accuracy:.1f} % accuracy, chance {100 * chance:.1f} %")
        return lines


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
    document: dict[str, Any] = {
        "signatures": _header(subject),
        "settings": {**_settings(subject), "trace": trace is not None},
    }
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
    return from_values(json.loads(json.dumps(document)), Analysis)


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
        "model": None if (model := signatures.meta.get("model")) is None else str(model),
        "experts_by_layer": signatures.experts.tolist() if len(set(signatures.experts.tolist())) > 1 else None,
        "sample": None if subject.everything is None else len(signatures),
        "fingerprint": subject.fingerprint,
    }


def _settings(subject: Subject) -> dict[str, Any]:
    return {
        "permutations": subject.permutations,
        "seed": subject.seed,
        "folds": subject.folds,
        "moexray": __version__,
    }
