"""Counts of experts that OLMoE's authors published: a pickle with a Counter for each layer.

Source: github.com/allenai/OLMoE, ``scripts/run_routing_analysis.py`` and ``scripts/routing_output/*/expert_counts/``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from moexray.errors import ImportingError
from moexray.importing.arrays import check_file
from moexray.importing.pickles import MOST_BYTES, Built, Constructor, read_pickle
from moexray.importing.reading import Reading, layout_of, read_counts
from moexray.importing.stated import Stated

_PROMPT = 0


def read_olmoe(source: Path, stated: Stated) -> Reading:
    """Open the counts of one corpus: see docs/import.md."""
    stated.refuse(["mapping", "prompts", "tokens_are"], source)
    check_file(source)
    try:
        with source.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        message = f"{source} could not be read: {error.strerror or error}"
        raise ImportingError(message) from error
    counters = read_pickle(content, _CONSTRUCTORS, str(source))
    if not isinstance(counters, list) or not counters or not all(isinstance(one, dict) for one in counters):
        message = f"{source} is no list of counters, as the files in expert_counts are"
        raise ImportingError(message)
    experts = stated.need("num_experts", source, "how many experts a layer has")
    why = f"which layers of the model its {len(counters)} are (0, 7 and 15 in those that were published)"
    layers = stated.need("layers", source, why)
    if len(layers) != len(counters):
        message = f"{source} has {len(counters)} layers, not the {len(layers)} that were stated"
        raise ImportingError(message)
    layout = layout_of(layers, experts, stated.need("top_k", source, "how many experts a token is sent to"), source)
    counts = np.zeros((len(layers), experts), dtype=np.int64)
    for place, counter in enumerate(counters):
        for expert, number in counter.items():
            if (
                type(expert) is not int
                or type(number) is not int
                or not (0 <= expert < experts and 0 <= number < 2**40)
            ):
                message = f"{source} counts {str(number)[:20]} of expert {str(expert)[:20]}, and a layer has {experts}"
                raise ImportingError(message)
            counts[place, expert] = number
    return read_counts(counts, layout, stated, segment=_PROMPT, files=(source,), name=source.stem)


class _Int64(Built):
    """NumPy's type of 64-bit integers, which the keys of the counters have."""

    def build(self, state: Any) -> None:
        """Check that its bytes are in the order that is read."""
        if type(state) is not tuple or len(state) < 2 or state[1] != "<":
            message = "numbers in another order of bytes"
            raise ValueError(message)


def _dtype(name: Any, *_: Any) -> _Int64:
    if name != "i8":
        message = f"numbers of NumPy's type {str(name)[:20]}"
        raise ValueError(message)
    return _Int64()


def _scalar(dtype: Any, content: Any) -> int:
    if not isinstance(dtype, _Int64) or type(content) is not bytes or len(content) != 8:
        message = "a number of NumPy that is none"
        raise ValueError(message)
    return int.from_bytes(content, "little", signed=True)


def _counter(counts: Any = None) -> dict[Any, Any]:
    if type(counts) is not dict:
        message = "a Counter of something other than a dict"
        raise ValueError(message)
    return dict(counts)


_CONSTRUCTORS: dict[str, Constructor] = {
    "collections.Counter": _counter,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
