"""What a budget study learns from one half of the prompts: gate weights, and what each layer's experts are worth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moexray.engines.rules import ByKind, FixedK, LeaveOutRanks, Rule, k_of_pass
from moexray.errors import CaptureError
from moexray.generation import Generation
from moexray.interventions.budget_runs import Runs
from moexray.interventions.policies import Learnt, options_of
from moexray.interventions.shares import Share, overall
from moexray.prompts import Prompt
from moexray.routing import ScoredSequence

NOTHING_SCORED = "no token is scored in half of the prompts: one of one token comes after nothing, and has no output"
# Tokens whose gate weights parameters are learnt from, at most.
_MOST_TOKENS = 20_000
# Prompts that are run for them before the tokens are counted.
_TOGETHER = 256


@dataclass(frozen=True)
class Lesson:
    """What was learnt.

    Attributes
    ----------
    learnt
        Of all tokens (None), and of the tokens of each kind that has a share of its own.
    shares
        What policies are to keep: shares of all tokens, and shares by kind with what they come to.
    """

    learnt: Mapping[str | None, Learnt]
    shares: Sequence[Share]


def learn(
    runs: Runs,
    texts: Sequence[Prompt],
    *,
    policies: Sequence[str],
    keep: Sequence[float],
    keep_kinds: Sequence[Mapping[str, float]],
    sample: int,
) -> Lesson:
    """Return what the texts say of all tokens, and of the tokens of each kind.

    Shares by kind stand beside one share for all tokens: what they come to over the tokens of these texts.

    Parameters
    ----------
    runs
        Runs the model.
    texts
        The first half, with outputs or without.
    policies
        What is learnt for: ``layers`` and ``threshold`` measure layers, the others read gate weights.
    keep, keep_kinds
        Shares in percent of all tokens, and by kind.
    sample
        Texts on which each layer is measured.

    Raises
    ------
    CaptureError
        If no token of them is scored.
    """
    runs.announce("full routing: gate weights of the first half")
    weights, kinds = _weights(runs, texts)
    tokens = dict(zip(runs.kinds, np.bincount(kinds, minlength=len(runs.kinds)).tolist(), strict=True))
    by_kind = [overall(wanted, tokens) for wanted in keep_kinds]
    shares = [Share(one) for one in sorted(keep, reverse=True)]
    shares += [share for one in by_kind for share in (one, Share(one.keep))]
    shares = [one for place, one in enumerate(shares) if one not in shares[:place]]
    keeps: dict[str | None, list[float]] = {None: [one.keep for one in shares if one.kinds is None]}
    for wanted in keep_kinds:
        for kind, share in wanted.items():
            keeps.setdefault(kind, []).append(share)
    some = _sample(runs, texts, sample) if {"layers", "threshold"} & set(policies) else []
    importance = _importance(runs, some) if "threshold" in policies else ()
    learnt: dict[str | None, Learnt] = {}
    for who, numbers in keeps.items():
        of_kind = weights if who is None else weights[kinds == runs.kinds.index(who)]
        costs = _costs(runs, some, who, numbers) if "layers" in policies else ()
        learnt[who] = Learnt(of_kind, costs, importance)
    return Lesson(learnt, shares)


def _weights(runs: Runs, texts: Sequence[Prompt]) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Return gate weights of tokens under full routing ``(tokens, layers, k)``, and the kind of each token."""
    parts: list[NDArray[np.float16]] = []
    kinds: list[NDArray[np.int8]] = []
    tokens, order = 0, in_turn(texts)
    for start in range(0, len(order), _TOGETHER):
        some = [texts[place] for place in order[start : start + _TOGETHER]]
        found = dict(runs.scored(some, want=["weights"]))
        for place in range(len(some)):
            routed = found[place].routed
            assert routed.gate_weights is not None
            parts.append(routed.gate_weights)
            kinds.append(runs.kinds_of(routed.segments, routed.segment_names))
            tokens += len(routed.gate_weights)
        if tokens >= _MOST_TOKENS:
            runs.notes["rule"] = f"parameters were learnt from the gate weights of {_MOST_TOKENS:,} tokens"
            break
    weights = np.concatenate(parts)[:_MOST_TOKENS]
    # Of the first pass, where there are several.
    return weights[:, :, : max(k_of_pass(runs.layout))], np.concatenate(kinds)[:_MOST_TOKENS]


def _sample(runs: Runs, texts: Sequence[Prompt], number: int) -> list[Prompt]:
    """Return some of the prompts, as many of each category as there are, in turn."""
    order = in_turn(texts)[:number]
    if len(order) < len(texts):
        runs.notes["layers"] = f"each layer was measured alone on {len(order)} of the {len(texts)} prompts learnt from"
    return [texts[place] for place in sorted(order)]


def _costs(
    runs: Runs, texts: Sequence[Prompt], kind: str | None, keeps: Sequence[float]
) -> tuple[dict[int, float], ...]:
    """Return by layer and number of experts the loss in nats a token that is added where it alone keeps as many."""
    if min(keeps) >= 100:
        return tuple({k: 0.0} for k in k_of_pass(runs.layout))
    before = _mean_loss(runs.scored(texts))
    whose = "" if kind is None else f" of {kind} tokens"
    costs = []
    for place, numbers in enumerate(options_of(runs.layout, keeps)):
        layer = runs.layout.layers[place]
        runs.announce(f"layer {layer}: the loss where it alone keeps fewer experts{whose}")
        of_layer = {}
        for number in numbers:
            if number == k_of_pass(runs.layout)[place]:
                of_layer[number] = 0.0
                continue
            rule: Rule = FixedK(number, normalisation=runs.normalisation, layers=(layer,))
            with runs.engine.ruled(rule if kind is None else ByKind({kind: rule})):
                of_layer[number] = _mean_loss(runs.scored(texts)) - before
        costs.append(of_layer)
    return tuple(costs)


def _importance(runs: Runs, texts: Sequence[Prompt]) -> tuple[float, ...]:
    """Return the mean divergence of the model's predictions, in nats, where each layer alone goes without its experts.

    As in the code of MoDES (arXiv:2511.15690), outputs are looked at where there are any, otherwise prompts; and the
    means are divided by their sum, so that thresholds of two models are of one scale.
    """
    layers, ks = runs.layout.layers, k_of_pass(runs.layout)
    rules = [
        LeaveOutRanks(tuple(range(k)), normalisation="kept", layers=(layer,))
        for layer, k in zip(layers, ks, strict=True)
    ]
    runs.announce("each layer without its experts: how far predictions move")
    lengths = runs.engine.lengths(texts, Generation(0))
    total, tokens = np.zeros(len(rules)), 0
    for place, found in runs.divergences(texts, rules):
        there = ~np.isnan(found[0])
        if any(text.output for text in texts):
            there[: lengths[place]] = False
        total += found[:, there].sum(axis=1)
        tokens += int(there.sum())
    if not tokens:
        raise CaptureError(NOTHING_SCORED)
    if not total.sum() > 0:
        message = "no layer's experts change what the model predicts: `threshold` has nothing to compare layers by"
        raise CaptureError(message)
    return tuple((total / total.sum()).tolist())


def in_turn(texts: Sequence[Prompt]) -> list[int]:
    """Return the places of prompts, one of each category in turn."""
    seen: dict[str, int] = {}
    ranks = []
    for prompt in texts:
        ranks.append(seen.get(prompt.category, 0))
        seen[prompt.category] = ranks[-1] + 1
    return sorted(range(len(ranks)), key=ranks.__getitem__)


def _mean_loss(found: Iterable[tuple[int, ScoredSequence]]) -> float:
    """Return the mean loss of all scored tokens."""
    losses = np.concatenate([one.losses[one.predicted] for _, one in found])
    if not len(losses):
        raise CaptureError(NOTHING_SCORED)
    return float(losses.astype(np.float64).mean())
