"""The cost of recording: capture beside bare generation, and beside the usual loop over single prompts.

Every contender runs the bundled prompts through the embedded model, greedily, in every round; bare generation in
the same batches, capture, and capture with every recorder on take turns within it, so that a slow moment of the
machine meets them all. The embedded model hardly ever writes its end token, so a full stop ends a text here: of 160
tokens, texts then have 10, 38 and 160 (quantiles of 10, 50 and 90 %). Captures keep their journal and write their
files, as on the command line. Times and ratios are medians over all turns. What a turn takes moves with the machine, so
that a ratio of two says little about a few hundredths; what passes outside `generate` within a turn moves less, and is
given beside it. Only the hooks are not in it.

    python benchmarks/capture.py --rounds 7
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import torch
import typer
from generating import bare_generate, one_at_a_time
from transformers import GenerationConfig, PreTrainedModel

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, load_model
from moexray.engines.transformers.resources import fitting_tokens
from moexray.generation import Generation
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture_with

NEW_TOKENS = (32, 160)
END = "."
PROMPTS = bundled_prompts()
EVERYTHING = ("trace", "weights", "coselection")
LOOP = "one prompt at a time, appending hook"
# Seconds of each call of a model's generate in the turn that runs.
IN_GENERATE: list[float] = []


class Turn(NamedTuple):
    """What one turn took, and how much of that outside `generate`, in seconds."""

    seconds: float
    outside: float


def capture(engine: TransformersEngine, generation: Generation, record: tuple[str, ...] = ()) -> None:
    """Generate and record, into files."""
    with tempfile.TemporaryDirectory() as folder:
        capture_with(engine, PROMPTS, generation, out=Path(folder) / "signatures.npz", record=record)


def load(implementation: str | None = None) -> LoadedModel:
    """Load the embedded model, each contender its own, decoding greedily."""
    loaded = load_model("scale", device="cpu", dtype="float32")
    model: PreTrainedModel = loaded.model
    end = loaded.tokenizer.convert_tokens_to_ids(END)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=0)
    if implementation is not None:
        model.set_experts_implementation(implementation)
    generate = model.generate

    def timed(*args: Any, **options: Any) -> Any:
        started = time.perf_counter()
        found = generate(*args, **options)
        IN_GENERATE.append(time.perf_counter() - started)
        return found

    model.generate = timed
    return loaded


def take_turns(contenders: Mapping[str, Callable[[], None]], number: int, turns: dict[str, list[Turn]]) -> None:
    """Run every contender `number` times, one after the other, and append what each took."""
    for _ in range(number):
        for name, run in contenders.items():
            IN_GENERATE.clear()
            started = time.perf_counter()
            run()
            seconds = time.perf_counter() - started
            turns.setdefault(name, []).append(Turn(seconds, seconds - sum(IN_GENERATE)))


def contenders(bare: LoadedModel, engine: TransformersEngine, new_tokens: int) -> dict[str, Callable[[], None]]:
    """Return what takes turns at one number of new tokens."""
    generation, budget = Generation(new_tokens), fitting_tokens(engine.model)
    return {
        f"bare generate, {new_tokens} new": partial(bare_generate, bare, engine, PROMPTS, generation, budget),
        f"capture, {new_tokens} new": partial(capture, engine, generation),
        f"capture with the trace, {new_tokens} new": partial(capture, engine, generation, ("trace",)),
        f"capture with all recorders, {new_tokens} new": partial(capture, engine, generation, EVERYTHING),
    }


def main(*, rounds: Annotated[int, typer.Option(min=1, help="How often everything is timed.")] = 5) -> None:
    """Time all contenders in every round, and print medians and ratios."""
    engine, bare, loop = TransformersEngine(load()), load(), load()
    once = {
        LOOP: partial(one_at_a_time, loop, PROMPTS, Generation(NEW_TOKENS[0])),
        "capture, eager experts": partial(capture, TransformersEngine(load("eager")), Generation(NEW_TOKENS[0])),
    }
    groups = {new_tokens: contenders(bare, engine, new_tokens) for new_tokens in NEW_TOKENS}
    turns: dict[str, list[Turn]] = {}
    for group in groups.values():
        take_turns(group, 1, {})  # warms up
    for _ in range(rounds):
        take_turns(once, 1, turns)
        for group in groups.values():
            take_turns(group, 3, turns)
    print(f"{len(PROMPTS)} prompts, {torch.get_num_threads()} threads\n")
    for name, taken in turns.items():
        seconds, outside = ([turn[place] for turn in taken] for place in range(2))
        print(
            f"{name:<45} {median(seconds):7.2f} s  (from {min(seconds):.2f} to {max(seconds):.2f}), "
            f"{median(outside):.2f} s of it outside generate"
        )
    print()
    looped = median(turn.seconds for turn in turns[LOOP])
    print(f"capture, {NEW_TOKENS[0]} new is {looped / median_of(turns, NEW_TOKENS[0]):.1f} × as fast as the loop")
    for group in groups.values():
        bare_name, *names = group
        for name in names:
            cost = median(a.seconds / b.seconds for a, b in zip(turns[name], turns[bare_name], strict=True))
            print(f"{name} takes {cost:.3f} × bare generate")


def median_of(turns: Mapping[str, list[Turn]], new_tokens: int) -> float:
    """Return the seconds of a capture."""
    return median(turn.seconds for turn in turns[f"capture, {new_tokens} new"])


if __name__ == "__main__":
    typer.run(main)
