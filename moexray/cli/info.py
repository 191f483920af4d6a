"""`moexray info`."""

import json as json_library
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.signatures import Signatures


def info(
    file: Annotated[Path, typer.Argument(help="File of signatures, or an analysis.json.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a file holds: model, prompts, layers, tokens, and how it was made.

    Example: moexray info signatures.npz
    """
    found = _of_analysis(file) if file.suffix == ".json" else _of_signatures(Signatures.load(file))
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
        "categories": dict(sorted(Counter(signatures.categories).items())),
        "layers": signatures.layers.tolist(),
        "experts": signatures.counts.shape[3],
        "top_k": sorted(set(signatures.top_k.tolist())),
        "prompt tokens": prompt,
        "generated tokens": generated,
        "prompts without generated tokens": int((~signatures.has_tokens("generated")).sum()),
        **signatures.meta,
    }


def _of_analysis(file: Path) -> dict[str, Any]:
    from moexray.analysis import Analysis

    document = Analysis.load(file).document
    return {"kind": "analysis", **document["signatures"], **document["settings"], "notes": document["notes"]}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
