"""Train the embedded scale model from scratch: `python scripts/train_scale_model.py --corpus FOLDER --out FOLDER`.

FOLDER of the corpus holds one plain-text file a category. The run is a function of the corpus, the
seed and the number of tokens; it can be stopped at any time and goes on from its last checkpoint when
started again. The rate warms up, stays, and falls to zero over the last 40 %: so a checkpoint from
before the fall also serves a longer run (`--tokens` larger).
"""

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from scale_training.corpus import batch_of_windows, read_documents, tokenize, train_tokenizer
from scale_training.examination import examine
from scale_training.model import new_model, training_loss, use_training_kernels
from scale_training.optimizer import make_optimizers
from transformers import OlmoeForCausalLM

WINDOW = 256
WINDOWS = 16
WARM_UP_STEPS = 50
FALL = 0.4
CHECKPOINT_EVERY = 250


@dataclass
class Progress:
    """How far a run is: what a checkpoint holds beside weights and optimizer states."""

    step: int = 0
    seconds: float = 0.0
    recent_loss: float = float("nan")
    skipped_steps: int = 0


def main(
    corpus: Annotated[Path, typer.Option(help="Folder of .txt files, one a category.")],
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer, training.json and the checkpoint.")],
    tokens: Annotated[int, typer.Option(help="Training tokens in all.")] = 24_000_000,
    peak_rate: Annotated[float, typer.Option(help="Peak learning rate of Muon; AdamW's is half.")] = 5e-3,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the order of the text.")] = 0,
    compiled: Annotated[bool, typer.Option(help="Compile the loss (needs a C++ compiler).")] = True,
) -> None:
    """Train, examine on held-out text, and write the model in float16."""
    out.mkdir(parents=True, exist_ok=True)
    documents = {file.stem: read_documents(file) for file in sorted(corpus.glob("*.txt"))}
    if not documents:
        raise typer.BadParameter(f"{corpus} holds no .txt file")
    tokenizer = train_tokenizer(documents, vocabulary=4096)
    streams = tokenize(documents, tokenizer)
    torch.manual_seed(seed)
    model = new_model(vocabulary=4096, end_of_text=tokenizer.eos_token_id, window=2 * WINDOW)
    use_training_kernels(model)
    optimizers = make_optimizers(model, peak_rate=peak_rate)
    checkpoint = out / "checkpoint.pt"
    progress = _resume(checkpoint, model, optimizers)
    loss_of = torch.compile(training_loss) if compiled else training_loss

    steps = tokens // (WINDOW * WINDOWS)
    while progress.step < steps:
        started = time.perf_counter()
        rate = _schedule(progress.step, steps)
        batch = batch_of_windows(streams, windows=WINDOWS, length=WINDOW + 1, step=progress.step, seed=seed)
        cross_entropy, applied = _train_step(loss_of, model, optimizers, torch.from_numpy(batch), rate)
        progress.step += 1
        progress.skipped_steps += not applied
        progress.seconds += time.perf_counter() - started
        decay = min(0.98, 1 - 1 / progress.step)
        previous = progress.recent_loss if progress.step > 1 else cross_entropy
        progress.recent_loss = decay * previous + (1 - decay) * cross_entropy
        if progress.step % CHECKPOINT_EVERY == 0 or progress.step == steps:
            _save_checkpoint(checkpoint, model, optimizers, progress)
            speed = progress.step * WINDOW * WINDOWS / progress.seconds
            typer.echo(f"step {progress.step}/{steps}  loss {progress.recent_loss:.3f}  {speed:,.0f} tokens/s")

    trained = copy.deepcopy(model)
    _write_model(model, tokenizer, out)
    report = {
        "tokens": steps * WINDOW * WINDOWS,
        "corpus_tokens": {stream.category: len(stream.training) for stream in streams},
        "seed": seed,
        "peak_rate": peak_rate,
        "training_seconds": round(progress.seconds),
        "training_loss": round(progress.recent_loss, 4),
        "skipped_steps": progress.skipped_steps,
        "torch": torch.__version__,
        **examine(trained, out, streams),
    }
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(report["held_out"], indent=1))


def _schedule(step: int, steps: int) -> float:
    """Warm up, stay at one, fall linearly to zero."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (FALL * steps))


def _train_step(
    loss_of: Any, model: OlmoeForCausalLM, optimizers: list[torch.optim.Optimizer], batch: torch.Tensor, rate: float
) -> tuple[float, bool]:
    """Return the cross-entropy, and whether the step was taken: a gradient that is not finite is left out."""
    loss, cross_entropy = loss_of(model, batch)
    if not torch.isfinite(loss):
        raise SystemExit("the loss is no longer finite: start again from the checkpoint with a lower --peak-rate")
    loss.backward()
    applied = bool(torch.isfinite(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["peak_rate"]
        if applied:
            optimizer.step()
        optimizer.zero_grad()
    return float(cross_entropy), applied


def _save_checkpoint(
    file: Path, model: OlmoeForCausalLM, optimizers: list[torch.optim.Optimizer], progress: Progress
) -> None:
    partial = file.with_suffix(".partial")
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states, "progress": vars(progress)}, partial)
    partial.replace(file)


def _resume(file: Path, model: OlmoeForCausalLM, optimizers: list[torch.optim.Optimizer]) -> Progress:
    if not file.exists():
        return Progress()
    state = torch.load(file, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Progress(**state["progress"])


def _write_model(model: OlmoeForCausalLM, tokenizer: Any, out: Path) -> None:
    """Write float16 weights: the model that ships is the rounded one, whatever dtype it later runs in."""
    model.set_experts_implementation("grouped_mm")
    model.set_attn_implementation("sdpa")
    model.generation_config.do_sample = False
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    # The weights are stored in float16 and run in float32, whose products a CPU has.
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
