"""Capture at real size: OLMoE-1B-7B's own configuration with random weights, in bfloat16, on this machine.

The weights are written to disk once (14 GB, some minutes) in the layout that transformers runs them in, so that
loading maps the file and takes seconds. Bare generation and capture then run the bundled prompts in the same batches,
each in a process of its own, whose peak of resident memory holds the mapped weights too; the usual loop over single
prompts runs some of them. What random weights choose means nothing, what it costs is real.

    python benchmarks/full_size.py /large/disk/olmoe --rounds 2
"""

import json
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from generating import bare_generate, one_at_a_time
from processes import in_a_process, resident
from safetensors.torch import save_file
from transformers import AutoTokenizer, GenerationConfig, OlmoeConfig

from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import LoadedModel, build_skeleton, load_model
from moexray.engines.transformers.resources import fitting_tokens
from moexray.generation import Generation
from moexray.prompts import Prompt, bundled_prompts
from moexray.recording.capture import capture_with

# Of allenai/OLMoE-1B-7B-0125-Instruct, its config.json.
CONFIG = OlmoeConfig(
    vocab_size=50304,
    hidden_size=2048,
    intermediate_size=1024,
    num_hidden_layers=16,
    num_attention_heads=16,
    num_key_value_heads=16,
    num_experts=64,
    num_experts_per_tok=8,
    max_position_embeddings=4096,
    eos_token_id=50279,
    pad_token_id=1,
    architectures=["OlmoeForCausalLM"],
    dtype=torch.bfloat16,
)
GIB = 2**30
BARE, CAPTURE, LOOP = "bare generate", "capture", "one prompt at a time"


def write_model(folder: Path) -> None:
    """Write random weights a layer at a time, and the embedded model's tokenizer, unless they are there."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    CONFIG.save_pretrained(folder)
    AutoTokenizer.from_pretrained(SCALE_MODEL).save_pretrained(folder)
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, parameter in build_skeleton(CONFIG).state_dict().items():
        parts.setdefault(".".join(name.split(".")[:3]), {})[name] = parameter
    places: dict[str, str] = {}
    for number, part in enumerate(parts.values()):
        file = f"model-{number}.safetensors"
        save_file({name: random_like(shape) for name, shape in part.items()}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(part, file)
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8")


def random_like(parameter: torch.Tensor) -> torch.Tensor:
    """Draw weights as OLMoE's are initialised; norms are one."""
    drawn = torch.empty(parameter.shape, dtype=torch.bfloat16)
    return drawn.fill_(1) if drawn.ndim == 1 else drawn.normal_(std=0.02)


def load(folder: Path) -> LoadedModel:
    """Load the model, to decode greedily and never to end early: every contender generates as many tokens."""
    loaded = load_model(str(folder), device="cpu")
    loaded.model.generation_config = GenerationConfig(do_sample=False, eos_token_id=None, pad_token_id=0)
    return loaded


def prepared(contender: str, loaded: LoadedModel, prompts: list[Prompt], new_tokens: int) -> Callable[[], object]:
    """Return what is to be timed."""
    generation = Generation(max_new_tokens=new_tokens, stop_at_eos=False)
    if contender == LOOP:
        return partial(one_at_a_time, loaded, prompts, generation)
    engine = TransformersEngine(loaded)  # in both, so that the same kernels run
    if contender == CAPTURE:
        return partial(capture_with, engine, prompts, generation)
    return partial(bare_generate, loaded, engine, prompts, generation, fitting_tokens(loaded.model))


def measured(contender: str, folder: Path, prompts: list[Prompt], new_tokens: int) -> None:
    """Run one contender in this process; print seconds and bytes."""
    started = time.perf_counter()
    run = prepared(contender, load(folder), prompts, new_tokens)
    ready = time.perf_counter()
    run()
    ended = time.perf_counter()
    print(json.dumps({"loading": ready - started, "seconds": ended - ready, "peak": resident("VmHWM")}))


def in_its_process(contender: str, folder: Path, prompts: int, new_tokens: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    options = ["--only", contender, "--prompts", str(prompts), "--new-tokens", str(new_tokens)]
    return in_a_process(__file__, str(folder), *options)


def spread(prompts: int) -> list[Prompt]:
    """Return the first of the bundled prompts, from all categories in turn."""
    every = bundled_prompts()
    by_category = [[prompt for prompt in every if prompt.category == name] for name in {p.category: 0 for p in every}]
    return list(chain.from_iterable(zip(*by_category, strict=True)))[:prompts]


def main(
    folder: Annotated[Path, typer.Argument(help="Where the model is, or is to be written: 14 GB.")],
    *,
    prompts: Annotated[int, typer.Option(help="How many of the bundled prompts.")] = 80,
    new_tokens: Annotated[int, typer.Option(help="Tokens to generate after each.")] = 32,
    looped_prompts: Annotated[int, typer.Option(help="How many the loop over single prompts runs.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="How often capture and bare generation take turns.")] = 1,
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure everything, and print it."""
    if only:
        measured(only, folder, spread(prompts), new_tokens)
        return
    write_model(folder)
    for file in folder.glob("*.safetensors"):  # so that no contender waits for the disk
        with file.open("rb") as opened:
            while opened.read(2**24):
                pass
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name in (BARE, CAPTURE):
            found.setdefault(name, []).append(in_its_process(name, folder, prompts, new_tokens))
            print(name, found[name][-1], flush=True)
    found[LOOP] = [in_its_process(LOOP, folder, looped_prompts, new_tokens)]
    sizes = {name: looped_prompts if name == LOOP else prompts for name in found}
    print(f"\nOLMoE-1B-7B's configuration, bfloat16, {new_tokens} new tokens, {torch.get_num_threads()} threads")
    for name, turns in found.items():
        seconds, peak = (median(turn[key] for turn in turns) for key in ("seconds", "peak"))
        print(
            f"{name:<22} {sizes[name]:3} prompts {seconds:8.1f} s, {seconds / sizes[name]:6.2f} s a prompt, "
            f"{peak / GIB:5.1f} GiB at most, loaded in {median(turn['loading'] for turn in turns):.0f} s"
        )
    ratios = [capture["seconds"] / alone["seconds"] for alone, capture in zip(found[BARE], found[CAPTURE], strict=True)]
    print(f"capture takes {median(ratios):.3f} × the time of bare generation")


if __name__ == "__main__":
    typer.run(main)
