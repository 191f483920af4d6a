"""analyze(): the sections of an analysis, in order, into one `Analysis`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from moexray.formats import categories_text, count, estimate, number, p_text, percent, tokens_text
from moexray.merging import files_open_for, trace_of, view_of
from moexray.signatures import Signatures, Weighting
from moexray.stats.categories.alternatives import Specification
from moexray.stats.categories.dispersion import DispersionTest
from moexray.stats.categories.joint import SpecificationTest
from moexray.stats.categories.location import LocationTest
from moexray.stats.inference.permutation import PermutationTest
from moexray.studies.cohort import Cohort, about_prompts
from moexray.studies.header import Header, Settings, header_of, settings_of
from moexray.studies.held_out import held_out
from moexray.studies.limits import LIMITS, Limits
from moexray.studies.notes import Notes
from moexray.studies.results import Result
from moexray.studies.section import compute_sections, group, section, sections_of
from moexray.studies.sections.alternatives import NOT_ASKED, all_alternatives, alternatives
from moexray.studies.sections.balance import Balance, load_balancing
from moexray.studies.sections.classifier import Classifier, classifier
from moexray.studies.sections.controls import Controls
from moexray.studies.sections.depth import Depth, effect_by_depth
from moexray.studies.sections.dispersion import dispersion
from moexray.studies.sections.generalisation import Generalisation, Tested, generalisation, tested
from moexray.studies.sections.layers import LayerEffect, layer_by_layer
from moexray.studies.sections.load import LoadBalance, load_by_layer
from moexray.studies.sections.location import location
from moexray.studies.sections.pca import Components, plane
from moexray.studies.sections.permutation import label_permutation
from moexray.studies.sections.phases import Phases, compare_phases
from moexray.studies.sections.similarity import PairSimilarity, pair_similarity
from moexray.studies.sections.units import UnitsOfAnalysis, units_of_analysis
from moexray.trace import Trace


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
    specifications_p
        The test of all of these together.
    notes
        Why something is None, or what it looked at, by its name: ``classifier.p_value``.
    """

    WHAT: ClassVar[str] = "an analysis"
    MADE_BY: ClassVar[str] = "moexray analyze"
    MARK: ClassVar[str] = "similarity"

    signatures: Header
    settings: Settings
    units: UnitsOfAnalysis | None = section(units_of_analysis, added=True)
    similarity: PairSimilarity = section(pair_similarity)
    permutation: PermutationTest | None = section(label_permutation)
    location: LocationTest | None = section(location, added=True)
    dispersion: DispersionTest | None = section(dispersion, added=True)
    balance: Balance | None = section(load_balancing)
    classifier: Classifier | None = section(classifier)
    controls: Controls = group(Controls)
    phases: Phases | None = section(compare_phases)
    pca: Components | None = section(plane)
    layers: tuple[LayerEffect, ...] = section(layer_by_layer)
    depth: Depth | None = section(effect_by_depth)
    loads: tuple[LoadBalance, ...] | None = section(load_by_layer, key="load")
    generalisation: Generalisation | None = section(generalisation, added=True)
    test: Tested | None = section(tested, when_asked=True)
    specifications: tuple[Specification, ...] | None = section(alternatives, when_asked=True)
    specifications_p: SpecificationTest | None = section(all_alternatives, when_asked=True, beside="similarity")
    notes: Mapping[str, str]

    def disagreement(self) -> str | None:
        """Return the name of a part that has other layers, categories or prompts than the rest; None if none has."""
        about, found, plane = self.signatures, self.similarity, self.pca
        layers, categories, loads = about.layers, sorted(about.categories), self.loads or ()
        sizes = {len(loaded.selections or ()) for loaded in loads}
        agree = {
            "signatures": len(layers) == len(about.top_k) > 0,
            "similarity.by_category": sorted(found.by_category) == categories,
            "similarity.by_pair": set(found.by_pair) == set(combinations(categories, 2)),
            "similarity.histogram": about.sample is not None or found.counts_every_pair(),
            "dispersion": self.dispersion is None or sorted(self.dispersion.by_category) == categories,
            "layers": tuple(one.layer for one in self.layers) == layers,
            "load": not loads or (tuple(one.layer for one in loads) == layers and max(sizes) <= about.experts),
            "depth": self.depth is None or self.depth.peak_layer in layers,
            "pca": plane is None
            or len(plane.coordinates) == len(plane.prompt_ids) == len(plane.categories or plane.prompt_ids),
        }
        return next((name for name, agrees in agree.items() if not agrees), None)

    def studied(self) -> tuple[str | None, ...]:
        """Return the fingerprint of the signatures."""
        return (self.signatures.fingerprint,)

    def sections(self) -> list[tuple[str, Any]]:
        """Return the key and the value of each section, in order; None for what was not computed."""
        return [(one.key, getattr(self, one.field)) for one in sections_of(Analysis)]

    def headline(self) -> list[str]:
        """Return what was studied, the effect size, the permutation test and the classifier."""
        about, found = self.signatures, self.similarity
        studied = (
            f"{count(about.prompts, 'prompt')} of {categories_text(list(about.categories))}, {tokens_text(about.phase)}"
        )
        lines = [f"{studied}, {about.model or 'unknown model'}"]
        within, across = number(found.within.mean, 3), number(found.across.mean, 3)
        effect = estimate(found.cohens_d, found.cohens_d_ci)
        lines.append(f"similarity {within} within and {across} across categories, Cohen's d = {effect}")
        if self.permutation is not None:
            lines.append(f"permuted labels: {p_text(self.permutation.p_value)}")
        if self.classifier is not None:
            accuracy, chance = percent(self.classifier.accuracy.mean), percent(self.classifier.chance)
            lines.append(f"classifier: {accuracy} accuracy, chance {chance}")
        return lines


def analyze(
    signatures: Signatures | Sequence[Signatures],
    *,
    tokens: str = "all",
    weighting: Weighting = "counts",
    permutations: int = 10_000,
    seed: int = 0,
    folds: int = 5,
    specifications: bool = False,
    trace: Trace | Sequence[Trace] | None = None,
    test: Signatures | None = None,
    limits: Limits = LIMITS,
    on_step: Callable[[str], None] | None = None,
) -> Analysis:
    """Compute every section of an analysis; the same seed gives the same result.

    What these signatures cannot give (one category, one prompt in a category) is None, with the reason in `notes`.

    Parameters
    ----------
    signatures
        What `moexray.capture` recorded, or a file of it that is read in blocks; several captures are analyzed as
        `moexray.merge` would join them, and shards in whatever order as the capture of all prompts. Of more than
        5,000 prompts, what needs every prompt in memory looks at 2,000 drawn at random, and the notes say so.
    tokens
        Which tokens: ``all``, ``prompt``, ``generated`` or another selector of `moexray.segments.places`. Prompts
        without such a token are left out and named in the notes.
    weighting
        What signatures are shares of: ``counts``, each expert's selections, or ``mass``, their gate weights, where
        these were recorded. Load, its nulls and their verdicts are of selections either way.
    permutations
        Permutations of each test; some parts take fewer, see `limits`.
    seed
        Of every random draw, and of which prompts share a fold.
    folds
        Of the classifier's cross-validation.
    specifications
        Also compute the headline under every other sensible choice.
    trace
        Every token's experts, of these prompts, for the control of token identity; one for each of several captures.
    test
        Signatures of other prompts by the same model: the classifier is trained on all of `signatures` and tested on
        these. Prompts that both hold are left out of the test, and the notes name them.
    limits
        How many prompts and permutations each part takes at most.
    on_step
        Called with the name of each section before it is computed.

    Raises
    ------
    AnalysisError
        If no prompt has a selected token, an option cannot be used, or `test` is of another model or has a category
        that `signatures` lack.
    SignaturesError
        If there are no such tokens, gate mass is asked for and none was recorded, or several captures cannot be joined.
    TraceError
        If a trace is not that of its signatures, or there is not one for each of several captures.
    """
    whole = signatures if isinstance(signatures, Signatures) else view_of(signatures)
    traces = [trace] if isinstance(trace, Trace) and whole is not signatures else trace
    traced = traces if traces is None or isinstance(traces, Trace) else trace_of(traces, whole)
    with files_open_for(whole):
        cohort = Cohort.of(
            whole,
            tokens=tokens,
            weighting=weighting,
            permutations=permutations,
            seed=seed,
            folds=folds,
            trace=traced,
            test=test,
            limits=limits,
        )
        if test is not None:
            held_out(whole, test)
        notes = Notes({**about_prompts(cohort)})
        asked = [
            *(("specifications", "specifications_p") if specifications else ()),
            *(("test",) if test is not None else ()),
        ]
        if not specifications:
            notes.add("specifications_p", NOT_ASKED)
        found = compute_sections(Analysis, cohort, notes, asked=asked, announce=on_step)
        return Analysis(signatures=header_of(cohort), settings=settings_of(cohort), **found, notes=notes.sorted())
