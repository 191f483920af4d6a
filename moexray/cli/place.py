"""`moexray place`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from moexray.cli.options import (
    ANALYSIS,
    DEFAULT_FILE,
    INPUT,
    OUTPUT,
    JsonOption,
    SeedOption,
    SignaturesFile,
    TokensOption,
    out_option,
)
from moexray.cli.workloads import FigureOption, WidthOption
from moexray.errors import AnalysisError
from moexray.files import check_writable, find_companion, is_same
from moexray.signatures import Signatures
from moexray.trace import Trace


class Server(StrEnum):
    """Whose file of a placement is written."""

    sglang = "sglang"
    sglang_count = "sglang-count"
    eplb = "eplb"
    ascend = "ascend"
    tensorrt_llm = "tensorrt-llm"


def place(
    file: SignaturesFile = DEFAULT_FILE,
    *,
    devices: Annotated[
        int, typer.Option(help="Devices that share the experts of each layer.", min=1, rich_help_panel=ANALYSIS)
    ],
    redundant: Annotated[
        int,
        typer.Option(
            help="Slots beyond one for each expert, which EPLB fills with replicas.", min=0, rich_help_panel=ANALYSIS
        ),
    ] = 0,
    nodes: Annotated[
        int, typer.Option(help="Nodes of the devices: adds hierarchical EPLB.", min=1, rich_help_panel=ANALYSIS)
    ] = 1,
    groups: Annotated[
        int | None,
        typer.Option(
            help="Groups of neighbouring experts that stay on one node, with --nodes. By default each by itself.",
            min=1,
            rich_help_panel=ANALYSIS,
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(help="Prompts of a batch, a token of each.", min=1, rich_help_panel=ANALYSIS)
    ] = 16,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Trace that `moexray capture --record trace` wrote. By default the one beside the signatures; without "
            "one only loads are scored.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    tokens: TokensOption = "all",
    seed: SeedOption = 0,
    server: Annotated[
        Server | None,
        typer.Option(
            "--for",
            help="Write the placement as this server reads it to --out, or loads with sglang-count.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    out: Annotated[Path | None, out_option(OUTPUT)] = None,
    placement: Annotated[
        str | None,
        typer.Option(
            help="The placement that --for writes, and whose map --json holds. By default eplb with --for.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    decoder_layers: Annotated[
        int | None,
        typer.Option(
            help="Decoder layers of the model, dense ones among them, for SGLang: its num_hidden_layers.",
            min=1,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    figure: FigureOption = None,
    width: WidthOption = None,
    json: JsonOption = False,
) -> None:
    """Compare placements of experts on devices, by load and by traffic, and write one for a server.

    Example: moexray place --devices 8 --redundant 16 --for sglang --out placement.json
    """
    _check_options(server, out, placement, decoder_layers, json=json)
    if out is not None:
        check_writable(out)
    from moexray.cli.figure_file import check_figure, draw_to
    from moexray.cli.render import print_page, print_result, say
    from moexray.studies.placement import place as study
    from moexray.studies.placement_files import check_file, write_file
    from moexray.studies.placement_files.task import file_task
    from moexray.views.tables.placement import placement_page

    check_figure(figure, width)
    signatures = Signatures.open(file)
    path = trace or find_companion(file, "trace.parquet")
    _check_apart({"out": out, "figure": figure}, read=(file, path))
    opened = None if path is None else Trace.open(path, signatures)
    if server is not None and out is not None:
        check_file(server.value, out, file_task(signatures, devices=devices, decoder_layers=decoder_layers))
        placement = placement or ("eplb" if server is not Server.sglang_count else None)
    found = study(
        signatures,
        devices=devices,
        trace=opened,
        nodes=nodes,
        groups=groups,
        redundant=redundant,
        tokens=tokens,
        batch=batch,
        placement=placement,
        seed=seed,
    )
    draw_to(figure, "placement", found, width=width)
    if server is not None and out is not None:
        task = file_task(signatures, devices=devices, decoder_layers=decoder_layers, study=found)
        advice = write_file(server.value, out, task)
        say(f"wrote {out}: {advice}", err=True)
    if json:
        print_result(found)
    else:
        print_page(placement_page(found))


def _check_options(
    server: Server | None, out: Path | None, placement: str | None, decoder_layers: int | None, *, json: bool
) -> None:
    """Raise BadParameter where options do not go together, or change nothing."""
    if (server is None) != (out is None):
        message = "--for says whose file is written, and --out where to: give both"
        raise typer.BadParameter(message)
    if placement is not None and (server is Server.sglang_count or not (server or json)):
        message = "--placement names the map that --for writes and --json holds, and --for sglang-count writes loads"
        raise typer.BadParameter(message)
    if decoder_layers is not None and server not in (Server.sglang, Server.sglang_count):
        message = "--decoder-layers is for the files of SGLang: give --for sglang or --for sglang-count"
        raise typer.BadParameter(message)


def _check_apart(written: dict[str, Path | None], *, read: tuple[Path | None, ...]) -> None:
    """Raise AnalysisError where a file would take the place of what is read, or of the other one."""
    there = {name: path for name, path in written.items() if path is not None}
    for name, path in there.items():
        if any(one is not None and is_same(one, path) for one in read):
            message = f"{path} is what is studied: name another file with `{name}`"
            raise AnalysisError(message)
    if len(there) == 2 and is_same(*there.values()):
        message = f"`out` and `figure` are both {written['out']}: name two files"
        raise AnalysisError(message)
