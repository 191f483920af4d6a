"""`moexray ablate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

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

_EXPERTS = "Experts"
_DEFAULT_RANKINGS = "coldest,hottest,lightest,redundant,category"


class Meaning(StrEnum):
    """What becomes of a selection of an expert that is left out."""

    replaced = "replaced"
    skipped = "skipped"


class Normalisation(StrEnum):
    """How weights of fewer selections are scaled."""

    native = "native"
    kept = "kept"
    rescaled = "rescaled"


def ablate(
    model: Annotated[str, typer.Argument(help="Hugging Face id, local folder, or `scale`.")],
    *,
    prompts: PromptsOption = None,
    text_column: TextColumnOption = None,
    category_column: CategoryColumnOption = None,
    id_column: IdColumnOption = None,
    group_column: GroupColumnOption = None,
    output_column: OutputColumnOption = None,
    image_column: ImageColumnOption = None,
    split: SplitOption = None,
    rank: Annotated[
        str | None,
        typer.Option(
            help="Rankings whose experts are left out, with commas: coldest, hottest, lightest (least gate weight), "
            "redundant (their tokens select another expert too), category (least used by each), reap. "
            f"By default, where nothing else is named, {_DEFAULT_RANKINGS}.",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of every layer's experts that a ranking leaves out.", rich_help_panel=_EXPERTS
        ),
    ] = 0.25,
    ranking: Annotated[
        Path | None,
        typer.Option(
            help="Signatures of other prompts, or what `moexray experts --json` wrote: the experts they use least.",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    reap: Annotated[
        bool,
        typer.Option("--reap", help="Rank by REAP's score as well; runs experts one by one.", rich_help_panel=_EXPERTS),
    ] = False,
    without: Annotated[
        str | None,
        typer.Option(
            help="Experts to leave out, as LAYER:EXPERT with commas.",
            metavar="LAYER:EXPERT,…",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            help="Experts that all tokens of their layers are sent to, the heaviest first.",
            metavar="LAYER:EXPERT,…",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    active: Annotated[
        str | None,
        typer.Option(
            help="Numbers of each token's greatest selections to leave out, one layer at a time.",
            metavar="NUMBERS",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Leave experts out for tokens of this kind alone, and rank by their use: image or text.",
            rich_help_panel=_EXPERTS,
        ),
    ] = None,
    meaning: Annotated[
        Meaning,
        typer.Option(
            help="Routers choose among the other experts (replaced), or nothing takes their place (skipped).",
            rich_help_panel=_EXPERTS,
        ),
    ] = Meaning.replaced,
    normalisation: Annotated[
        Normalisation,
        typer.Option(
            help="Weights of fewer selections: as the model weighs fewer, as they were, or of the same sum.",
            rich_help_panel=_EXPERTS,
        ),
    ] = Normalisation.native,
    draws: Annotated[
        int, typer.Option(min=10, help="Draws of as many experts at random.", rich_help_panel=ANALYSIS)
    ] = 10,
    new_tokens: Annotated[
        int, typer.Option(min=0, help="Greedy tokens that are compared; 0 for none.", rich_help_panel=ANALYSIS)
    ] = 8,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    revision: RevisionOption = None,
    adapter: AdapterOption = None,
    raw: RawOption = False,
    trust_remote_code: TrustOption = False,
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens that run together; by default what memory holds.", rich_help_panel=MODEL),
    ] = None,
    figure: FigureOption = None,
    width: WidthOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the result to this JSON file as well.", rich_help_panel=OUTPUT)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure what text costs a model without some of its experts, beside as many experts drawn at random.

    Example: moexray ablate scale --rank coldest,category
    """
    from moexray.studies.ablation import Ablated

    named = [] if rank is None else [one.strip() for one in rank.split(",")]
    if rank is None and not (without or force or active or ranking):
        named = _DEFAULT_RANKINGS.split(",")
    asked = Ablated(
        rankings=tuple(dict.fromkeys([*named, *(["reap"] if reap else [])])),
        share=share,
        without=None if without is None else _experts(without, "--without"),
        forced=None if force is None else _experts(force, "--force"),
        active=() if active is None else whole_numbers(active, option="--active"),
        draws=draws,
        write=new_tokens > 0,
        seed=seed,
    )
    if out is not None:
        check_writable(out)
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.progress import step_progress
    from moexray.cli.prompts import read_or_bundled
    from moexray.cli.render import print_page, print_result, say
    from moexray.engines.engine import image_option, open_engine
    from moexray.interventions.ablation import measure_ablation
    from moexray.views.tables.ablation import ablation_page

    check_figure(figure, width)
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
    loading = {"device": device, "dtype": dtype, "revision": revision, "adapter": adapter}
    flags = {"raw": raw, "trust_remote_code": trust_remote_code}
    given = {name: value for name, value in {**loading, **flags}.items() if value not in (None, False)}
    with step_progress() as on_step:
        on_step(f"loading {model}")
        with open_engine("transformers", model, **given, **image_option("transformers", read)) as engine:
            found = measure_ablation(
                engine,
                read,
                asked,
                meaning=meaning.value,
                normalisation=normalisation.value,
                new_tokens=new_tokens,
                ranking=ranking,
                kind=kind,
                batch_tokens=batch_tokens,
                on_step=on_step,
            )
    if out is not None:
        found.save(out)
        say(f"wrote {out}", err=True)
    draw_to(figure, "ablation", found, width=width)
    if json:
        print_result(found)
    else:
        print_page(ablation_page(found))


def _experts(text: str, option: str) -> dict[int, tuple[int, ...]]:
    """Return experts by layer, from a text such as 3:12,3:40."""
    found: dict[int, list[int]] = {}
    for part in text.split(","):
        layer, colon, expert = part.strip().partition(":")
        if not colon or not all(one.isascii() and one.isdigit() and len(one) < 10 for one in (layer, expert)):
            message = f"{option} is {text!r}: write experts as LAYER:EXPERT with commas, such as 3:12,3:40"
            raise typer.BadParameter(message)
        found.setdefault(int(layer), []).append(int(expert))
    return {layer: tuple(experts) for layer, experts in found.items()}
