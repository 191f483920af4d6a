"""check(): is a recorded routing true? Recorded tokens through the model itself, and both routings compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moexray.checks.alignment import Layers, align
from moexray.checks.comparing import Compared
from moexray.checks.diagnosing import diagnose
from moexray.checks.diagnosis import Diagnosis
from moexray.checks.integrity import Integrity
from moexray.checks.result import RoutingCheck, Verdict
from moexray.checks.summary import summarised
from moexray.checks.ties import limit_of
from moexray.engines.engine import Engine, open_engine, require
from moexray.errors import CaptureError
from moexray.formats import listed
from moexray.model_fingerprint import differing_parts
from moexray.replays.comparing import Announce, aligned, compare_all, layers_of
from moexray.replays.counts import compare_counts
from moexray.replays.recorded_file import Kept, RecordedFile, read_recorded
from moexray.segments import WORDLESS
from moexray.signatures import Signatures

REFERENCE = "transformers"
PROMPTS = 4
_REFERENCE_FACTS = ("model", "engine_version", "dtype", "device", "revision", "quantization", "adapter")


def check(
    source: str | Path | Signatures,
    *,
    trace: str | Path | None = None,
    model: str | Path | None = None,
    number: int = PROMPTS,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    adapter: str | Path | None = None,
    trust_remote_code: bool = False,
    on_step: Announce | None = None,
) -> RoutingCheck:
    """Check a recorded routing: first without a model, then against the model's own, token by token.

    Parameters
    ----------
    source
        A file of signatures, or signatures.
    trace
        The trace of every token; by default the file beside the signatures.
    model
        ``scale``, a local folder or a Hugging Face id; by default the one that the file names. ``"none"`` looks at
        the file alone.
    number
        How many prompts are compared, drawn by turns from each category.
    seed
        Seed of their choice.
    device, dtype, revision, adapter, trust_remote_code
        How the model is loaded: see `moexray.engines.transformers.loading.read_model`. By default number format,
        revision and adapter are those that the file names.
    on_step
        Called with the name of each step.

    Returns
    -------
    What was found; its `verdict` is ``true`` or ``whole`` where nothing is wrong.

    Raises
    ------
    MoexrayError
        If the file is missing, the model is not known or cannot be loaded, or a prompt cannot be run.
    """
    announce = on_step or (lambda _name: None)
    announce("reading the file")
    named = Path(source) if isinstance(source, str) else source
    read = read_recorded(named, None if trace is None else Path(trace), prompts=number, seed=seed)
    shown = "signatures" if isinstance(named, Signatures) else str(named)
    if model == "none" or read.signatures is None:
        return _without_model(read, shown)
    shown_kinds = sorted(_shown_kinds(read.signatures))
    if shown_kinds:
        read.notes["comparison"] = (
            f"prompts hold {listed(shown_kinds)} tokens, and what these show is not in the file: the model cannot be "
            "given it again"
        )
        return replace(_without_model(read, shown), verdict="not compared" if read.integrity.is_whole else "not whole")
    given: dict[str, Any] = {
        "device": device,
        "dtype": dtype,
        "revision": revision,
        "adapter": adapter and str(adapter),
    }
    options = {name: value for name, value in given.items() if value is not None}
    if trust_remote_code:
        options["trust_remote_code"] = True
    name, options = _reference_of(read.signatures.meta, None if model is None else str(model), options)
    if read.trace is None:
        options |= _template_of(read.signatures.meta)
    announce(f"loading {name}")
    with open_engine(REFERENCE, name, **options) as engine:
        if read.trace is None:
            return _of_counts(engine, read, shown, number=number, seed=seed, announce=announce)
        return against(
            engine,
            read.kept,
            read.layers,
            source=shown,
            meta=read.signatures.meta,
            integrity=read.integrity,
            notes=read.notes,
            fingerprint=read.signatures.fingerprint,
            announce=announce,
        )


def against(
    engine: Engine,
    kept: Sequence[Kept],
    layers: Layers,
    *,
    source: str,
    meta: Mapping[str, Any],
    integrity: Integrity,
    notes: Mapping[str, str],
    fingerprint: str | None,
    announce: Announce,
) -> RoutingCheck:
    """Return the check of recorded rows against a model that is open.

    Parameters
    ----------
    engine
        The engine of the model, with the capability ``route``.
    kept, layers
        The rows, and the layers that they are of.
    source, meta
        What they are of, and what the recording says of itself.
    integrity, notes, fingerprint
        See `RoutingCheck`.
    announce
        Called with the name of each step.
    """
    require(engine, ["route"])
    facts = {name: engine.description.get(name) for name in _REFERENCE_FACTS}
    reference = {name: value for name, value in facts.items() if value is not None}
    found_notes, findings = dict(notes), _findings(meta, engine.description)
    own = layers_of(engine)
    alignment = align(layers, own)
    common: dict[str, Any] = {
        "source": source,
        "recorded": facts_of(meta),
        "reference": reference,
        "integrity": integrity,
        "fingerprint": fingerprint,
    }
    if alignment.problem is not None or not any(one.known.any() for one in kept):
        problem = alignment.problem or "no prompt has rows that can be replayed"
        verdict: Verdict = "different" if alignment.problem else "not whole" if integrity.faults else "not compared"
        found_notes["comparison"] = problem
        return RoutingCheck(verdict=verdict, findings=tuple(findings), notes=found_notes, **common)
    limit = _limit(engine, meta, found_notes)
    if alignment.kept != own.top_k and "scores" not in engine.capabilities:
        found_notes["comparison"] = f"{alignment.diagnoses[-1].text}, which cannot be had of this model"
        return RoutingCheck(verdict="different", findings=tuple(findings), notes=found_notes, **common)
    recordings = [
        aligned(one.name, one.token_ids, one.phases, one.experts, alignment, width=max(own.top_k), known=one.known)
        for one in kept
    ]

    def recompare(some: Sequence[Any]) -> list[Compared]:
        return compare_all(engine, some, limit=limit, kept=alignment.kept, notes=found_notes, announce=announce)

    compared = recompare(recordings)
    comparison = summarised(compared, own.layers, alignment.kept, limit=limit, text_of=engine.text_of)
    announce("looking for the cause")
    diagnosis = diagnose(compared, own.layers, own.experts, own.top_k, recompare)
    if diagnosis is None and comparison.different and "weights" in differing_parts(meta, engine.description):
        text = "the weights of the recording have another fingerprint than those of the model: it is another checkpoint"
        diagnosis = Diagnosis("another_checkpoint", text)
    if diagnosis is None and not comparison.different and alignment.diagnoses:
        diagnosis = alignment.diagnoses[0]
    elif alignment.diagnoses:
        findings += [one.text for one in alignment.diagnoses]
    if comparison.different and meta.get("dtype") is None:
        found_notes["comparison.different"] = (
            f"the recording does not say its number format: ties are those of {engine.description.get('dtype')}, and "
            "in a coarser format rounding alone makes more rows differ; name the recording's with `dtype`"
        )
    if comparison.different and diagnosis is None:
        found_notes["diagnosis"] = _unexplained(compared, own.layers)
    verdict = (
        "not whole" if integrity.faults else "different" if comparison.different or alignment.diagnoses else "true"
    )
    return RoutingCheck(
        verdict=verdict,
        comparison=comparison,
        diagnosis=diagnosis,
        findings=tuple(findings),
        notes=found_notes,
        **common,
    )


def facts_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recording says of how it was made."""
    names = ("model", "engine", "engine_version", "dtype", "device", "revision")
    return {name: meta[name] for name in names if meta.get(name) is not None}


def _shown_kinds(signatures: Signatures) -> set[str]:
    """Return the kinds of tokens that are there and stand for what token ids do not say, as images."""
    held = signatures.tokens.sum(axis=0) > 0
    return {one.kind for one, has in zip(signatures.segments, held.tolist(), strict=True) if has} & set(WORDLESS)


def _without_model(read: RecordedFile, source: str) -> RoutingCheck:
    recorded = {} if read.signatures is None else facts_of(read.signatures.meta)
    return RoutingCheck(
        verdict="whole" if read.integrity.is_whole else "not whole",
        source=source,
        recorded=recorded,
        integrity=read.integrity,
        notes=read.notes,
        fingerprint=None if read.signatures is None else read.signatures.fingerprint,
    )


def _of_counts(
    engine: Engine, read: RecordedFile, source: str, *, number: int, seed: int, announce: Callable[[str], None]
) -> RoutingCheck:
    """Return the check of counts, where no rows were recorded."""
    signatures, notes = read.signatures, dict(read.notes)
    assert signatures is not None
    facts = {name: engine.description.get(name) for name in _REFERENCE_FACTS}
    counts, problem = compare_counts(engine, signatures, number=number, seed=seed, announce=announce)
    verdict: Verdict = "not compared"
    if problem is not None:
        notes["counts"] = problem
    if counts is not None:
        moved = sum(one.moved for one in counts)
        # A server does not say its format, which may be a coarse one.
        exact = {signatures.meta.get("dtype"), facts["dtype"]} <= {"float32", "float64"}
        verdict = "true" if not moved else "different" if exact else "undecided"
        if moved and not exact:
            notes["counts"] = "counts cannot tell near ties from other differences: record a trace"
    if read.integrity.faults:
        verdict = "not whole"
    return RoutingCheck(
        verdict=verdict,
        source=source,
        recorded=facts_of(signatures.meta),
        reference={name: value for name, value in facts.items() if value is not None},
        integrity=read.integrity,
        counts=counts,
        findings=tuple(_findings(signatures.meta, engine.description)),
        notes=notes,
        fingerprint=signatures.fingerprint,
    )


def _reference_of(meta: Mapping[str, Any], model: str | None, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model to compare with and its options, by default those that the recording names.

    Raises
    ------
    CaptureError
        If it names none.
    """
    named = meta.get("model")
    if model is None:
        if not isinstance(named, str) or not named:
            message = "the file does not say which model was recorded: name it with `model`, or look at the file alone"
            raise CaptureError(message)
        for name in ("revision", "adapter"):
            if isinstance(meta.get(name), str):
                options.setdefault(name, meta[name])
        model = named
    if isinstance(meta.get("dtype"), str) and limit_of(meta["dtype"]) is not None:
        options.setdefault("dtype", meta["dtype"])
    return model, options


def _template_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return how texts become tokens, as a recording says it."""
    if meta.get("chat_template") is False:
        return {"raw": True}
    named = {"chat_template": meta.get("chat_template_name")}
    named |= {name: meta.get(name) for name in ("template_options", "system")}
    return {name: value for name, value in named.items() if value is not None}


def _limit(engine: Engine, meta: Mapping[str, Any], notes: dict[str, str]) -> float | None:
    """Return the greatest gap of a tie, and note why there is none."""
    if "scores" not in engine.capabilities:
        notes["comparison.tie"] = "the router scores of this model are not to be had, so no difference is called a tie"
        return None
    limit = limit_of(engine.description.get("dtype"), meta.get("dtype"))
    if limit is None:
        formats = {str(one) for one in (engine.description.get("dtype"), meta.get("dtype"))}
        notes["comparison.tie"] = (
            f"the rounding of {' or '.join(sorted(formats))} is not known, so nothing is called a tie"
        )
    return limit


def _findings(meta: Mapping[str, Any], description: Mapping[str, Any]) -> list[str]:
    """Return what the recording and the model that was loaded do not have in common."""
    found = [
        f"the recording has another {part} than the model that was loaded, by their fingerprints"
        for part in differing_parts(meta, description)
        if part != "chat template"
    ]
    for name in ("dtype", "quantization", "adapter"):
        one, other = meta.get(name), description.get(name)
        if one != other and (one is not None or (name in meta and other is not None)):
            found.append(f"{name}: {one or 'none'} was recorded, {other or 'none'} was loaded")
    return found


def _unexplained(found: Sequence[Compared], layers: Sequence[int]) -> str:
    """Say what pattern there is where no cause is proven."""
    differing = np.sum([(one.states == 2).sum(axis=0) for one in found], axis=0)
    known = np.sum([one.recording.known.sum(axis=0) for one in found], axis=0)
    share = float(differing[0] / max(known[0], 1))
    if share > 0.5:
        return (
            f"no cause was proven; {share:.0%} of the rows of the first MoE layer ({layers[0]}) differ, as where "
            "another checkpoint, or another tokenizer, was recorded"
        )
    return "no cause was proven: nothing that was tried makes all rows true"
