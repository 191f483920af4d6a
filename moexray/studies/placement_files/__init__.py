"""Files of placements that servers read: one format a file, listed here.

Each module has ``write(task, path)``, which writes a whole file or none, and ``advice(task, path)``, which says how the
server is told of it.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from moexray.errors import AnalysisError
from moexray.files import check_writable
from moexray.studies.placement_files.task import FileTask

FORMATS: Mapping[str, str] = {
    "sglang": "sglang",
    "sglang-count": "sglang_count",
    "eplb": "eplb",
    "ascend": "ascend",
    "tensorrt-llm": "tensorrt_llm",
}
# SGLang takes what does not end so for the JSON text itself.
_SUFFIXES = {"sglang": ".json", "sglang-count": ".json"}


def check_file(server: str, path: Path, task: FileTask) -> None:
    """Raise before long work what would prevent a file from being written after it; the map is not looked at.

    Raises
    ------
    AnalysisError
        If there is no such format, or it cannot hold these layers.
    MoexrayError
        If the file cannot be written.
    """
    _module(server)
    suffix = _SUFFIXES.get(server)
    if suffix is not None and path.suffix != suffix:
        message = f"SGLang reads a file whose name ends in {suffix}, and {path} does not: rename it"
        raise AnalysisError(message)
    task.check_rectangle(server)
    if server.startswith("sglang"):
        task.decoder_rows([[0]] * len(task.layers), [0])
    check_writable(path)


def write_file(server: str, path: Path, task: FileTask) -> str:
    """Write the file; return how the server is told of it."""
    check_file(server, path, task)
    module = _module(server)
    module.write(task, path)
    return str(module.advice(task, path))


def _module(server: str) -> ModuleType:
    if server not in FORMATS:
        message = f"`server` is {server!r}: there are {', '.join(FORMATS)}"
        raise AnalysisError(message)
    return import_module(f"{__name__}.{FORMATS[server]}")
