"""`moexray info`."""

import json as json_library
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.corpus_counts import is_counts_table, read_counts
from moexray.signatures import Signatures


def info(
    file: Annotated[Path, typer.Argument(help="File of signatures, an analysis.json, or a table of counts.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a file holds: model, prompts, layers, tokens, and how it was made.

    Example: moexray info signatures.npz
    """
    if file.suffix == ".json":
        found = _of_analysis(file)
    elif is_counts_table(file):
        found = _of_counts(file)
    else:
        found = _of_signatures(Signatures.load(file))
    if json:
        typer.echo(json_library.dumps(found, indent=1, ensure_ascii=False))
        return
    width = max(map(len, found))
    for key, value in found.items():
        typer.echo(f"{key:<{width}}  {_text(value)}")


def _of_signatures(signatures: Signatures) -> dict[str, Any]:
    prompt, generated = signatures.tokens.sum(axis=0).tolist()
    return {
        "kind": "signatures",
        "prompts": len(signatures),
        "categories": dict(sorted(Counter(signatures.prompts.categories).items())),
        "layers": signatures.layers.tolist(),
        "experts": signatures.counts.shape[3],
        "top_k": sorted(set(signatures.top_k.tolist())),
        "prompt tokens": prompt,
        "generated tokens": generated,
        "prompts without generated tokens": int((~signatures.has_tokens("generated")).sum()),
        **signatures.meta,
    }


def _of_counts(file: Path) -> dict[str, Any]:
    from moexray.stats.layers.load import layer_loads

    found: dict[str, Any] = {"kind": "counts"}
    for one in read_counts(file):
        corpora, layers = ", ".join(one.corpora), ", ".join(map(str, one.layers))
        made = f"{one.counts.shape[2]} experts, {one.selections.sum():,} selections a layer"
        found[one.model] = f"{len(one.corpora)} corpora ({corpora}), layers {layers}, {made}"
        for layer, load in zip(one.layers, layer_loads(one.counts.sum(axis=0)), strict=True):
            found[f"{one.model}, layer {layer}"] = asdict(load)
    return found


def _of_analysis(file: Path) -> dict[str, Any]:
    from moexray.studies.analysis import Analysis

    document = Analysis.load(file).document
    return {"kind": "analysis", **document["signatures"], **document["settings"], "notes": document["notes"]}


def _text(value: object) -> str:
    if isinstance(value, dict):
        entries = {key: f"{entry:.3f}" if isinstance(entry, float) else entry for key, entry in value.items()}
        return ", ".join(f"{key} {entry}" for key, entry in entries.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
