"""What recording costs: capture beside bare generation, and beside the usual loop over single prompts.

Every contender runs the bundled prompts through the embedded model, greedily, in every round; bare
generation and capture take turns within it, so that a slow moment of the machine meets both. Times and
ratios are medians over all turns.

    python benchmarks/capture.py --rounds 7
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Annotated

import torch
import typer
from transformers import GenerationConfig, PreTrainedModel

from moexray.capture.run import DEFAULT_BATCH_SIZE, record
from moexray.engines.loading import LoadedModel, load_model
from moexray.engines.taps import find_taps
from moexray.engines.transformers import TransformersEngine
from moexray.prompts import bundled_prompts

NEW_TOKENS = 32
PROMPTS = bundled_prompts()
IMPLEMENTATIONS = ("grouped_mm", "batched_mm", "eager")


@torch.inference_mode()
def bare_generate(loaded: LoadedModel, batch_size: int) -> None:
    """Generate in the batches that capture makes, and listen to nothing."""
    encoded = loaded.tokenizer([prompt.text for prompt in PROMPTS])["input_ids"]
    by_length = sorted(encoded, key=len)
    for start in range(0, len(by_length), batch_size):
        batch = by_length[start : start + batch_size]
        width = max(map(len, batch))
        input_ids = torch.tensor([[0] * (width - len(ids)) + ids for ids in batch])
        attention_mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in batch])
        loaded.model.generate(input_ids=input_ids, attention_mask=attention_mask, max_new_tokens=NEW_TOKENS)


@torch.inference_mode()
def one_at_a_time(loaded: LoadedModel) -> None:
    """Generate prompt by prompt, with hooks that append every selection to a list: the usual loop."""
    selections: list[torch.Tensor] = []

    def append(_module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        selections.append(args[1].detach().cpu())

    hooks = [tap.module.register_forward_pre_hook(append) for tap in find_taps(loaded.model)]
    for prompt in PROMPTS:
        encoded = loaded.tokenizer(prompt.text, return_tensors="pt")
        loaded.model.generate(
            input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], max_new_tokens=NEW_TOKENS
        )
    for hook in hooks:
        hook.remove()


def capture(engine: TransformersEngine, batch_size: int) -> None:
    """Generate and record."""
    record(engine, PROMPTS, max_new_tokens=NEW_TOKENS, batch_size=batch_size)


def load(implementation: str | None = None) -> LoadedModel:
    """Load the embedded model, each contender its own, decoding greedily."""
    loaded = load_model("scale", device="cpu", dtype="float32")
    model: PreTrainedModel = loaded.model
    end = model.generation_config.eos_token_id if model.generation_config else None
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=0)
    if implementation is not None:
        model.set_experts_implementation(implementation)
    return loaded


def time_by_turns(contenders: dict[str, Callable[[], None]], turns: int, seconds: dict[str, list[float]]) -> None:
    """Run every contender `turns` times, one after the other, and append what each took."""
    for _ in range(turns):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            seconds.setdefault(name, []).append(time.perf_counter() - started)


def main(*, rounds: Annotated[int, typer.Option(min=1, help="How often everything is timed.")] = 5) -> None:
    """Time all contenders in every round, and print medians and ratios."""
    engine, bare, loop = TransformersEngine(load()), load(), load()
    once = {"one prompt at a time, appending hook": partial(one_at_a_time, loop)}
    for implementation in IMPLEMENTATIONS:
        other = TransformersEngine(load(implementation))
        once[f"capture by {DEFAULT_BATCH_SIZE}, {implementation} experts"] = partial(capture, other, DEFAULT_BATCH_SIZE)
    pairs = {
        size: {
            f"bare generate by {size}": partial(bare_generate, bare, size),
            f"capture by {size}": partial(capture, engine, size),
        }
        for size in (16, DEFAULT_BATCH_SIZE)
    }
    seconds: dict[str, list[float]] = {}
    for pair in pairs.values():
        time_by_turns(pair, 1, {})  # warms up
    for _ in range(rounds):
        time_by_turns(once, 1, seconds)
        for pair in pairs.values():
            time_by_turns(pair, 6, seconds)
    print(f"{len(PROMPTS)} prompts, {NEW_TOKENS} new tokens, {torch.get_num_threads()} threads, {rounds} rounds\n")
    for name, taken in seconds.items():
        print(f"{name:<45} {median(taken):7.2f} s  (from {min(taken):.2f} to {max(taken):.2f})")
    print()
    for size, (bare_name, name) in pairs.items():
        cost = median(a / b for a, b in zip(seconds[name], seconds[bare_name], strict=True))
        gain = median(seconds["one prompt at a time, appending hook"]) / median(seconds[name])
        print(f"batches of {size}: capture takes {cost:.3f} × bare generate, and is {gain:.1f} × as fast as the loop")


if __name__ == "__main__":
    typer.run(main)
