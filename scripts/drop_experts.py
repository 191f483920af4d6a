"""Drop the experts that a category uses least, and measure what its text then costs: one use of `moexray experts`.

    moexray experts --json > experts.json
    python scripts/drop_experts.py experts.json --text held_out/

Dropped experts cannot be chosen: their router logits are minus infinity. As many are dropped at random, and by the
ranking of every other category, because a loss after pruning says nothing by itself. Texts must not be those behind
the ranking.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from transformers import OlmoeForCausalLM

from moexray.engines.transformers.loading import load_model
from moexray.prompts import read_prompts

WINDOW = 256

Dropped = Mapping[int, Sequence[int]]  # of each layer, by its index in the model


def least_used(ranking: Mapping[str, Any], category: str, share: float) -> dict[int, list[int]]:
    """Return this share of every layer's experts: those that get least of the category's selections."""
    dropped = {}
    for layer in ranking["layers"]:
        ordered = sorted(layer["experts"], key=lambda one: (one["categories"][category], one["expert"]))
        dropped[layer["layer"]] = [one["expert"] for one in ordered[: int(share * len(ordered))]]
    return dropped


def at_random(ranking: Mapping[str, Any], share: float, seed: int) -> dict[int, list[int]]:
    """Return this share of every layer's experts, drawn."""
    rng = np.random.default_rng(seed)
    widths = {layer["layer"]: len(layer["experts"]) for layer in ranking["layers"]}
    return {layer: rng.permutation(width)[: int(share * width)].tolist() for layer, width in widths.items()}


@contextmanager
def without(model: OlmoeForCausalLM, dropped: Dropped) -> Iterator[None]:
    """Let no router choose these experts."""
    with ExitStack() as hooks:
        for layer, experts in dropped.items():
            gate = model.model.layers[layer].mlp.gate
            hooks.callback(gate.register_forward_hook(_choosing_others(torch.tensor(experts, dtype=torch.long))).remove)
        yield


def _choosing_others(experts: torch.Tensor) -> Any:
    def choose(gate: Any, _: Any, output: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        logits = output[0].index_fill(-1, experts.to(output[0].device), float("-inf"))
        weights, chosen = F.softmax(logits, dtype=torch.float, dim=-1).topk(gate.top_k, dim=-1)
        if gate.norm_topk_prob:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return logits, weights.to(logits.dtype), chosen

    return choose


@torch.inference_mode()
def loss_of(model: OlmoeForCausalLM, texts: Sequence[torch.Tensor]) -> float:
    """Return the mean loss in nats of every token but the first of its window."""
    total = tokens = 0.0
    for windows in (text.split(WINDOW) for text in texts):  # type: ignore[no-untyped-call]
        for window in windows:
            if len(window) > 1:
                logits = model(input_ids=window[None], use_cache=False).logits[0, :-1]
                total += float(F.cross_entropy(logits.float(), window[1:], reduction="sum"))
                tokens += len(window) - 1
    return total / tokens


def main(
    experts: Annotated[Path, typer.Argument(help="What `moexray experts --json` printed.")],
    *,
    text: Annotated[Path, typer.Option(help="Texts to measure on, by category: whatever moexray reads as prompts.")],
    model: Annotated[str, typer.Option(help="An OLMoE model: the one that was ranked.")] = "scale",
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of every layer's experts to drop.")] = 0.25,
    seeds: Annotated[int, typer.Option(min=2, help="Draws of as many experts at random.")] = 10,
) -> None:
    """Print the loss on each category's text: whole, and without experts chosen in several ways."""
    ranking = json.loads(experts.read_text(encoding="utf-8"))
    loaded = load_model(model, device="cpu")
    if not isinstance(loaded.model, OlmoeForCausalLM):
        raise typer.BadParameter(f"{model} is no OLMoE model: its routers choose in another way")
    kept = min(len(layer["experts"]) - int(share * len(layer["experts"])) for layer in ranking["layers"])
    if kept < loaded.model.config.num_experts_per_tok:
        raise typer.BadParameter(f"{kept} experts would be left of a layer, which is fewer than it chooses for a token")
    prompts = read_prompts(text)
    names = [name for name in ranking["categories"] if any(prompt.category == name for prompt in prompts)]
    if not names:
        raise typer.BadParameter(f"{text} holds none of the categories {', '.join(ranking['categories'])}")
    typer.echo(f"{'text':<10} {'tokens':>7} {'whole':>7} {'own':>7}  at random (sd)    by " + ", by ".join(names))
    for name in names:
        those = [torch.tensor(loaded.tokenizer(one.text)["input_ids"]) for one in prompts if one.category == name]

        def after(dropped: Dropped, those: Sequence[torch.Tensor] = those) -> float:
            with without(loaded.model, dropped):
                return loss_of(loaded.model, those)

        ranked = {other: after(least_used(ranking, other, share)) for other in names}
        drawn = [after(at_random(ranking, share, seed)) for seed in range(seeds)]
        typer.echo(
            f"{name:<10} {sum(map(len, those)):>7,} {after({}):>7.3f} {ranked[name]:>7.3f}  {np.mean(drawn):.3f} "
            f"({np.std(drawn, ddof=1):.3f})     " + "  ".join(f"{ranked[other]:.3f}" for other in names)
        )


if __name__ == "__main__":
    typer.run(main)
