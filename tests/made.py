"""Signatures and traces of routers that do not exist, made at random or from what a test gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moexray.coselection_file import members_of_pairs
from moexray.prompt_table import PromptTable
from moexray.segments import PLAIN, WITH_IMAGES, Segment
from moexray.signatures import Signatures
from moexray.signatures_file import write_members
from moexray.studies.expert_tokens import layer_tokens
from moexray.trace import Trace


def signatures(
    prompts: int = 24,
    *,
    layers: Sequence[int] = (1, 2, 4),
    experts: int | Sequence[int] = 8,
    top_k: int | Sequence[int] = 2,
    segments: tuple[Segment, ...] = PLAIN,
    categories: Sequence[str] = ("a", "b"),
    effect: float = 1.0,
    preferences: ArrayLike | None = None,
    length: tuple[int, int] = (5, 20),
    seed: int = 0,
    drops: bool = False,
    counts: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    mass: ArrayLike | bool = False,
    ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Signatures:
    """Return signatures whose tokens each select `top_k` distinct experts of every layer, at random but for `effect`.

    Parameters
    ----------
    experts, top_k
        Of all layers, or of each.
    categories
        Names that the prompts take in turn.
    effect
        How much more a category prefers some experts than others: 0 for not at all.
    preferences
        (categories, layers, experts), logarithms of how probable each expert is for a category, instead of drawn ones.
    length
        The least and the greatest number of tokens of a segment.
    drops
        Whether the router loses a tenth of the selections, as `meta` then says.
    counts
        (prompts, segments, layers, experts) instead of drawn ones. Without `tokens`, they follow from the first layer.
    tokens
        (prompts, segments), or a row of it for every prompt, instead of drawn ones.
    mass
        Whether selections have gate weights, drawn at random; or the mass itself, shaped as the counts.
    """
    rng = np.random.default_rng(seed)
    if counts is not None:
        counts = np.asarray(counts)
        prompts, depth = len(counts), counts.shape[2]
        layers = layers if len(layers) == depth else range(depth)
        experts = counts.shape[3] if isinstance(experts, int) else experts
    widths, ks = (np.full(len(layers), of, dtype=np.int16) for of in (experts, top_k))
    if tokens is None and counts is not None:
        tokens = counts[:, :, 0].sum(axis=2) // ks[0]
    if tokens is None:
        tokens = rng.integers(length[0], length[1] + 1, size=(prompts, len(segments)))
    tokens = np.full((prompts, len(segments)), tokens, dtype=np.int32)
    if counts is None:
        shape = (len(categories), len(layers), widths.max())
        drawn = effect * np.random.default_rng(0).normal(size=shape)
        preferences = np.array(drawn if preferences is None else preferences, dtype=float)
        preferences[:, np.arange(widths.max()) >= widths[:, None]] = -np.inf
        of_prompt = preferences[np.arange(prompts) % len(categories)]
        counts, drawn_mass = _select(of_prompt, tokens, ks, drops=drops, rng=rng)
        mass = drawn_mass if mass is True else mass
    return Signatures(
        counts=counts,
        tokens=tokens,
        prompts=PromptTable(
            ids=tuple(ids or (f"p{i}" for i in range(prompts))),
            categories=tuple(categories[i % len(categories)] for i in range(prompts)),
            groups=None if groups is None else tuple(groups),
            texts=None if texts is None else tuple(texts),
            outputs=None if outputs is None else tuple(outputs),
            columns=columns or {},
        ),
        layers=np.array(layers, dtype=np.int16),
        top_k=ks,
        experts=widths,
        segments=segments,
        meta={"model": "made-up"} | ({"router_may_drop": True} if drops else {}) | dict(meta or {}),
        mass=None if isinstance(mass, bool) else np.asarray(mass, dtype=np.float32),
    )


def _select(
    preferences: NDArray[np.float64],  # (prompts, layers, experts)
    tokens: NDArray[np.int32],  # (prompts, segments)
    top_k: NDArray[np.int16],  # (layers,)
    *,
    drops: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Return counts and gate mass of tokens that take the k experts of the highest preference plus Gumbel noise."""
    prompts, layers, experts = preferences.shape
    segments = tokens.shape[1]
    row = np.repeat(np.arange(tokens.size), tokens.ravel())
    counts = np.zeros((tokens.size, layers, experts), dtype=np.uint16)
    mass = np.zeros(counts.shape, dtype=np.float32)
    for layer, k in enumerate(top_k):
        scores = preferences[row // segments, layer] + rng.gumbel(size=(len(row), experts))
        selected = np.argsort(-scores, axis=1)[:, :k]
        kept = rng.random(selected.shape) >= 0.1 if drops else np.ones(selected.shape, dtype=bool)
        where = (np.repeat(row, k)[kept.ravel()], layer, selected[kept])
        np.add.at(counts, where, 1)  # type: ignore[arg-type]  # a slice may stand among indices
        np.add.at(mass, where, rng.random(len(where[0])))  # type: ignore[arg-type]
    shape = (prompts, segments, layers, experts)
    return counts.reshape(shape), mass.reshape(shape)


def trace(
    path: Path,
    *,
    prompts: int = 24,
    layers: tuple[int, ...] = (1, 2, 4),
    experts: int = 8,
    k: int | Sequence[int] = 2,
    category: float = 1.0,
    seed: int = 0,
    row_group: int = 200,
    vocabulary: int = 30,
    groups: Sequence[str] | None = None,
    images: bool = False,
    texts: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Signatures:
    """Write a trace and return its signatures: tokens are routed by id, and by category as strongly as asked.

    The last four tokens of each prompt are generated. With `images`, three of four prompts hold an image of 6 to 16
    tokens after their second one. These all have one id, `vocabulary`, and are routed by what a patch shows: by the
    image, which prefers half of the experts, and by category.
    """
    ks = np.full(len(layers), k)
    segments = WITH_IMAGES if images else PLAIN
    of_patch, shown = np.random.default_rng([0, 2]), np.random.default_rng([seed, 3])
    by_image = of_patch.normal(size=(2, len(layers), experts)) + 1.5 * (np.arange(experts) >= experts // 2)
    router, rng = np.random.default_rng(0), np.random.default_rng([seed, 1])
    by_id, by_kind = (router.normal(size=(n, len(layers), experts)) for n in (vocabulary, 2))
    common, *own = router.dirichlet(np.ones(vocabulary), size=3)
    names = ("prompt", "position", "token_id", "phase", "layer", "experts")
    columns: dict[str, list[Any]] = {name: [] for name in (*names, *(["kind"] if images else []))}
    counts = np.zeros((prompts, len(segments), len(layers), experts), dtype=np.uint16)
    tokens = np.zeros((prompts, len(segments)), dtype=np.int32)
    ends = []
    for prompt in range(prompts):
        length = int(rng.integers(10, 30))
        drawn = rng.choice(vocabulary, length, p=(common + own[prompt % 2]) / 2)
        scores = by_id[drawn] + category * by_kind[prompt % 2] + rng.gumbel(size=(length, len(layers), experts))
        of_token = np.where(np.arange(length) >= length - 4, len(segments) - 1, 0)
        if images and prompt % 4 != 3:
            patches = int(shown.integers(6, 17))
            of_image = by_image[prompt % 2] + shown.normal(size=(len(layers), experts))
            noise = shown.gumbel(size=(patches, len(layers), experts))
            scores = np.insert(scores, [2] * patches, of_image + noise, axis=0)
            drawn, of_token = (np.insert(one, [2] * patches, new) for one, new in ((drawn, vocabulary), (of_token, 1)))
        chosen = [np.argsort(-scores[:, place], axis=1)[:, :most] for place, most in enumerate(ks)]
        for position, (token, number) in enumerate(zip(drawn, of_token.tolist(), strict=True)):
            segment = segments[number]
            tokens[prompt, number] += 1
            for place, layer in enumerate(layers):
                counts[prompt, number, place, chosen[place][position]] += 1
                row = (f"p{prompt}", position, int(token), segment.phase, layer, chosen[place][position].tolist())
                for name, value in zip(columns, (*row, segment.kind), strict=False):
                    columns[name].append(value)
        ends.append(len(columns["prompt"]))
    columns["token"] = [f"word{token}" for token in columns["token_id"]]
    columns["gate_weights"] = [[1 / len(selected)] * len(selected) for selected in columns["experts"]]
    _write_parquet(path, columns, ends, row_group)
    categories = ("kind 0", "kind 1")
    return signatures(
        counts=counts, tokens=tokens, layers=layers, top_k=k, categories=categories, groups=groups, segments=segments,
        texts=texts, outputs=outputs,
    )  # fmt: skip


def change_trace(source: Path, out: Path, **changes: Callable[[Any], Any]) -> None:
    """Write a trace anew, with every value of some columns changed."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = parquet.read_table(source).to_pydict()
    for name, change in changes.items():
        columns[name] = [change(value) for value in columns[name]]
    parquet.write_table(pa.table(columns), out)


def write_pairs(path: Path, signatures: Signatures, trace: Trace) -> None:
    """Write the co-selections of prompt and of generated tokens, as a trace has them."""
    phases = [[found.pairs for found in layer_tokens(trace, phase)] for phase in ("prompt", "generated")]
    write_members(path, members_of_pairs(np.array(phases, dtype=np.uint64), signatures.layers.astype(np.int16)))


def _write_parquet(path: Path, columns: Mapping[str, list[Any]], ends: Sequence[int], row_group: int) -> None:
    """Write the trace as its documentation describes it, and not by the code under test: whole prompts a row group."""
    import pyarrow as pa
    from pyarrow import parquet

    names = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        {
            "prompt": names,
            "position": pa.int32(),
            "token_id": pa.int32(),
            "token": names,
            "phase": names,
            **({"kind": names} if "kind" in columns else {}),
            "layer": pa.int16(),
            "experts": pa.list_(pa.int16()),
            "gate_weights": pa.list_(pa.float32()),
        }
    )
    arrays = [
        pa.array(columns[field.name], field.type.value_type).dictionary_encode()
        if pa.types.is_dictionary(field.type)
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    table = pa.table(arrays, schema=schema)
    with parquet.ParquetWriter(path, schema) as writer:
        start = 0
        for end in ends:
            if end - start >= row_group or end == ends[-1]:
                writer.write_table(table.slice(start, end - start))
                start = end
