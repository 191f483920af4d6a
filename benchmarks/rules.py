"""What a rule costs in generation: turns of the bare model, of its engine, and of rules, interleaved.

    python benchmarks/rules.py --turns 12

Prints the median processor seconds of each, and the medians of its ratios to the bare model and to the engine without
a rule in the same turn.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from generating import bare_generate

from moexray.engines.rules import FixedK, LeaveOutRanks, RandomDrop, Rule, Skip, TopP
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.generation import Generation
from moexray.prompts import read_prompts
from moexray.recording.scoring import write

PROMPTS = Path(__file__).parent.parent / "prompts"
RULES: dict[str, Rule] = {
    "k' = k": FixedK(8),
    "top-p 1": TopP(1.0),
    "skip, none below": Skip(1e-30),
    "k' = 4": FixedK(4),
    "ranks 4 to 7 left out": LeaveOutRanks((4, 5, 6, 7)),
    "random drop to 4": RandomDrop(4.0),
}


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time that a call takes: other programs may run."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    options = parser.parse_args()
    loaded, prompts = load_model("scale", device="cpu"), read_prompts(PROMPTS)
    generation = Generation(options.new_tokens, stop_at_eos=False)
    found: dict[str, list[float]] = {}
    with TransformersEngine(loaded) as engine:

        def written() -> None:
            list(write(engine, prompts, generation, batch_tokens=options.batch_tokens))

        def bare() -> None:
            bare_generate(loaded, engine, prompts, generation, options.batch_tokens)

        with engine.ruled(FixedK(1)):
            written()  # warm up, and try the routers
        for _ in range(options.turns):
            found.setdefault("bare generation", []).append(seconds(bare))
            found.setdefault("no rule", []).append(seconds(written))
            for name, rule in RULES.items():
                with engine.ruled(rule):
                    found.setdefault(name, []).append(seconds(written))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.turns} turns")
    for name, times in found.items():
        ratios = {
            other: np.median(np.array(times) / np.array(found[other])) for other in ("bare generation", "no rule")
        }
        print(f"{name:<30} {np.median(times):6.2f} s", *(f"{ratio:6.3f} of {other}" for other, ratio in ratios.items()))


if __name__ == "__main__":
    main()
