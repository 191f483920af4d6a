"""Arguments and options that several commands share, by the panel of the help that they stand in."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from moexray.cli.completion import one_of
from moexray.errors import CaptureError
from moexray.files import file_to_write

DEFAULT_FILE = Path("signatures.npz")
DEFAULT_ANALYSIS = Path("analysis.json")
PROMPTS, MODEL, INPUT, ANALYSIS, OUTPUT = "Prompts", "Model", "Input", "Analysis", "Output"

SignaturesFile = Annotated[Path, typer.Argument(help="Signatures that `moexray capture` wrote.", show_default=True)]

PromptsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Folder of .txt, .jsonl, .csv or .parquet files (name = category), such a file, - for JSON Lines from "
        "standard input, hf:NAME or hf:NAME:CONFIGURATION for a Hugging Face data set, or the folder of a saved data "
        "set; may be given several times. By default the 80 prompts that come with moexray.",
        rich_help_panel=PROMPTS,
    ),
]
TextColumnOption = Annotated[
    str | None,
    typer.Option(help="Column or key of texts or chats; by default text, prompt or messages.", rich_help_panel=PROMPTS),
]
CategoryColumnOption = Annotated[
    str | None,
    typer.Option(help="Column or key of categories; by default category or label.", rich_help_panel=PROMPTS),
]
IdColumnOption = Annotated[
    str | None, typer.Option(help="Column or key of ids; by default id.", rich_help_panel=PROMPTS)
]
GroupColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Column or key of the unit (template, source) that a prompt belongs to; by default group.",
        rich_help_panel=PROMPTS,
    ),
]
OutputColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Column or key of outputs that are recorded in place of generated ones; by default output.",
        rich_help_panel=PROMPTS,
    ),
]
ImageColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Column or key of images; by default image or images. An empty name ('') leaves images out.",
        rich_help_panel=PROMPTS,
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Split of a Hugging Face data set, where it has several.", rich_help_panel=PROMPTS),
]


def refuse_idle(reason: str, **options: object) -> None:
    """Refuse the first of these options that was given: it would change nothing.

    Parameters
    ----------
    reason
        What it needs, to follow its name.
    options
        Values by the name of the parameter; None and False stand for an option that was not given.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            message = f"--{name.replace('_', '-')} {reason}"
            raise typer.BadParameter(message)


def out_option(panel: str | None = None) -> Any:
    """Return the option of a file to write; a name with a slash at its end is one of a folder."""
    return typer.Option(parser=file_to_write, metavar="PATH", help="File to write.", rich_help_panel=panel)


# What runs, for commands that run a model.
DeviceOption = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:1, mps, auto (all there are); by default the fastest.",
        autocompletion=one_of(("cpu", "cuda", "mps", "auto")),
        rich_help_panel=MODEL,
    ),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        help="float64, float32, bfloat16 or float16; by default the checkpoint's own.",
        autocompletion=one_of(("float64", "float32", "bfloat16", "float16")),
        rich_help_panel=MODEL,
    ),
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a hub model.", rich_help_panel=MODEL)
]
AdapterOption = Annotated[
    str | None,
    typer.Option(help="Folder or hub id of a peft adapter to apply to the model.", rich_help_panel=MODEL),
]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Leave out the tokenizer's chat template.", rich_help_panel=MODEL)
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Run the Python code that comes with a checkpoint.", rich_help_panel=MODEL
    ),
]

# Of the engine `server`.
_SERVER = "Server (--engine server)"
UrlOption = Annotated[
    str | None,
    typer.Option(
        help="Where the server listens; its key is read from MOEXRAY_API_KEY.",
        metavar="http://HOST:PORT",
        rich_help_panel=_SERVER,
    ),
]
ServedModelOption = Annotated[
    str | None,
    typer.Option(help="What the server calls the model; by default its name or folder.", rich_help_panel=_SERVER),
]
ConcurrencyOption = Annotated[
    int | None, typer.Option(min=1, help="Prompts in flight at a time; by default 16.", rich_help_panel=_SERVER)
]
RetrySecondsOption = Annotated[
    float | None,
    typer.Option(
        help="How long to send a prompt again to a server that does not answer; by default 600.",
        rich_help_panel=_SERVER,
    ),
]
RequestSecondsOption = Annotated[
    float | None, typer.Option(help="The time that one prompt may take; by default 600.", rich_help_panel=_SERVER)
]


EngineOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option",
        help="An option of the engine's own, such as tensor_parallel_size=2 for vllm; may be given several times.",
        metavar="NAME=VALUE",
        rich_help_panel=MODEL,
    ),
]


def values_by_name(parameter: str, options: Sequence[str]) -> dict[str, Any]:
    """Return values by name of options ``NAME=VALUE``: a JSON value, or else the text as it stands.

    Raises
    ------
    CaptureError
        If one is not of this form, or comes twice; it names the parameter.
    """
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            message = f"`{parameter}` is {option!r}: write NAME=VALUE"
            raise CaptureError(message)
        if name in found:
            message = f"`{parameter}` names {name} twice: give it once"
            raise CaptureError(message)
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


class WeightingName(StrEnum):
    """What signatures are shares of."""

    counts = "counts"
    mass = "mass"


_TOKENS = "Which tokens: all, prompt, generated, a kind such as image, or both, such as prompt/image."
_WEIGHTING = "Signatures as shares of selections (counts), or of gate weights (mass) if they were recorded."
_PERMUTATIONS = "Permutations of each test; costly tests take fewer."
_FOLDS = "Folds of the classifier's cross-validation."
_SEED = "Seed of all random draws."

_PHASES = one_of(("all", "prompt", "generated"))

TokensOption = Annotated[str, typer.Option("--tokens", help=_TOKENS, autocompletion=_PHASES, rich_help_panel=ANALYSIS)]
WeightingOption = Annotated[WeightingName, typer.Option("--by", help=_WEIGHTING, rich_help_panel=ANALYSIS)]
PermutationsOption = Annotated[int, typer.Option(min=1, help=_PERMUTATIONS, rich_help_panel=ANALYSIS)]
FoldsOption = Annotated[int, typer.Option(min=2, help=_FOLDS, rich_help_panel=ANALYSIS)]
SeedOption = Annotated[int, typer.Option(min=0, help=_SEED, rich_help_panel=ANALYSIS)]
TraceOption = Annotated[
    Path | None,
    typer.Option(
        help="Trace that `moexray capture --record trace` wrote: adds what token identity explains.",
        rich_help_panel=INPUT,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]

# The same for commands that read an analysis: without the option, whatever the analysis was made with.
SAVED = "Default: as in the saved analysis."
SavedTokensOption = Annotated[
    str | None,
    typer.Option("--tokens", help=f"{_TOKENS} {SAVED}", autocompletion=_PHASES, rich_help_panel=ANALYSIS),
]
SavedWeightingOption = Annotated[
    WeightingName | None, typer.Option("--by", help=f"{_WEIGHTING} {SAVED}", rich_help_panel=ANALYSIS)
]
SavedPermutationsOption = Annotated[
    int | None, typer.Option(min=1, help=f"{_PERMUTATIONS} {SAVED}", rich_help_panel=ANALYSIS)
]
SavedFoldsOption = Annotated[int | None, typer.Option(min=2, help=f"{_FOLDS} {SAVED}", rich_help_panel=ANALYSIS)]
SavedSeedOption = Annotated[int | None, typer.Option(min=0, help=f"{_SEED} {SAVED}", rich_help_panel=ANALYSIS)]
AnalysisOption = Annotated[
    Path | None,
    typer.Option(
        help="Analysis to read. Default: analysis.json here or beside the signatures, if it is of these signatures.",
        rich_help_panel=INPUT,
    ),
]
