"""`moexray budget`."""

from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.options import (
    ANALYSIS,
    MODEL,
    OUTPUT,
    AdapterOption,
    CategoryColumnOption,
    DeviceOption,
    DtypeOption,
    GroupColumnOption,
    IdColumnOption,
    ImageColumnOption,
    JsonOption,
    OutputColumnOption,
    PromptsOption,
    RawOption,
    RevisionOption,
    SeedOption,
    SplitOption,
    TextColumnOption,
    TrustOption,
)
from moexray.cli.workloads import FigureOption, WidthOption, whole_numbers
from moexray.files import check_writable

_KEEP = "75,50,25"


class NormalisationName(StrEnum):
    """How the experts that are left are weighed."""

    native = "native"
    kept = "kept"
    rescaled = "rescaled"


def budget(
    model: Annotated[
        str,
        typer.Argument(help="Hugging Face id, local folder, or `scale`: the small model that comes with moexray."),
    ],
    *,
    prompts: PromptsOption = None,
    text_column: TextColumnOption = None,
    category_column: CategoryColumnOption = None,
    id_column: IdColumnOption = None,
    group_column: GroupColumnOption = None,
    output_column: OutputColumnOption = None,
    image_column: ImageColumnOption = None,
    split: SplitOption = None,
    policy: Annotated[
        str,
        typer.Option(
            help="Ways to keep fewer experts, with commas: k (those of greatest weight), top-p (a share of the gate "
            "weight), skip (those near the greatest weight), entropy (more where the router is undecided), layers "
            "(numbers that differ by layer), threshold (those whose weight, times what their layer is worth, is "
            "above a threshold: MoDES), random (the control).",
            rich_help_panel=ANALYSIS,
        ),
    ] = "k,top-p,skip,entropy,layers,random",
    keep: Annotated[
        str | None,
        typer.Option(
            help="Shares of the experts to keep, in percent, with commas; by default 75,50,25, or none where "
            "--keep-image or --keep-text is given.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    keep_image: Annotated[
        str | None,
        typer.Option(
            help="Shares to keep for image tokens, with commas, each with each of --keep-text; by default 100.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    keep_text: Annotated[
        str | None,
        typer.Option(
            help="Shares to keep for text tokens, with commas, each with each of --keep-image; by default 100.",
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    normalisation: Annotated[
        NormalisationName,
        typer.Option(
            help="Weights of the experts that are left: native (as the model weighs fewer), kept (as they were), "
            "rescaled (to the sum of all).",
            rich_help_panel=ANALYSIS,
        ),
    ] = NormalisationName.native,
    new_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens to generate after each prompt; 0 for none.", rich_help_panel=ANALYSIS)
    ] = 8,
    batches: Annotated[
        str,
        typer.Option(help="Prompts of the batches that are timed, with commas; none.", rich_help_panel=ANALYSIS),
    ] = "1,8",
    turns: Annotated[int, typer.Option(min=1, help="How often each batch is timed.", rich_help_panel=ANALYSIS)] = 3,
    layer_prompts: Annotated[
        int,
        typer.Option(
            min=1, help="Prompts on which each layer is measured alone, for `layers`.", rich_help_panel=ANALYSIS
        ),
    ] = 12,
    engine: Annotated[str, typer.Option(help="What runs the model.", rich_help_panel=MODEL)] = "transformers",
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    revision: RevisionOption = None,
    adapter: AdapterOption = None,
    raw: RawOption = False,
    trust_remote_code: TrustOption = False,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens that run together, padding included; by default what memory holds.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    seed: SeedOption = 0,
    figure: FigureOption = None,
    width: WidthOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result to this JSON file as well.", rich_help_panel=OUTPUT)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure what fewer experts a token cost a model, in loss, changed text and time, by running it.

    Example: moexray budget scale --prompts prompts/ --keep 50
    """
    by_kind = _by_kind(keep_image, keep_text)
    evenly = keep or ("" if by_kind else _KEEP)
    shares = [float(one) for one in whole_numbers(evenly, option="--keep")] if evenly else []
    sizes = () if batches.strip() == "none" else whole_numbers(batches, option="--batches")
    if out is not None:
        check_writable(out)
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.progress import step_progress
    from moexray.cli.prompts import read_or_bundled
    from moexray.cli.render import print_page, print_result, say
    from moexray.engines.engine import image_option, open_engine
    from moexray.interventions.budget import BudgetOptions, measure_budget
    from moexray.views.tables.budget import budget_page

    check_figure(figure, width)
    options = BudgetOptions(
        policies=[one.strip() for one in policy.split(",")],
        keep=shares,
        keep_kinds=by_kind,
        normalisation=normalisation.value,
        new_tokens=new_tokens,
        batches=sizes,
        turns=turns,
        layer_prompts=layer_prompts,
        batch_tokens=batch_tokens,
        seed=seed,
    )
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
    named: dict[str, Any] = {"device": device, "dtype": dtype, "revision": revision, "adapter": adapter}
    named |= {"raw": raw, "trust_remote_code": trust_remote_code}
    given = {name: value for name, value in named.items() if value not in (None, False)}
    with step_progress() as on_step:
        on_step(f"loading {model}")
        with open_engine(engine, model, **given, **image_option(engine, read)) as opened:
            found = measure_budget(opened, read, options, on_step=on_step)
    if out is not None:
        found.save(out)
        say(f"wrote {out}", err=True)
    draw_to(figure, "budget", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(budget_page(found))


def _by_kind(image: str | None, text: str | None) -> list[dict[str, float]]:
    """Return each share of image tokens with each of text tokens, but for all experts of both."""
    if image is None and text is None:
        return []
    of_image = whole_numbers(image or "100", option="--keep-image")
    of_text = whole_numbers(text or "100", option="--keep-text")
    pairs = [{"image": float(one), "text": float(other)} for one, other in product(of_image, of_text)]
    found = [pair for pair in pairs if set(pair.values()) != {100.0}]
    if not found:
        message = "100 % of image tokens and of text tokens is full routing: name a smaller share of one"
        raise typer.BadParameter(message, param_hint="--keep-image")
    return found
