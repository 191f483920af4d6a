"""The ablation study: runs a model without some experts, by an engine, and hands what it measured to the study."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from moexray.engines.engine import Engine, require
from moexray.engines.rules import (
    ByKind,
    Given,
    LeaveOutRanks,
    Meaning,
    Normalisation,
    RandomDrop,
    Rule,
    Without,
    k_of_pass,
)
from moexray.errors import AnalysisError, CaptureError
from moexray.formats import listed
from moexray.generation import Generation
from moexray.model_fingerprint import KEY
from moexray.prompts import Prompt
from moexray.recording.scoring import score, write
from moexray.routing import RoutedSequence, ScoredSequence
from moexray.segments import ALL as ALL_TOKENS
from moexray.signatures import Signatures
from moexray.studies.ablation import Ablated, Prompts, ablate
from moexray.studies.ablation_measured import Experts, Intervention, Outcome, Usage
from moexray.studies.ablation_result import Ablation
from moexray.studies.ablation_sources import experts_of_report, experts_of_signatures
from moexray.studies.expert_report import ExpertReport


def measure_ablation(
    engine: Engine,
    prompts: Sequence[Prompt],
    asked: Ablated,
    *,
    meaning: Meaning = "replaced",
    normalisation: Normalisation = "native",
    new_tokens: int = 8,
    ranking: Path | None = None,
    kind: str | None = None,
    batch_tokens: int | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Ablation:
    """Measure what the text of prompts costs a model without some of its experts: see docs/ablate.md.

    Parameters
    ----------
    engine, prompts, meaning, normalisation, new_tokens, kind, batch_tokens
        See `AblatedModel`.
    asked
        What is left out.
    ranking
        Signatures of other prompts, or a report of `moexray experts --json`: the experts that they use least are left
        out as well.
    on_step
        Called with the name of each step.

    Raises
    ------
    AnalysisError
        If nothing is asked for, it cannot be done, or the ranking is of another model.
    CaptureError, ModelError
        If the model cannot follow a change, or a prompt cannot be run.
    """
    model = AblatedModel(
        engine,
        prompts,
        meaning=meaning,
        normalisation=normalisation,
        new_tokens=new_tokens,
        kind=kind,
        batch_tokens=batch_tokens,
    )
    learnt, notes = ({}, {}) if ranking is None else _learnt(ranking, model, engine, prompts, asked.share)
    of_engine: Mapping[str, Any] = engine.description
    return ablate(
        model,
        Prompts(
            labels=[prompt.category for prompt in prompts],
            groups=[prompt.group or "" for prompt in prompts] if any(prompt.group for prompt in prompts) else None,
            ids=[prompt.id for prompt in prompts],
            texts=[prompt.text for prompt in prompts],
            given=bool(prompts) and prompts[0].output is not None,
        ),
        asked,
        description={
            "model": of_engine["model"],
            "fingerprint": (of_engine.get(KEY) or {}).get("weights"),
            "meaning": meaning,
            "normalisation": normalisation,
            "new_tokens": new_tokens,
            "kind": kind,
        },
        learnt=learnt,
        notes=notes,
        on_step=on_step,
    )


def _learnt(
    ranking: Path, model: "AblatedModel", engine: Engine, prompts: Sequence[Prompt], share: float
) -> tuple[dict[str, Experts], dict[str, str]]:
    """Return the experts that a file ranks last, by the name of the policy, and what to keep in mind of them."""
    if ranking.suffix == ".json":
        if model.kind is not None:
            message = f"{ranking.name} counts tokens of all kinds: rank by signatures, which count {model.kind} tokens"
            raise AnalysisError(message)
        report = ExpertReport.load(ranking)
        note = f"{ranking.name} does not say which prompts it is of: of scored ones it would be too good"
        return experts_of_report(ranking.name, report, model, engine.description, share=share), {"policies": note}
    scored = {prompt.id for prompt in prompts} | {prompt.text for prompt in prompts}
    signatures = Signatures.open(ranking)
    found = experts_of_signatures(
        ranking.name, signatures, model, engine.description, share=share, scored=scored, tokens=model.kind or ALL_TOKENS
    )
    return found, {}


class AblatedModel:
    """Runs prompts through an engine, and changes its routing by rules.

    Parameters
    ----------
    engine
        An open engine, with the capabilities ``rules``, ``score`` and ``weights``.
    prompts
        With the outputs of all, which are then scored, or of none: then the tokens of the prompts are.
    meaning, normalisation
        See `moexray.engines.rules`.
    new_tokens
        Greedy tokens that are compared where texts are asked for.
    kind
        The kind of tokens, such as ``image``, for which routing is changed, and whose use of experts is counted; all by
        default.
    batch_tokens
        See `moexray.recording.scoring.score`.

    Raises
    ------
    CaptureError
        If the engine cannot do it, or there is nothing to score.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Prompt],
        *,
        meaning: Meaning = "replaced",
        normalisation: Normalisation = "native",
        new_tokens: int = 16,
        kind: str | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        require(engine, ["rules", "score", "weights"])
        self._kinds = list(dict.fromkeys(one.kind for one in engine.layout.segments))
        if kind is not None and kind not in self._kinds:
            message = f"`kind` is {kind!r}, but the tokens of these prompts are {listed(self._kinds)}"
            raise CaptureError(message)
        self.kind = kind
        self._engine, self._prompts = engine, prompts
        self._meaning, self._normalisation = meaning, normalisation
        self._new_tokens, self._batch_tokens = new_tokens, batch_tokens
        layout = engine.layout
        self.layers, self.experts = layout.layers, layout.experts
        self.top_k = tuple(k_of_pass(layout))

    def usage(self, rows: NDArray[np.int64], *, norms: bool) -> Usage:
        """Return how the prompts at these places use experts, in the text that is scored."""
        layers, widest = len(self.layers), max(self.experts)
        counts = np.zeros((len(rows), layers, widest), dtype=np.int64)
        mass = np.zeros((layers, widest))
        pairs = np.zeros((layers, widest, widest), dtype=np.int64)
        some = self._some(rows)
        for place, found in score(self._engine, some, want=["weights"], batch_tokens=self._batch_tokens):
            _count(found.routed, counts[place], mass, pairs, self.kind)
        measured = None
        if norms:
            if self.kind is not None:
                message = f"`reap` ranks by outputs of experts for all tokens: leave it out for {self.kind} tokens"
                raise CaptureError(message)
            require(self._engine, ["norms"])
            measured = self._engine.output_norms(some)
        return Usage(counts, mass, pairs, measured)

    def run(self, rows: NDArray[np.int64], change: Intervention | None, *, write: bool) -> Outcome:
        """Return what the model does with the prompts at these places; None changes nothing.

        Raises
        ------
        CaptureError, ModelError
            If the model cannot follow the change, or a prompt cannot be run.
        """
        some = self._some(rows)
        with self._changed(change):
            scored = dict(score(self._engine, some, batch_tokens=self._batch_tokens))
            texts = self._written(some) if write else {}
        ordered = [scored[place] for place in range(len(some))]
        sums = [_scored_sum(one, given=some[0].output is not None) for one in ordered]
        selections = sum(int((one.routed.experts >= 0).sum()) for one in ordered)
        passes = sum(len(one.routed.token_ids) for one in ordered) * len(self.layers)
        kinds = {kind: _mean_k([one.routed for one in ordered], kind) for kind in self._kinds}
        if not any(tokens for _, tokens in sums):
            message = "no token is scored: a prompt of one token comes after nothing, and its output is empty"
            raise CaptureError(message)
        return Outcome(
            losses=np.array([loss for loss, _ in sums]),
            tokens=np.array([tokens for _, tokens in sums]),
            mean_k=selections / passes,
            kinds=kinds if len(kinds) > 1 else None,
            written=tuple(_new_tokens(texts[place]) for place in range(len(some))) if write else None,
            texts=tuple(texts[place].output for place in range(len(some))) if write else None,
        )

    def _some(self, rows: NDArray[np.int64]) -> list[Prompt]:
        return [self._prompts[row] for row in rows]

    def _written(self, prompts: Sequence[Prompt]) -> dict[int, RoutedSequence]:
        """Return what is written greedily; one token more than is compared, since the last is not told."""
        asked = [replace(prompt, output=None) for prompt in prompts]
        return dict(write(self._engine, asked, Generation(self._new_tokens + 1), batch_tokens=self._batch_tokens))

    def _changed(self, change: Intervention | None) -> AbstractContextManager[None]:
        return nullcontext() if change is None else self._engine.ruled(self._rule(change))

    def _rule(self, change: Intervention) -> Rule:
        rule = self._plain(change)
        return rule if self.kind is None else ByKind({self.kind: rule})

    def _plain(self, change: Intervention) -> Rule:
        if change.kind == "forced":
            return Given(change.experts, normalisation=self._normalisation)
        if change.kind == "ranks":
            ranks = tuple(range(change.ranks))
            return LeaveOutRanks(ranks, normalisation=self._normalisation, layers=change.layers)
        if change.kind == "drawn":
            layers = zip(self.layers, self.top_k, strict=True)
            kept = tuple(float(k - change.ranks if layer in change.layers else k) for layer, k in layers)
            return RandomDrop(kept, change.seed, normalisation=self._normalisation, layers=change.layers)
        return Without(change.experts, meaning=self._meaning, normalisation=self._normalisation)


def _count(
    routed: RoutedSequence,
    counts: NDArray[np.int64],
    mass: NDArray[np.float64],
    pairs: NDArray[np.int64],
    kind: str | None,
) -> None:
    """Add the selections of one sequence ``(layers, experts)``, its gate weights, and its pairs."""
    own = slice(None) if kind is None else _of_kind(routed, kind)
    weights = cast("NDArray[np.float16]", routed.gate_weights)[own]
    experts = routed.experts[own]
    for place in range(len(counts)):
        chosen = experts[:, place]
        there = chosen >= 0
        counts[place] += np.bincount(chosen[there], minlength=counts.shape[1])
        np.add.at(mass[place], chosen[there], weights[:, place][there].astype(np.float64))
        selected = np.zeros((len(chosen), counts.shape[1]), dtype=np.int64)
        selected[np.nonzero(there)[0], chosen[there]] = 1
        pairs[place] += selected.T @ selected


def _of_kind(routed: RoutedSequence, kind: str) -> NDArray[np.bool_]:  # (tokens,)
    return np.asarray(np.array([one.kind == kind for one in routed.segment_names])[routed.segments], dtype=bool)


def _mean_k(sequences: Sequence[RoutedSequence], kind: str) -> float | None:
    """Return the mean number of experts of a token of one kind; None without a token."""
    own = [one.experts[_of_kind(one, kind)] for one in sequences]
    tokens = sum(len(one) for one in own)
    return sum(int((one >= 0).sum()) for one in own) / (tokens * own[0].shape[1]) if tokens else None


def _scored_sum(sequence: ScoredSequence, *, given: bool) -> tuple[float, int]:
    """Return the loss of the tokens that are scored, and how many they are: those of outputs, or all but the first."""
    phases = np.array([one.phase for one in sequence.segment_names])
    chosen = sequence.predicted & (phases[sequence.segments] != "prompt") if given else sequence.predicted
    return float(sequence.losses[chosen].sum(dtype=np.float64)), int(chosen.sum())


def _new_tokens(sequence: RoutedSequence) -> tuple[int, ...]:
    return tuple(sequence.token_ids[sequence.prompt_length :].tolist())
