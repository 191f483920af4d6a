"""`moexray capture`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from moexray.capture.run import DEFAULT_BATCH_SIZE, DEFAULT_MODEL
from moexray.cli.options import DEFAULT_FILE
from moexray.cli.progress import capture_progress
from moexray.cli.prompt_options import (
    CategoryColumnOption,
    GroupColumnOption,
    IdColumnOption,
    PromptsOption,
    SplitOption,
    TextColumnOption,
)
from moexray.files import check_writable
from moexray.prompts import Prompt, bundled_prompts, read_prompts
from moexray.signatures import Signatures


def capture(
    *,
    prompts: PromptsOption = None,
    text_column: TextColumnOption = None,
    category_column: CategoryColumnOption = None,
    id_column: IdColumnOption = None,
    group_column: GroupColumnOption = None,
    split: SplitOption = None,
    model: Annotated[
        str, typer.Option(help="Hugging Face id, local folder, or `scale`: the small model that comes with moexray.")
    ] = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option(help="File to write.")] = DEFAULT_FILE,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate after each prompt, greedily.")] = 32,
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts that run together.")] = DEFAULT_BATCH_SIZE,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, mps, auto (all there are); by default the fastest.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float64, float32, bfloat16 or float16; by default the checkpoint's own.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Leave out the tokenizer's chat template.")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with a checkpoint.")
    ] = False,
) -> None:
    """Run prompts through a model and record which experts every token was sent to.

    Example: moexray capture --prompts prompts/ --model scale
    """
    check_writable(out)
    reading = {
        "text_column": text_column,
        "category_column": category_column,
        "id_column": id_column,
        "group_column": group_column,
        "split": split,
    }
    read = read_prompts(*prompts or (), **reading) if prompts or any(reading.values()) else bundled_prompts()
    started = time.perf_counter()
    signatures = capture_with_progress(
        read,
        model=model,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        revision=revision,
        raw=raw,
        trust_remote_code=trust_remote_code,
    )
    signatures.save(out)
    typer.echo(f"{describe(signatures)} in {time.perf_counter() - started:.1f} s")
    typer.echo(f"wrote {out}")


def capture_with_progress(prompts: list[Prompt], **options: object) -> Signatures:
    """Capture with a bar on standard error."""
    from moexray.capture import capture as run

    with capture_progress(len(prompts)) as advance:
        return run(prompts, on_progress=advance, **options)  # type: ignore[arg-type]


def describe(signatures: Signatures) -> str:
    """Say in one line how much was recorded."""
    prompt, generated = signatures.tokens.sum(axis=0)
    return (
        f"recorded {len(signatures)} prompts: {prompt:,} prompt tokens and {generated:,} generated ones, "
        f"{len(signatures.layers)} layers of {signatures.counts.shape[3]} experts"
    )
