"""`moexray capture`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.cluster import (
    RayOption,
    ShardsOption,
    WorkerCpusOption,
    WorkerGpusOption,
    WorkersOption,
    capture_with_options,
    kept_in,
)
from moexray.cli.completion import one_of
from moexray.cli.next_command import after_shard, after_signatures
from moexray.cli.options import (
    DEFAULT_FILE,
    MODEL,
    AdapterOption,
    CategoryColumnOption,
    ConcurrencyOption,
    DeviceOption,
    DtypeOption,
    EngineOptions,
    GroupColumnOption,
    IdColumnOption,
    ImageColumnOption,
    OutputColumnOption,
    PromptsOption,
    RawOption,
    RequestSecondsOption,
    RetrySecondsOption,
    RevisionOption,
    ServedModelOption,
    SplitOption,
    TextColumnOption,
    TrustOption,
    UrlOption,
    out_option,
    values_by_name,
)
from moexray.cli.progress import capture_progress
from moexray.cli.prompts import read_or_bundled
from moexray.cli.render import say
from moexray.cli.stopping import interruptible
from moexray.engines.engine import ENGINES
from moexray.errors import CaptureError
from moexray.files import check_writable, is_same
from moexray.formats import count, listed
from moexray.prompts import left_out
from moexray.recording import capture as library
from moexray.recording.job import output_files
from moexray.shards import Shard
from moexray.signatures import Signatures

_GENERATION, _RECORDING, _OUTPUT = "Generation", "Recording", "Output"
_MOST_NAMED = 5
_VERIFIED = (
    "verified: {agreement:.1%} of the selections of {tokens:,} tokens of {prompts} prompts are those of each alone; "
    "{recorded:,} recorded experts change the logits, {others:,} others do not"
)


def capture(
    *,
    prompts: PromptsOption = None,
    text_column: TextColumnOption = None,
    category_column: CategoryColumnOption = None,
    id_column: IdColumnOption = None,
    group_column: GroupColumnOption = None,
    output_column: OutputColumnOption = None,
    image_column: ImageColumnOption = None,
    split: SplitOption = None,
    model: Annotated[
        str,
        typer.Option(
            help="Hugging Face id, local folder, or `scale`: the small model that comes with moexray.",
            rich_help_panel=MODEL,
        ),
    ] = library.DEFAULT_MODEL,
    engine: Annotated[
        str, typer.Option(help="What runs the model.", autocompletion=one_of(ENGINES), rich_help_panel=MODEL)
    ] = "transformers",
    engine_options: EngineOptions = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    revision: RevisionOption = None,
    adapter: AdapterOption = None,
    raw: RawOption = False,
    chat_template: Annotated[
        str | None,
        typer.Option(help="The chat template to apply, where the tokenizer has several.", rich_help_panel=MODEL),
    ] = None,
    template_options: Annotated[
        list[str] | None,
        typer.Option(
            "--template-option",
            help="A variable that the chat template reads, such as enable_thinking=false; may be given several times.",
            metavar="NAME=VALUE",
            rich_help_panel=MODEL,
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="A system message before every prompt.", rich_help_panel=MODEL)
    ] = None,
    trust_remote_code: TrustOption = False,
    max_new_tokens: Annotated[
        int,
        typer.Option(min=0, help="Tokens to generate after each prompt; 0 for none.", rich_help_panel=_GENERATION),
    ] = 32,
    stop_at_eos: Annotated[
        bool,
        typer.Option(
            "--stop-at-eos/--no-stop-at-eos", help="End at the model's end token.", rich_help_panel=_GENERATION
        ),
    ] = True,
    temperature: Annotated[
        float,
        typer.Option(
            min=0, help="0 takes the most probable token; above it, tokens are drawn.", rich_help_panel=_GENERATION
        ),
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(
            help="Draw from the smallest set of most probable tokens with this total probability.",
            rich_help_panel=_GENERATION,
        ),
    ] = 1.0,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Seed of the draws; every prompt has a stream of its own.", rich_help_panel=_GENERATION
        ),
    ] = 0,
    record: Annotated[
        list[str] | None,
        typer.Option(
            help="What to record beside the selected experts, with commas between: trace (every token's experts and "
            "gate weights, to a .trace.parquet), scores (the router's scores of all experts, in the trace), weights "
            "(the gate weight that each expert got), coselection (how often every two experts were selected together, "
            "to a .coselection.npz).",
            rich_help_panel=_RECORDING,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="First check, on the longest prompt, its batch and the batch with most padding, that each prompt is "
            "routed as alone, and that the recorded experts, and no others, make the logits.",
            rich_help_panel=_RECORDING,
        ),
    ] = False,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens that run together, padding included; by default what memory holds.",
            rich_help_panel=_RECORDING,
        ),
    ] = None,
    reproducible: Annotated[
        bool,
        typer.Option(
            "--reproducible",
            help="Run every prompt alone, so that its text and routing depend on no other, in any dtype; slower.",
            rich_help_panel=_RECORDING,
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Run one of n shards of the prompts, i/n with i from 0 to n - 1, and write FILE.shard-i-of-n.npz "
            "beside the output; `moexray merge` joins them.",
            metavar="I/N",
            rich_help_panel=_RECORDING,
        ),
    ] = None,
    ray: RayOption = None,
    shards: ShardsOption = None,
    workers: WorkersOption = None,
    worker_cpus: WorkerCpusOption = None,
    worker_gpus: WorkerGpusOption = None,
    url: UrlOption = None,
    served_model: ServedModelOption = None,
    concurrency: ConcurrencyOption = None,
    retry_seconds: RetrySecondsOption = None,
    request_seconds: RequestSecondsOption = None,
    trace: Annotated[bool, typer.Option("--trace", hidden=True)] = False,
    weights: Annotated[bool, typer.Option("--weights", hidden=True)] = False,
    coselection: Annotated[bool, typer.Option("--coselection", hidden=True)] = False,
    out: Annotated[Path, out_option(_OUTPUT)] = DEFAULT_FILE,
) -> None:
    """Run prompts through a model and record which experts every token was sent to.

    Finished prompts are kept beside the output: a capture that was stopped goes on when the same command is run again.

    Example: moexray capture --prompts prompts/ --model scale
    """
    run = capture_with_options(
        ray, shard=shard, shards=shards, workers=workers, worker_cpus=worker_cpus, worker_gpus=worker_gpus
    )
    aliases = {"trace": trace, "weights": weights, "coselection": coselection}
    recorded = [name.strip() for names in record or () for name in names.split(",")]
    recorded += [name for name, wanted in aliases.items() if wanted]
    part, whole = None if shard is None else Shard.parse(shard), out
    if part is not None:
        out = part.file(out)
    check_writable(out)  # before prompts are fetched or read from a pipe
    for file in output_files(out, recorded).values():
        if any(is_same(named, file) for named in prompts or ()):
            message = f"{file} is a file of prompts: name another file with `out`"
            raise CaptureError(message)
    read = read_or_bundled(
        prompts,
        text_column=text_column,
        category_column=category_column,
        id_column=id_column,
        group_column=group_column,
        output_column=output_column,
        image_column=image_column,
        split=split,
    )
    _name_left_out(prompts or ())
    started = time.perf_counter()
    with interruptible(kept_in(out, ray)), capture_progress() as status:
        found = run(
            read,
            model=model,
            out=out,
            record=recorded,
            max_new_tokens=max_new_tokens,
            stop_at_eos=stop_at_eos,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            engine=engine,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            adapter=adapter,
            raw=raw,
            chat_template=chat_template,
            template_options=values_by_name("template_options", template_options or []),
            engine_options=values_by_name("engine_options", engine_options or []),
            system=system,
            batch_tokens=batch_tokens,
            reproducible=reproducible,
            verify=verify,
            shard=part,
            url=url,
            served_model=served_model,
            concurrency=concurrency,
            retry_seconds=retry_seconds,
            request_seconds=request_seconds,
            on_progress=status.update,
        )
    verified = found.meta.get("verified", []) if verify else []
    for one in verified if isinstance(verified, list) else [verified]:  # a list of those of shards
        say(_VERIFIED.format(**one))
    say(f"{describe(found)} in {time.perf_counter() - started:.1f} s")
    written = output_files(out, recorded)
    for file in written.values():
        say(f"wrote {file}")
    if part is None:
        after_signatures(out, found, trace=written.get("trace"))
    else:
        after_shard(whole, part)


def _name_left_out(prompts: Sequence[str]) -> None:
    """Say what stands in the folders of prompts and was not read."""
    others = [str(path) for path in left_out(*prompts)]
    if others:
        shown = [*others[:_MOST_NAMED], *([f"{len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else [])]
        say(f"not read as prompts: {listed(shown)}", err=True)


def describe(signatures: Signatures) -> str:
    """Return how much was recorded, in one line."""
    prompt, generated = (int(signatures.lengths(tokens).sum()) for tokens in ("prompt", "generated"))
    given = signatures.meta.get("given_outputs")
    after = f"{generated:,} of their outputs" if given else count(generated, "generated one")
    experts = sorted({int(number) for number in signatures.experts})
    return (
        f"recorded {count(len(signatures), 'prompt')}: {count(prompt, 'prompt token')} and {after}, "
        f"{count(len(signatures.layers), 'layer')} of {' or '.join(map(str, experts))} experts"
    )
