"""Train a toy that sees pictures: `python scripts/train_toy_images.py --out FOLDER`.

The model is of LLaVA's class, with a small vision tower and a text model of OLMoE's architecture: 0.6 million
parameters that learn, in minutes on one core, to say which shape of which colour stands where in a picture of 64 x 64
pixels. It is made to show moexray at work on pictures. What its experts do says nothing about any other model.

FOLDER then holds the model and its processor, which `moexray capture --model FOLDER` reads, two sets of prompts with
pictures that it was not trained on, `drawings.jsonl` and `night.jsonl`, and `training.json`. The run is a function of
its options: on one machine the same seed gives the same weights.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from scale_training.optimizer import make_optimizers
from toy_images.batches import training_batch
from toy_images.examination import examine
from toy_images.model import new_model, new_processor, training_loss, use_experts
from toy_images.questions import train_tokenizer
from toy_images.sets import at_night, scenes, write_set

VOCABULARY = 384
WARM_UP_STEPS = 50
FALL = 0.4
# Prompts of every shape, colour and size in a set: 48 in all.
PROMPTS_EACH = 2


def main(
    out: Annotated[Path, typer.Option(help="Folder for the model, the pictures and training.json.")],
    steps: Annotated[int, typer.Option(help="Training steps; 0 leaves the weights random, as a control.")] = 900,
    examples: Annotated[int, typer.Option(help="Examples a step; a quarter has words in the place of a picture.")] = 16,
    layers: Annotated[int, typer.Option(help="Layers of the text model, all with experts.")] = 4,
    size: Annotated[int, typer.Option(help="Size of hidden states.")] = 64,
    experts: Annotated[int, typer.Option(help="Experts of a layer, 2 of which a token selects.")] = 16,
    examined: Annotated[int, typer.Option(help="Pictures of every shape, colour and size that are examined.")] = 8,
    peak_rate: Annotated[float, typer.Option(help="Peak learning rate of Muon; AdamW's is half.")] = 5e-3,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the pictures trained on.")] = 0,
) -> None:
    """Train, examine on pictures that were not trained on, and write model and prompts."""
    out.mkdir(parents=True, exist_ok=True)
    processor = new_processor(train_tokenizer(VOCABULARY))
    torch.set_num_threads(1)  # more would share sums in another order
    torch.manual_seed(seed)
    model = new_model(processor.tokenizer, layers=layers, size=size, experts=experts)
    stock = use_experts(model, "dense")
    optimizers = make_optimizers(model, peak_rate=peak_rate)
    started, recent = time.process_time(), float("nan")
    for step in range(steps):
        batch = training_batch(processor, examples=examples, step=step, seed=seed)
        loss, cross_entropy = training_loss(model, batch)
        _step(loss, model, optimizers, _schedule(step, steps))
        kept = min(0.95, 1 - 1 / (step + 1))
        recent = float(cross_entropy) if step == 0 else kept * recent + (1 - kept) * float(cross_entropy)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            spent = time.process_time() - started
            typer.echo(f"step {step + 1}/{steps}  loss of answers {recent:.3f}  {spent:.0f} s of a core")
    seconds = time.process_time() - started

    use_experts(model.eval(), stock)
    model.save_pretrained(out)
    processor.save_pretrained(out)
    drawn = scenes(PROMPTS_EACH)
    write_set(out, "drawings", drawn)
    write_set(out, "night", at_night(drawn))
    report: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "steps": steps,
        "examples": examples,
        "seed": seed,
        "peak_rate": peak_rate,
        "training_core_seconds": round(seconds),
        "training_loss": round(recent, 4) if steps else None,
        "torch": torch.__version__,
        "right": examine(model, processor, scenes(examined)),
    }
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(report["right"], indent=1))


def _schedule(step: int, steps: int) -> float:
    """Warm up, stay at one, fall linearly to zero."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (FALL * steps))


def _step(loss: torch.Tensor, model: Any, optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    if not torch.isfinite(loss):
        raise SystemExit("the loss is no longer finite: start again with a lower --peak-rate")
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["peak_rate"]
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    typer.run(main)
