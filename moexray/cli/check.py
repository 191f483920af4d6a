"""`moexray check`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    MODEL,
    AdapterOption,
    DeviceOption,
    DtypeOption,
    EngineOptions,
    ImageColumnOption,
    JsonOption,
    PromptsOption,
    RawOption,
    RevisionOption,
    SeedOption,
    ServedModelOption,
    TrustOption,
    UrlOption,
    refuse_idle,
    values_by_name,
)

_LIVE = "A live engine"


def check(
    file: Annotated[
        Path | None, typer.Argument(help="Signatures that were captured or imported.", show_default=str(DEFAULT_FILE))
    ] = None,
    *,
    trace: Annotated[
        Path | None,
        typer.Option(help="Trace of these signatures; by default the file beside them.", rich_help_panel=INPUT),
    ] = None,
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=1, help="Prompts to compare, by turns of each category.", rich_help_panel=ANALYSIS
        ),
    ] = 4,
    seed: SeedOption = 0,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Look at the file alone.", rich_help_panel=ANALYSIS)
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to compare with: Hugging Face id, local folder, or `scale`; by default the recorded one.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    revision: RevisionOption = None,
    adapter: AdapterOption = None,
    trust_remote_code: TrustOption = False,
    engine: Annotated[
        str | None,
        typer.Option(help="Ask this engine now, instead of reading a file.", rich_help_panel=_LIVE),
    ] = None,
    prompts: PromptsOption = None,
    image_column: ImageColumnOption = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=0, help="Tokens to generate after each; by default 16.", rich_help_panel=_LIVE)
    ] = None,
    raw: RawOption = False,
    engine_options: EngineOptions = None,
    url: UrlOption = None,
    served_model: ServedModelOption = None,
    json: JsonOption = False,
) -> None:
    """Check that recorded routing is true: rows that a router can make, and the model's own, token by token.

    Exit status 0 where it is true, near ties aside; 1 where it is not, or not whole.

    Example: moexray check signatures.npz -n 8
    """
    from moexray.cli.next_command import suggest
    from moexray.cli.progress import step_progress
    from moexray.cli.render import print_page, print_result
    from moexray.views.tables.check import check_page

    loading = {"device": device, "dtype": dtype, "revision": revision, "adapter": adapter}
    with step_progress() as on_step:
        if engine is None:
            live = {"prompts": prompts, "raw": raw, "max_new_tokens": max_new_tokens, "engine_option": engine_options}
            of_it = {"url": url, "served_model": served_model, "image_column": image_column}
            refuse_idle("is of a live engine: name one with --engine", **live, **of_it)
            if no_model:
                refuse_idle("says how a model is loaded, and --no-model loads none", model=model, **loading)
            from moexray.replays.check import check as check_file

            found = check_file(
                file or DEFAULT_FILE,
                trace=trace,
                model="none" if no_model else model,
                number=number,
                seed=seed,
                trust_remote_code=trust_remote_code,
                on_step=on_step,
                **loading,
            )
        else:
            refuse_idle("is of a file, and --engine reads none", file=file, trace=trace, no_model=no_model)
            from moexray.cli.prompts import read_or_bundled
            from moexray.replays.live import check_engine

            if model is None:
                message = "--engine needs --model, which says what it runs"
                raise typer.BadParameter(message)
            flags: dict[str, Any] = {"trust_remote_code": trust_remote_code or None, "raw": raw or None}
            flags |= {"url": url, "served_model": served_model}
            flags["engine_options"] = values_by_name("engine_options", engine_options) if engine_options else None
            found = check_engine(
                engine,
                read_or_bundled(prompts, image_column=image_column),
                model=model,
                number=number,
                seed=seed,
                max_new_tokens=16 if max_new_tokens is None else max_new_tokens,
                options={**loading, **flags},
                on_step=on_step,
            )
    if json:
        print_result(found)
    else:
        print_page(check_page(found))
        if found.is_true and engine is None:
            suggest("analyze", file or DEFAULT_FILE)
    if not found.is_true:
        raise typer.Exit(1)
