"""Record what the routers of a Mixture-of-Experts language model do, and test whether it means anything.

    import moexray as mx

    signatures = mx.capture(mx.read_prompts("prompts/"))
    analysis = mx.analyze(signatures)
    mx.figures.layerwise(analysis)

`mx.example()` returns recorded signatures and a trace, so that everything after the capture can be tried without a
model. Each name is imported when it is first used: importing `moexray` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from moexray.version import __version__

if TYPE_CHECKING:
    from moexray.claims.check import check_claims
    from moexray.examples import example
    from moexray.merging import merge
    from moexray.prompts import Prompt, read_prompts
    from moexray.recording.capture import capture
    from moexray.replays.check import check
    from moexray.signatures import Signatures
    from moexray.studies.analysis import Analysis, analyze
    from moexray.studies.batching import study_batches
    from moexray.studies.caching import study_caches
    from moexray.studies.comparison import compare
    from moexray.studies.coverage import study_coverage
    from moexray.studies.experts import describe_experts
    from moexray.studies.kinds import study_kinds
    from moexray.studies.pooling import pool
    from moexray.trace import Trace
    from moexray.views import figures

# Where each public name is defined.
_HOME = {
    "Analysis": "moexray.studies.analysis",
    "Prompt": "moexray.prompts",
    "Signatures": "moexray.signatures",
    "Trace": "moexray.trace",
    "analyze": "moexray.studies.analysis",
    "capture": "moexray.recording.capture",
    "check": "moexray.replays.check",
    "check_claims": "moexray.claims.check",
    "compare": "moexray.studies.comparison",
    "describe_experts": "moexray.studies.experts",
    "example": "moexray.examples",
    "figures": "moexray.views",
    "merge": "moexray.merging",
    "pool": "moexray.studies.pooling",
    "read_prompts": "moexray.prompts",
    "study_batches": "moexray.studies.batching",
    "study_caches": "moexray.studies.caching",
    "study_coverage": "moexray.studies.coverage",
    "study_kinds": "moexray.studies.kinds",
}

__all__ = [
    "Analysis",
    "Prompt",
    "Signatures",
    "Trace",
    "__version__",
    "analyze",
    "capture",
    "check",
    "check_claims",
    "compare",
    "describe_experts",
    "example",
    "figures",
    "merge",
    "pool",
    "read_prompts",
    "study_batches",
    "study_caches",
    "study_coverage",
    "study_kinds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'moexray' has no attribute {name!r}"
        raise AttributeError(message)
    if name == "figures":
        return import_module("moexray.views.figures")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
