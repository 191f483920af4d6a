"""What watching costs a training: the time of a step with and without it, on a small OLMoE with random weights.

python benchmarks/training.py
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
from transformers import OlmoeConfig, OlmoeForCausalLM

from moexray.callbacks import RoutingWatch, watch_routing


def main() -> None:
    """Time steps of both kinds in turns, and print their medians and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15, help="turns of each kind, after one that is not timed")
    parser.add_argument("--steps", type=int, default=4, help="steps a turn; watching reports once a turn")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each of four sequences")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.manual_seed(0)
    config = OlmoeConfig(
        vocab_size=512,
        hidden_size=given.hidden,
        intermediate_size=given.hidden // 2,
        num_hidden_layers=given.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        num_experts=given.experts,
        num_experts_per_tok=8,
    )
    model = OlmoeForCausalLM(config).to(given.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(512, (4, given.tokens), device=given.device)
    mask = torch.ones_like(tokens)
    mask[0, given.tokens // 2 :] = 0

    def step(watch: RoutingWatch | None) -> None:
        model(input_ids=tokens, attention_mask=mask, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if watch is not None:
            watch.step()

    def turn(*, watched: bool) -> None:
        with ExitStack() as stack:
            watch = stack.enter_context(watch_routing(model)) if watched else None
            for _ in range(given.steps):
                step(watch)
            if watch is not None:
                watch.report()

    times = [
        (seconds(lambda: turn(watched=False)), seconds(lambda: turn(watched=True))) for _ in range(given.turns + 1)
    ]
    bare, watched = ([one / given.steps * 1000 for one in column] for column in zip(*times[1:], strict=True))
    ratios = [one / other for one, other in zip(watched, bare, strict=True)]
    print(f"a step: {statistics.median(bare):.1f} ms bare, {statistics.median(watched):.1f} ms watched")
    quartiles = statistics.quantiles(ratios, n=4)
    print(f"ratio: {quartiles[1]:.3f} (quartiles {quartiles[0]:.3f} and {quartiles[2]:.3f})")


def seconds(run: Callable[[], None]) -> float:
    """Return the time of this process for a call: others use the machine. On a GPU, the clock's."""
    gpu = torch.cuda.is_available()
    clock = time.perf_counter if gpu else time.process_time
    started = clock()
    run()
    if gpu:
        torch.cuda.synchronize()
    return clock() - started


if __name__ == "__main__":
    main()
