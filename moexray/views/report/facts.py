"""What a page says of an analysis, as JSON values: the numbers of its result, and nothing computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moexray.formats import visible
from moexray.signatures import Signatures
from moexray.studies.analysis import Analysis
from moexray.studies.category_selections import CategorySelections
from moexray.views.report.encoding import Block


def facts(
    analysis: Analysis,
    signatures: Signatures,
    selections: CategorySelections,
    *,
    blocks: Sequence[Block],
    tokens: Mapping[str, Any] | None,
    commands: Mapping[str, str],
) -> dict[str, Any]:
    """Return the values that the views of a page draw, beside its blocks.

    Parameters
    ----------
    analysis, signatures, selections
        What the page is of.
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
        "tokens": tokens,
        "commands": dict(commands),
        "blocks": {block.name: block.form for block in blocks},
    }
