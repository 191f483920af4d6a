"""`moexray capture`."""

import time
from pathlib import Path
from typing import Annotated

import typer

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
from moexray.prompts import bundled_prompts, read_prompts
from moexray.recording import DEFAULT_MODEL, capture_to
from moexray.signatures import Signatures

_VERIFIED = (
    "verified: {agreement:.1%} of the selections of {tokens} tokens are those of each prompt alone; {recorded:,} "
    "recorded experts change the logits, {others:,} others do not"
)


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
    max_new_tokens: Annotated[int, typer.Option(min=0, help="Tokens to generate after each prompt; 0 for none.")] = 32,
    stop_at_eos: Annotated[
        bool, typer.Option("--stop-at-eos/--no-stop-at-eos", help="End where the model writes its end token.")
    ] = True,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 takes the likeliest token; above it, tokens are drawn.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the fewest tokens that are together as likely as this.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws; every prompt has a stream of its own.")] = 0,
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens that run together, padding included; by default what memory holds."),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also record how much gate weight each expert got.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also write every token's experts and gate weights, to a .trace.parquet.")
    ] = False,
    coselection: Annotated[
        bool,
        typer.Option(
            "--coselection",
            help="Also write how often every two experts were selected together, to a .coselection.npz.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="First check on a few tokens that recorded experts, and no others, are used."),
    ] = False,
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

    What is done is kept beside the output: started again, a capture that was killed goes on where it was.

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
    recorders = [name for name, wanted in (("trace", trace), ("coselection", coselection)) if wanted]
    with capture_progress(len(read)) as advance:
        written = capture_to(
            out,
            read,
            recorders=recorders,
            weights=weights,
            verify=verify,
            model=model,
            max_new_tokens=max_new_tokens,
            stop_at_eos=stop_at_eos,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            batch_tokens=batch_tokens,
            device=device,
            dtype=dtype,
            revision=revision,
            raw=raw,
            trust_remote_code=trust_remote_code,
            on_progress=advance,
        )
    found = Signatures.open(out)
    if verify:
        typer.echo(_VERIFIED.format(**found.meta["verified"]))
    typer.echo(f"{describe(found)} in {time.perf_counter() - started:.1f} s")
    for file in written:
        typer.echo(f"wrote {file}")


def describe(signatures: Signatures) -> str:
    """Say in one line how much was recorded."""
    prompt, generated = signatures.tokens.sum(axis=0)
    return (
        f"recorded {len(signatures)} prompts: {prompt:,} prompt tokens and {generated:,} generated ones, "
        f"{len(signatures.layers)} layers of {signatures.shape[3]} experts"
    )
