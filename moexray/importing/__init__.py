"""Importing routing that others recorded: one format a file, listed once in `FORMATS`."""

from importlib import import_module
from pathlib import Path

from moexray.errors import ImportingError
from moexray.importing.reading import Reader, Reading
from moexray.importing.stated import Stated

# A new format is a module with a `Reader` and one line here: name, the reader, and what `moexray import --help` says.
# The module is imported when the first such file is read.
FORMATS: dict[str, tuple[str, str]] = {
    "mapped": ("moexray.importing.mapped:read_mapped", "any .jsonl, .parquet or .npz file, by --map"),
    "sglang": ("moexray.importing.sglang:read_sglang", "a file of SGLang's expert distribution recorder"),
    "imatrix": ("moexray.importing.imatrix:read_imatrix", "an importance matrix of llama.cpp (GGUF)"),
    "tensorrt-llm": ("moexray.importing.tensorrt_llm:read_tensorrt_llm", "a folder of its expert statistics"),
    "megatron": ("moexray.importing.megatron:read_megatron", "a router trace of Megatron-core (JSON Lines)"),
    "moe-trace": ("moexray.importing.moe_trace:read_moe_trace", "a trace of llama.cpp's moe-trace (CSV)"),
    "moe-infinity": ("moexray.importing.moe_infinity:read_moe_infinity", "activation matrices of MoE-Infinity (.npy)"),
    "olmoe": ("moexray.importing.olmoe:read_olmoe", "counts that OLMoE's authors published (.pkl)"),
    "flame-moe": ("moexray.importing.flame_moe:read_flame_moe", "a folder of layers of FLAME-MoE's traces"),
}


def read(source: Path, format_name: str, stated: Stated) -> Reading:
    """Open a file, or a folder, of a format.

    Parameters
    ----------
    source
        The file or folder.
    format_name
        A name among `FORMATS`.
    stated
        What the user says of it that the format does not.

    Raises
    ------
    ImportingError
        If there is no such format or file, the file is damaged or of another format, or something that it does not
        say was not stated.
    """
    if format_name not in FORMATS:
        message = f"no format {format_name!r}: there are {', '.join(FORMATS)}"
        raise ImportingError(message)
    if not source.exists():
        message = f"{source} does not exist: name a file that holds recorded routing"
        raise ImportingError(message)
    module, _, name = FORMATS[format_name][0].partition(":")
    reader: Reader = getattr(import_module(module), name)
    return reader(source, stated)
