"""What a page says of an analysis, as JSON values: the numbers of its result, and nothing computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isclose
from typing import Any

import numpy as np

from moexray.formats import visible
from moexray.signatures import Signatures
from moexray.stats.categories.alternatives import EVERY, Specification
from moexray.studies.analysis import Analysis
from moexray.studies.category_selections import CategorySelections
from moexray.studies.limits import LEVEL
from moexray.studies.sections.alternatives import CHOICES
from moexray.studies.segment_selections import SegmentSelections
from moexray.views.report.encoding import Block, array_block, sums
from moexray.views.report.forest import control_forests, phase_forests
from moexray.views.wording import choice_text


def facts(
    analysis: Analysis,
    signatures: Signatures,
    selections: CategorySelections,
    *,
    segments: SegmentSelections | None,
    blocks: Sequence[Block],
    tokens: Mapping[str, Any] | None,
    commands: Mapping[str, str],
) -> dict[str, Any]:
    """Return the values that the views of a page draw, beside its blocks.

    Parameters
    ----------
    analysis, signatures, selections
        What the page is of.
    segments
        What was recorded of each segment; None leaves it out.
    blocks
        The data in the page, whose types and shapes are listed.
    tokens
        What the page must know of its tokens; None where there are none.
    commands
        The command of each section.
    """
    about = analysis.signatures
    plane = analysis.pca
    return {
        "model": visible(about.model or "unknown model"),
        "phase": about.phase,
        "by": about.by,
        "prompts": about.prompts,
        "layers": list(about.layers),
        "experts": [int(size) for size in signatures.experts],
        "top_k": list(about.top_k),
        "segments": [{"phase": one.phase, "kind": one.kind} for one in signatures.segments],
        "categories": {
            "names": list(selections.categories),
            "prompts": selections.prompts.tolist(),
            "tokens": selections.tokens.tolist(),
        },
        "effects": [asdict(layer) for layer in analysis.layers],
        "chance": None if analysis.classifier is None else analysis.classifier.chance,
        "plane": None
        if plane is None
        else {
            "explained": list(plane.explained_variance_ratio),
            "silhouette": plane.silhouette,
            "prompts": len(plane.prompt_ids),
        },
        "level": LEVEL,
        "loads": _loads(analysis),
        "specifications": _specifications(analysis),
        "token_identity": _token_identity(analysis),
        "distributions": _distributions(analysis),
        "controls": [asdict(one) for one in control_forests(analysis)],
        "phases": [asdict(one) for one in phase_forests(analysis)],
        "by_segment": None
        if segments is None
        else {
            "categories": list(segments.categories),
            "segments": list(segments.segments),
            "tokens": segments.tokens.tolist(),
            "selections": segments.selections.tolist(),
        },
        "tokens": tokens,
        "commands": dict(commands),
        "blocks": {block.name: block.form for block in blocks},
    }


def result_blocks(
    analysis: Analysis, selections: CategorySelections, segments: SegmentSelections | None
) -> list[Block]:
    """Return what is too long for `facts`: selections of every expert, by category, of all prompts, and by segment."""
    blocks = [array_block("selections", sums(selections.selections))]
    loads = [one.selections or () for one in analysis.loads or ()]
    if any(loads):
        every = np.zeros((len(loads), analysis.signatures.experts), dtype=np.int64)
        for row, of_layer in zip(every, loads, strict=True):
            row[: len(of_layer)] = of_layer
        blocks.append(array_block("loads", sums(every)))
    if segments is not None:
        blocks.append(array_block("segment-loads", sums(segments.loads)))
    return blocks


def _loads(analysis: Analysis) -> list[dict[str, Any]] | None:
    """Return how even the load of each layer is; the selections themselves are a block."""
    if analysis.loads is None:
        return None
    names = ("layer", "entropy", "gini", "cv", "max_over_mean", "dead_experts")
    return [{name: getattr(one, name) for name in names} for one in analysis.loads]


def _distributions(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the similarity of pairs in bins, of pairs within and across categories and under both nulls."""
    similarity, balance = analysis.similarity, analysis.balance
    found = similarity.histogram
    if found is None:
        return []
    rows = [
        ("within categories", found.within, similarity.within.mean),
        ("across categories", found.across, similarity.across.mean),
    ]
    if balance is not None:
        nulls = (("same load, at random", balance.load_matched), ("balanced routing", balance.uniform))
        rows += [(name, null.histogram, null.mean) for name, null in nulls]
    return [
        {"name": name, "observed": place < 2, "mean": mean, **asdict(pairs)}
        for place, (name, pairs, mean) in enumerate(rows)
        if pairs is not None
    ]


def _specifications(analysis: Analysis) -> dict[str, Any] | None:
    """Return every specification, the names of their choices, and the test of all of them together."""
    found, test = analysis.specifications, analysis.specifications_p
    if not found:
        return None
    return {
        "rows": [asdict(one) for one in found],
        "choices": [
            {"choice": choice, "value": value, "text": visible(choice_text(choice, value))}
            for choice in CHOICES
            for value in dict.fromkeys(getattr(one, choice) for one in found)
        ],
        "headline": _headline(analysis, found),
        "test": None if test is None else asdict(test),
    }


def _headline(analysis: Analysis, found: Sequence[Specification]) -> int | None:
    """Return the place of the specification that is the headline; None if none has its choices and its effect size."""
    about, effect = analysis.signatures, analysis.similarity.cohens_d
    measure = "shares of gate mass" if about.by == "mass" else "shares"
    chosen = (measure, "concatenated", about.phase, EVERY)
    for place, one in enumerate(found):
        if (one.measure, one.layers, one.phase, one.left_out) == chosen:
            same = one.cohens_d is not None and effect is not None and isclose(one.cohens_d, effect, rel_tol=1e-9)
            return place if same else None
    return None


def _token_identity(analysis: Analysis) -> dict[str, Any] | None:
    """Return what is drawn of token identity, layer by layer."""
    found = analysis.controls.token_identity
    if found is None:
        return None
    parts = {"same_token": found.same_token, "share": found.share}
    return {
        "covered": found.covered,
        **{name: None if part is None else asdict(part) for name, part in parts.items()},
        "layers": None if found.layers is None else [asdict(one) for one in found.layers],
    }
