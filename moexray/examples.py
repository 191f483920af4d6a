"""Recorded signatures and a trace that come with the package."""

from pathlib import Path
from typing import NamedTuple

from moexray.signatures import Signatures
from moexray.trace import Trace

# The data, recorded by scripts/record_example.py.
FOLDER = Path(__file__).parent / "example_data"


class Example(NamedTuple):
    """Signatures, and the trace beside them."""

    signatures: Signatures
    trace: Trace


def example() -> Example:
    """Return the routing of the 80 prompts that come with moexray, through the small model that comes with it.

    It was recorded by ``scripts/record_example.py``: four categories (code, factual, math, story) of 20 prompts, 32
    tokens generated after each, 16 layers of 64 experts, k = 8. The model has four million parameters and was trained
    for demonstration: its numbers show the toolkit at work and say nothing about OLMoE. The trace holds no gate
    weights. Reading it needs pyarrow (``pip install 'moexray[parquet]'``).

    Examples
    --------
    >>> signatures, trace = example()
    >>> signatures
    Signatures(80 prompts, 16 layers, 64 experts, model 'scale')
    """
    signatures = Signatures.open(FOLDER / "signatures.npz")
    return Example(signatures, Trace(FOLDER / "signatures.trace.parquet", signatures))
