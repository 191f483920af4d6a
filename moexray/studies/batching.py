"""Batching: how many distinct experts a decoding step and a chunk of a prompt read, by the size of a batch."""

from collections.abc import Sequence

import numpy as np

from moexray.errors import AnalysisError, NotComputable
from moexray.formats import count, listed
from moexray.studies.batch_counts import BatchCounts, batch_counts, generated_lengths
from moexray.studies.batch_curves import (
    Curves,
    decode_curves,
    intervals,
    prefill_curves,
    values,
)
from moexray.studies.batch_groups import SIZE, Grouping, grouping
from moexray.studies.batch_policy import Policy, batch_policy, parsed_policy
from moexray.studies.batch_pool import Pool, pool_of
from moexray.studies.batch_report import BatchBytes, Batching, Prefill
from moexray.studies.batch_ways import Batches
from moexray.studies.expert_bytes import UNKNOWN, expert_bytes_of
from moexray.studies.notes import Notes
from moexray.studies.prefill_decode import prefill_decode
from moexray.studies.unit_blocks import TOO_FEW, UnitBlocks
from moexray.trace import Trace

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_LARGEST = 2**20


def study_batches(
    trace: Trace,
    *,
    sizes: Sequence[int] = SIZES,
    tokens: str = "all",
    group_size: int = SIZE,
    policy: str | None = None,
    expert_bytes: int | None = None,
    seed: int = 0,
) -> Batching:
    """Return how many distinct experts batches and chunks of several sizes read; see docs/batch.md.

    Parameters
    ----------
    trace
        Every token's experts.
    sizes
        Prompts of a batch, and tokens of a chunk.
    tokens
        Which tokens: see `moexray.segments.places`. Generated ones make decoding steps, the others chunks.
    group_size
        Prompts of the batches that are made in several ways.
    policy
        A rule of batch-aware routing to replay from router scores: ``oea:k0=3``.
    expert_bytes
        Bytes of one expert; by default what the capture recorded.
    seed
        Of all draws.

    Raises
    ------
    AnalysisError
        If a size is not positive, or there is no selected token.
    TraceError
        If the trace does not go with its signatures.
    """
    signatures = trace.signatures
    asked = _checked(sizes)
    prompts = int((signatures.lengths(tokens) > 0).sum())
    if not prompts:
        message = f"no prompt has a token among `tokens`={tokens!r}: name others"
        raise AnalysisError(message)
    phases = {signatures.segments[place].phase for place in np.flatnonzero(signatures.tokens.any(axis=0))}
    if "mixed" in phases:
        message = "the recording does not tell tokens of prompts from generated ones: batches need the phase of each"
        raise AnalysisError(message)
    bytes_of_expert = expert_bytes_of(signatures, expert_bytes)
    if group_size < 2:
        message = f"`group_size` is {group_size}: batches of two prompts are the least that can be grouped"
        raise AnalysisError(message)
    k0 = None if policy is None else parsed_policy(policy, signatures)
    notes = Notes()
    lengths = generated_lengths(signatures, tokens)
    pool = notes.attempt(
        "grouping", lambda: pool_of(signatures, lengths, size=group_size, seed=seed, scores=k0 is not None)
    )
    counts = batch_counts(
        trace, asked, tokens=tokens, scores=k0 is not None, on_block=None if pool is None else pool.keep
    )
    decode = decode_curves(counts, signatures, asked)
    chunks = prefill_curves(counts, signatures, asked) if counts.tokens.any() else None
    _note(notes, counts, decode, chunks)
    if bytes_of_expert is None:
        notes.add("bytes", UNKNOWN)
    groups, replayed = _of_pool(pool, trace, notes, size=group_size, k0=k0, sizes=asked, seed=seed)
    if pool is not None and len(pool.rows) < (enough := int((lengths >= pool.longest).sum())):
        notes.add("pool", f"{len(pool.rows):,} of {enough:,} prompts were put together, drawn at random")
    model = signatures.meta.get("model")
    return Batching(
        model=None if model is None else str(model),
        prompts=prompts,
        units=counts.units.units,
        tokens=tokens,
        steps=int(counts.steps.max(initial=-1)) + 1,
        layers=decode.layers,
        mean=decode.mean,
        prefill=None if chunks is None else Prefill(chunks.layers, chunks.mean),
        bytes=None
        if bytes_of_expert is None
        else _bytes(bytes_of_expert, decode, chunks, trace=trace, units=counts.units),
        grouping=groups,
        prefill_decode=notes.attempt("prefill_decode", lambda: prefill_decode(signatures, tokens=tokens, seed=seed)),
        policy=replayed,
        seed=seed,
        notes=notes.sorted(),
        fingerprint=signatures.fingerprint,
    )


def _of_pool(
    pool: Pool | None, trace: Trace, notes: Notes, *, size: int, k0: int | None, sizes: tuple[int, ...], seed: int
) -> tuple[Grouping | None, Policy | None]:
    """Return what batches of a pool of prompts read by how they are made, and under a rule where one was asked for."""
    try:
        if pool is None:
            raise NotComputable(notes.found["grouping"])
        pool.check()
    except NotComputable as reason:
        for name in ("grouping", *(() if k0 is None else ("policy",))):
            notes.add(name, str(reason))
        return None, None
    signatures = trace.signatures
    batches = Batches.of(pool, signatures, size=size, seed=seed)
    loads = signatures.take(pool.rows).loads("prompt")
    groups = grouping(batches, pool, signatures=signatures, loads=loads, note=notes.add)
    if k0 is None:
        return groups, None
    return groups, notes.attempt("policy", lambda: batch_policy(pool, batches, signatures, k0=k0, sizes=sizes))


def _checked(sizes: Sequence[int]) -> tuple[int, ...]:
    wrong = [size for size in sizes if not 1 <= size <= _LARGEST]
    if wrong or not sizes:
        message = f"`sizes` holds {wrong[0] if wrong else 'nothing'}: a batch has from 1 to {_LARGEST:,} prompts"
        raise AnalysisError(message)
    return tuple(sorted(set(sizes)))


def _bytes(
    of_expert: tuple[int, ...], decode: Curves, chunks: Curves | None, *, trace: Trace, units: UnitBlocks
) -> BatchBytes:
    each, found = np.array(of_expert, dtype=np.float64), decode.found
    sizes = decode.mean.sizes
    total = sum(one * int(experts) for one, experts in zip(of_expert, trace.signatures.experts, strict=True))
    return BatchBytes(
        expert=of_expert,
        all=total,
        sizes=sizes,
        decode=values(found.observed @ each),
        decode_ci=intervals(units, found.observed @ each, decode.without @ each, most=total),
        load_matched=values(found.load_matched @ each),
        uniform=values(found.uniform @ each),
        prefill=(None,) * len(sizes) if chunks is None else values(chunks.found.observed @ each),
    )


def _note(notes: Notes, counts: BatchCounts, decode: Curves, chunks: Curves | None) -> None:
    """Note why values are missing, by the key that they miss from."""
    sizes, most = decode.mean.sizes, int(counts.at_step.sum(axis=0).max(initial=0))
    above = [str(size) for size in sizes if size > most]
    if not most:
        notes.add(
            "layers",
            "no selected token was generated and routed, so nothing is known of decoding: capture with "
            "--max-new-tokens of 2 or more, and select generated tokens",
        )
    elif above:
        notes.add(
            "layers",
            f"no batches of {listed(above)}: a batch is of different prompts, and {count(most, 'prompt')} at most are "
            "at one step; more prompts give larger batches",
        )
    if chunks is None:
        notes.add("prefill", f"no prompt has {count(sizes[0], 'selected token')} of its own in a row")
    elif longer := [str(size) for size, windows in zip(sizes, chunks.found.steps, strict=True) if not windows]:
        notes.add("prefill", f"no chunks of {listed(longer)}: no prompt has so many selected tokens in a row")
    without = zip(decode.mean.observed_ci, decode.mean.observed, strict=True)
    if not counts.units.can_be_left_out:
        notes.add("ci", TOO_FEW)
    elif any(ci is None and value is not None for ci, value in without):
        notes.add("ci", "no interval of a batch of nearly all prompts: without some of them there are too few for one")
    there = [(size, steps) for size, steps in zip(sizes, decode.mean.batches, strict=True) if steps]
    if there and there[0][1] > there[-1][1]:
        (small, most_steps), (large, fewest) = there[0], there[-1]
        notes.add(
            "mean.batches",
            "prompts end at different steps, so larger batches are of fewer and earlier ones: "
            f"{count(most_steps, 'step')} with {count(small, 'prompt')}, {fewest:,} with {large:,}",
        )
    longest = int(counts.steps.max(initial=-1)) + 1
    if len(counts.steps) < longest:
        notes.add(
            "steps",
            f"{len(counts.steps):,} of {longest:,} steps were counted, evenly spread, to keep memory within bounds",
        )
