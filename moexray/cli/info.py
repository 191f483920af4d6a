"""`moexray info`."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from moexray.cli.options import JsonOption
from moexray.corpus_counts import corpora_text, is_counts_table, read_counts
from moexray.formats import count
from moexray.segments import short_names
from moexray.shards import part_of
from moexray.signatures import Signatures
from moexray.signatures_file import naming


def info(
    file: Annotated[Path, typer.Argument(help="Signatures, an analysis.json, or a table of counts.")],
    *,
    json: JsonOption = False,
) -> None:
    """Describe a file: model, prompts, layers, tokens, and how it was made.

    Example: moexray info signatures.npz
    """
    from moexray.cli.render import print_json, print_page
    from moexray.views.tables.info import info_page

    if file.suffix == ".json":
        found = _of_analysis(file)
    elif is_counts_table(file):
        found = _of_counts(file)
    else:
        with naming(file):
            found = _of_signatures(Signatures.open(file))
    if json:
        print_json(found)
    else:
        print_page(info_page(found))


def _of_signatures(signatures: Signatures) -> dict[str, Any]:
    sums = zip(short_names(signatures.segments), signatures.tokens.sum(axis=0).tolist(), strict=True)
    part = part_of(signatures.meta)
    of = {} if part is None else {"part": f"{part.shard.said}, {len(signatures):,} of {count(part.prompts, 'prompt')}"}
    counted = {
        "kind": "signatures",
        **of,
        "prompts": len(signatures),
        "categories": dict(sorted(Counter(signatures.prompts.categories).items())),
        "layers": signatures.layers.tolist(),
        "experts": signatures.shape[3],
        "top_k": sorted(set(signatures.top_k.tolist())),
        **{f"{name} tokens": tokens for name, tokens in sums},
        **{f"prompts without {kind} tokens": int((~signatures.has_tokens(kind)).sum()) for kind in _kinds(signatures)},
        "prompts without generated tokens": int((~signatures.has_tokens("generated")).sum()),
    }
    return counted | {key: value for key, value in signatures.meta.items() if key not in counted}


def _kinds(signatures: Signatures) -> list[str]:
    """Return the kinds of tokens but text, such as image, where there are several."""
    kinds = dict.fromkeys(one.kind for one in signatures.segments)
    return [kind for kind in kinds if kind != "text"] if len(kinds) > 1 else []


def _of_counts(file: Path) -> dict[str, Any]:
    from moexray.stats.layers.load import layer_loads

    found: dict[str, Any] = {"kind": "counts"}
    for one in read_counts(file):
        corpora, layers = ", ".join(one.corpora), ", ".join(map(str, one.layers))
        made = f"{count(one.counts.shape[2], 'expert')}, {count(int(one.selections.sum()), 'selection')} a layer"
        where = f"layer{'s' if len(one.layers) > 1 else ''} {layers}"
        found[one.model] = f"{corpora_text(len(one.corpora))} ({corpora}), {where}, {made}"
        loads = layer_loads(one.counts.sum(axis=0), np.array(one.experts))
        for layer, load in zip(one.layers, loads, strict=True):
            found[f"{one.model}, layer {layer}"] = asdict(load)
    return found


def _of_analysis(file: Path) -> dict[str, Any]:
    from moexray.studies.analysis import Analysis

    document = Analysis.load(file).document
    return {"kind": "analysis", **document["signatures"], **document["settings"], "notes": document["notes"]}
