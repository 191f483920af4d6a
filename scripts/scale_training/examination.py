"""What the finished model is worth on held-out text: loss against n-gram models, load, effect of rounding."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import OlmoeForCausalLM

from scale_training.corpus import Stream

WINDOW = 256


def examine(trained: OlmoeForCausalLM, written: Path, streams: list[Stream]) -> dict[str, Any]:
    """Examine the model as written (float16 weights, run in float32), and compare its routing with `trained`'s."""
    model = OlmoeForCausalLM.from_pretrained(written, dtype=torch.float32)
    held_out, loads, agreements = {}, [], []
    for stream in streams:
        loss, experts = _loss_and_experts(model, stream.held_out)
        agreements.append(np.mean(np.sort(experts) == np.sort(_loss_and_experts(trained, stream.held_out)[1])))
        loads.append(_load(experts, model.config.num_experts))
        held_out[stream.category] = {
            "tokens": len(stream.held_out),
            "loss": round(loss, 4),
            "perplexity": round(float(np.exp(loss)), 2),
            "unigram_loss": round(unigram_loss(stream.training, stream.held_out, model.config.vocab_size), 4),
            "bigram_loss": round(bigram_loss(stream.training, stream.held_out, model.config.vocab_size), 4),
        }
    load = np.sum(loads, axis=0)  # (layers, experts)
    share = load / load.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(np.clip(share, 1e-12, None))).sum(axis=1) / np.log(share.shape[1])
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out": held_out,
        "load": {
            "dead_experts": int((load == 0).sum()),
            "least_over_mean": round(float(share.min() * share.shape[1]), 3),
            "max_over_mean": [round(float(x), 3) for x in share.max(axis=1) * share.shape[1]],
            "normalised_entropy": [round(float(x), 4) for x in entropy],
        },
        "selections_unchanged_by_float16": round(float(np.mean(agreements)), 5),
    }


@torch.no_grad()
def _loss_and_experts(model: OlmoeForCausalLM, tokens: NDArray[np.int64]) -> tuple[float, NDArray[np.int64]]:
    """Mean nats a token over consecutive windows, and the selections (layers, tokens, k)."""
    rows = torch.from_numpy(tokens[: len(tokens) // WINDOW * WINDOW].reshape(-1, WINDOW))
    losses, experts = [], []
    for batch in rows.split(32):  # type: ignore[no-untyped-call]
        output = model(input_ids=batch, output_router_logits=True)
        losses.append(F.cross_entropy(output.logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten(), reduction="none"))
        experts.append(torch.stack(output.router_logits).topk(model.config.num_experts_per_tok).indices)
    return float(torch.cat(losses).mean()), torch.cat(experts, dim=1).numpy()


def _load(experts: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.stack([np.bincount(layer.ravel(), minlength=width) for layer in experts])


def unigram_loss(training: NDArray[np.int64], held_out: NDArray[np.int64], vocabulary: int) -> float:
    """Nats a token of `held_out` under add-one token frequencies of `training`."""
    return float(-np.log(_unigram(training, vocabulary)[held_out]).mean())


def bigram_loss(training: NDArray[np.int64], held_out: NDArray[np.int64], vocabulary: int) -> float:
    """Nats a token under a bigram model of `training` with Witten–Bell interpolation (IEEE Trans. IT 37, 1991)."""
    pairs, counts = np.unique(training[:-1] * vocabulary + training[1:], return_counts=True)
    followers = np.bincount(pairs // vocabulary, minlength=vocabulary)  # distinct next tokens of each token
    seen = np.bincount(training[:-1], minlength=vocabulary)
    wanted = held_out[:-1] * vocabulary + held_out[1:]
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    count = np.where(pairs[place] == wanted, counts[place], 0)
    before = held_out[:-1]
    backoff = followers[before] * _unigram(training, vocabulary)[held_out[1:]]
    total = seen[before] + followers[before]
    unseen = total == 0
    probability = np.where(
        unseen, _unigram(training, vocabulary)[held_out[1:]], (count + backoff) / np.where(unseen, 1, total)
    )
    return float(-np.log(probability).mean())


def _unigram(training: NDArray[np.int64], vocabulary: int) -> NDArray[np.float64]:
    counts = np.bincount(training, minlength=vocabulary) + 1.0
    return np.asarray(counts / counts.sum())
