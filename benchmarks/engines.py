"""The cost of recording in vLLM, and vLLM beside the transformers engine.

A random OLMoE-shaped model of some 14 M parameters, whose heads vLLM takes on a CPU, runs the bundled prompts
greedily to a fixed length in float32. vLLM keeps no prefix cache, so that every turn computes the same. vLLM cannot
switch recording while it runs: two processes, with and without, are started in turns, and in each of them the
contenders take turns.

    bare, off   vLLM generates, without recording
    bare, on    vLLM records, and what it returns is dropped
    engine      the engine: rows checked, sorted and made routed sequences
    capture     capture with files and a trace
    transformers  capture by the transformers engine, in the process of the contenders with recording

Wall time moves with whatever else the machine does; processor time of this process and vLLM's moves less, so that both
are given. Ratios are medians over turns; what is compared between processes is compared between pairs of starts.

    python benchmarks/engines.py --starts 2 --rounds 5
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from processes import in_a_process

from moexray.engines.engine import Engine
from moexray.engines.transformers.checkpoint import SCALE_MODEL
from moexray.engines.transformers.engine import open_engine as open_transformers
from moexray.engines.vllm.engine import VllmEngine, open_engine
from moexray.engines.vllm.process import RunningVllm, import_vllm
from moexray.generation import Generation
from moexray.prompts import bundled_prompts
from moexray.recording.capture import capture_with

PROMPTS = bundled_prompts()
OPTIONS: dict[str, Any] = {
    "enforce_eager": True,
    "enable_prefix_caching": False,
    "kv_cache_memory_bytes": 2**28,
    "max_model_len": 512,
    "max_num_seqs": 32,
}
LAYERS, EXPERTS, K = 8, 64, 8


def write_model(folder: Path) -> None:
    """Write a random model with the routing geometry of OLMoE at half its depth."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "olmoe",
        vocab_size=4096,
        hidden_size=128,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        num_experts=EXPERTS,
        num_experts_per_tok=K,
        max_position_embeddings=1024,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.12)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SCALE_MODEL / name, folder / name)


def family() -> list[int]:
    """Return this process and all that it started."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [os.getpid()]
    for one in found:
        found.extend(child for child, parent in parents.items() if parent == one)
    return found


def processor_seconds() -> float:
    """Return what these processes have computed, in seconds of one core."""
    ticks = 0
    for process in family():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mebibytes() -> float:
    """Return the sum of the peaks of these processes' resident memory."""
    total = 0
    for process in family():
        status = Path(f"/proc/{process}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return total / 1024


def take_turns(contenders: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Run every contender once to warm up, then `rounds` times in turns; return wall and processor seconds of each."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        # Forwards and backwards, so that nobody always follows the same.
        for name, run in list(contenders.items())[:: 1 if number % 2 else -1]:
            before = time.perf_counter(), processor_seconds()
            run()
            if number:
                turns[name].append((time.perf_counter() - before[0], processor_seconds() - before[1]))
    return turns


def generate(llm: Any, token_ids: list[list[int]], new_tokens: int) -> None:
    """Let vLLM generate, and drop what comes back."""
    from vllm import SamplingParams

    parameters = SamplingParams(max_tokens=new_tokens, ignore_eos=True, temperature=0.0, detokenize=False)
    llm.generate([{"prompt_token_ids": ids} for ids in token_ids], parameters, use_tqdm=False)


def with_recording(model: str, rounds: int, new_tokens: int) -> dict[str, Any]:
    """Measure everything that records."""
    generation = Generation(new_tokens, stop_at_eos=False)
    with (
        open_transformers(model, dtype="float32", raw=True) as other,
        open_engine(model, dtype="float32", raw=True, engine_options=OPTIONS) as engine,
        tempfile.TemporaryDirectory() as folder,
    ):
        token_ids = [list(map(int, ids)) for ids in engine.model.tokens.take(PROMPTS)]
        sequences: list[Any] = []

        def record() -> None:
            sequences[:] = [sequence for _, sequence in engine.run(PROMPTS, generation)]

        def captured(one: Engine, name: str) -> None:
            capture_with(one, PROMPTS, generation, out=Path(folder) / f"{name}.npz", record=["trace"])

        contenders: dict[str, Callable[[], None]] = {
            "bare, on": lambda: generate(llm_of(engine), token_ids, new_tokens),
            "engine": record,
            "capture": lambda: captured(engine, "vllm"),
            "transformers": lambda: captured(other, "transformers"),
        }
        turns = take_turns(contenders, rounds)
        tokens = sum(len(sequence.token_ids) for sequence in sequences)
        sizes = {path.name: path.stat().st_size / len(PROMPTS) for path in Path(folder).iterdir()}
        return {"turns": turns, "tokens": tokens, "files": sizes, "peak": peak_mebibytes()}


def without_recording(model: str, rounds: int, new_tokens: int) -> dict[str, Any]:
    """Measure vLLM alone, with the options of the other process."""
    from transformers import AutoTokenizer

    import_vllm()
    tokenizer = AutoTokenizer.from_pretrained(model)
    token_ids = [tokenizer(prompt.text)["input_ids"] for prompt in PROMPTS]
    running = RunningVllm(model, {**OPTIONS, "model": model, "dtype": "float32", "skip_tokenizer_init": True})
    try:
        turns = take_turns({"bare, off": lambda: generate(running._llm, token_ids, new_tokens)}, rounds)
        return {"turns": turns, "peak": peak_mebibytes()}
    finally:
        running.close()


def llm_of(engine: VllmEngine) -> Any:
    """Return vLLM's own object."""
    assert engine._running is not None
    return engine._running._llm


def say(name: str, turns: list[list[float]], tokens: int, beside: list[list[float]] | None = None) -> None:
    """Print the medians of a contender, and its ratio to another in the same turns."""
    wall, busy = (median(turn[part] for turn in turns) for part in (0, 1))
    line = f"{name:14} {wall:7.2f} s  {busy:7.2f} s of processor time  {tokens / wall:9,.0f} tokens/s"
    if beside is not None:
        ratios = [median(one[part] / two[part] for one, two in zip(turns, beside, strict=True)) for part in (0, 1)]
        line += f"  {ratios[0]:.3f} x  {ratios[1]:.3f} x"
    print(line, flush=True)


def main(
    starts: Annotated[int, typer.Option(min=1, help="How often each process is started.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Turns in each process, after one to warm up.")] = 5,
    new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate after each prompt.")] = 32,
    model: Annotated[str | None, typer.Option(help="Folder of the model; for inner use.")] = None,
    recording: Annotated[bool | None, typer.Option(help="What to measure; for inner use.")] = None,
) -> None:
    """Print what recording costs, and the speed of both engines."""
    if model is not None:
        measure = with_recording if recording else without_recording
        print(json.dumps(measure(model, rounds, new_tokens)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        common = ["--model", folder, "--rounds", str(rounds), "--new-tokens", str(new_tokens)]
        found: list[dict[str, Any]] = []
        for number in range(2 * starts):  # off, on, on, off: what drifts meets both
            flag = "--recording" if number % 4 in (1, 2) else "--no-recording"
            found.append({"flag": flag, **in_a_process(__file__, *common, flag)})
    report([one for one in found if one["flag"] == "--no-recording"], [one for one in found if "tokens" in one])


def report(off: list[dict[str, Any]], on: list[dict[str, Any]]) -> None:
    """Print medians over all turns; ratios within turns, or between the turns of a pair of starts."""
    tokens = on[0]["tokens"]
    turns = {name: [turn for one in on for turn in one["turns"][name]] for name in on[0]["turns"]}
    bare = [turn for one in off for turn in one["turns"]["bare, off"]]
    say("bare, off", bare, tokens)
    say("bare, on", turns["bare, on"], tokens, bare)
    say("engine", turns["engine"], tokens, turns["bare, on"])
    say("capture", turns["capture"], tokens, turns["engine"])
    say("transformers", turns["transformers"], tokens, turns["capture"])
    print(f"the engine beside vLLM without recording: {ratio(turns['engine'], bare)}")
    print(
        f"rows: {tokens / len(PROMPTS) * LAYERS * K:,.0f} bytes a prompt; {tokens / len(PROMPTS):.1f} tokens a prompt"
    )
    print({name: f"{size:,.0f} bytes a prompt" for name, size in on[0]["files"].items()})
    print(f"peaks of resident memory, all processes: {median(one['peak'] for one in off):,.0f} MiB without recording, "
          f"{median(one['peak'] for one in on):,.0f} MiB with, the transformers engine's model among them")  # fmt: skip


def ratio(turns: list[list[float]], beside: list[list[float]]) -> str:
    """Return the ratios of wall and processor time, turn by turn."""
    parts = [median(one[part] / two[part] for one, two in zip(turns, beside, strict=True)) for part in (0, 1)]
    return f"{parts[0]:.3f} x the time, {parts[1]:.3f} x the processor time"


if __name__ == "__main__":
    typer.run(main)
