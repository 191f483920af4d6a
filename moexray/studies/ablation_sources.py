"""Rankings of experts that were learnt elsewhere: on signatures of other prompts, or in a report on experts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moexray.errors import AnalysisError
from moexray.formats import token_text
from moexray.model_fingerprint import differing_parts, same_part
from moexray.segments import ALL, places
from moexray.signatures import Signatures
from moexray.stats.experts.pruning import experts_in_share, least
from moexray.studies.ablation_measured import Ablatable, Experts
from moexray.studies.expert_report import ExpertReport

# Parts of a fingerprint that decide which experts a token is sent to; a template or a tokenizer may differ.
_DECIDING = {"weights", "configuration", "adapter", "code"}


def experts_of_signatures(
    name: str,
    signatures: Signatures,
    model: Ablatable,
    description: Mapping[str, Any],
    *,
    share: float,
    scored: Collection[str],
    tokens: str = ALL,
) -> dict[str, Experts]:
    """Return the experts that signatures use least, of all and by category, by the name of the policy.

    Parameters
    ----------
    name
        What to call the file.
    signatures
        Captured with the same model.
    model, description
        The model that is ablated, and what its engine says of it.
    share
        Share of every layer's experts to leave out.
    scored
        Ids and texts of prompts that are scored: what they use is not counted.
    tokens
        Whose selections are counted, as `moexray.segments.places` selects them.

    Raises
    ------
    AnalysisError
        If the signatures are of another model, of scored prompts only, or hold no token that is counted.
    """
    _check_layout(name, signatures.layers.tolist(), signatures.experts.tolist(), model)
    _check_model(name, signatures.meta, description)
    table = signatures.prompts
    texts = table.texts or table.ids
    others = [i for i in range(len(signatures)) if table.ids[i] not in scored and texts[i] not in scored]
    if not others:
        message = f"all prompts of {name} are scored here, so it teaches nothing: capture others, or rank with --rank"
        raise AnalysisError(message)
    chosen = list(places(tokens, signatures.segments))
    counts = np.asarray(signatures.take(others).counts)[:, chosen].sum(axis=1, dtype=np.int64)
    labels = np.array([table.categories[i] for i in others])
    total = counts.sum(axis=0)
    if not total.any(axis=1).all():
        what = token_text(tokens)
        message = (
            f"no {what} of {name} selects an expert in some layer, so it ranks none: capture prompts that hold such"
        )
        raise AnalysisError(message)
    found = {f"coldest of {name}": _least(total, model, share)}
    for category in sorted(set(labels.tolist())):
        of_category = counts[labels == category].sum(axis=0)
        if of_category.any(axis=1).all():  # else all its experts would be used equally, and the first be left out
            found[f"least used by {category} of {name}"] = _least(of_category, model, share)
    return found


def experts_of_report(
    name: str, report: ExpertReport, model: Ablatable, description: Mapping[str, Any], *, share: float
) -> dict[str, Experts]:
    """Return the experts that a report says are used least, of all and by category, by the name of the policy.

    Parameters
    ----------
    name, model, description, share
        See `experts_of_signatures`.
    report
        What `moexray experts --json` wrote.

    Raises
    ------
    AnalysisError
        If it is of another model.
    """
    experts = [len(one.experts) for one in report.layers]
    _check_layout(name, [one.layer for one in report.layers], experts, model)
    _check_model(name, {"model": report.model}, description)
    loads = np.zeros((len(experts), max(experts)))
    of_category = {category: np.zeros_like(loads) for category in report.categories}
    for place, layer in enumerate(report.layers):
        for one in layer.experts:
            loads[place, one.expert] = one.load
            for category, values in of_category.items():
                values[place, one.expert] = one.categories[category]
    found = {f"coldest of {name}": _least(loads, model, share)}
    for category, values in of_category.items():
        found[f"least used by {category} of {name}"] = _least(values, model, share)
    return found


def _least(values: NDArray[np.number], model: Ablatable, share: float) -> Experts:
    """Return the experts of each layer with the least values ``(layers, experts)``."""
    found = {
        layer: least(values[place, :experts], experts_in_share(share, experts))
        for place, (layer, experts) in enumerate(zip(model.layers, model.experts, strict=True))
    }
    return {layer: experts for layer, experts in found.items() if experts}


def _check_layout(name: str, layers: Sequence[int], experts: Sequence[int], model: Ablatable) -> None:
    """Refuse what was learnt on a model of other layers or experts."""
    if tuple(layers) != tuple(model.layers) or tuple(experts) != tuple(model.experts):
        message = (
            f"{name} is of another model: it has {len(layers)} MoE layers of {_widths(experts)} experts, this model "
            f"{len(model.layers)} of {_widths(model.experts)}"
        )
        raise AnalysisError(message)


def _check_model(name: str, meta: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Refuse what was learnt on other weights, or, where these are not known, on a model of another name."""
    differing = [part for part in differing_parts(meta, description) if part.replace(" ", "_") in _DECIDING]
    if differing:
        message = f"{name} is of another model: its {differing[0]} differs"
        raise AnalysisError(message)
    if not same_part(meta, description, "weights") and meta.get("model") != description.get("model"):
        message = f"{name} is of model {meta.get('model')}, not {description.get('model')}"
        raise AnalysisError(message)


def _widths(experts: Sequence[int]) -> str:
    return " or ".join(map(str, sorted(set(experts))))
