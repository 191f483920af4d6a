"""Selections that are left out: as expert E, one beyond the last, where the experts implementation skips that index.

``grouped_mm`` multiplies nothing for index E while the module's `_is_expert_parallel` is set; otherwise such rows would
be memory that nobody wrote. The eager loops of transformers step over it. ``batched_mm`` computes the last expert in
its place and multiplies the result by 0. Elsewhere a selection must be handed over as it is, with weight 0: exact, but
as slow as before.
"""

import inspect
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from moexray.errors import ModelError

# Implementations that leave out index E while `_is_expert_parallel` is set.
_SKIPPING = ("grouped_mm", "batched_mm")
# Both stand in the source of an eager loop that steps over index E.
_STEPS_OVER = ("num_experts + 1", "== self.num_experts:")


def skips(experts: Any) -> bool:
    """Whether the implementation that runs leaves out index E; transformers may change it while it generates."""
    if not type(experts).__module__.startswith("transformers.models."):
        return False
    implementation = getattr(getattr(experts, "config", None), "_experts_implementation", None) or "eager"
    if implementation in _SKIPPING:
        return hasattr(experts, "_is_expert_parallel")
    return implementation == "eager" and _steps_over(cast("Hashable", type(experts)))


@contextmanager
def index_skipped(experts: Any) -> Iterator[None]:
    """Let index E be left out while the context lasts.

    Raises
    ------
    ModelError
        If the experts are spread over processes, where that index means something else.
    """
    if not hasattr(experts, "_is_expert_parallel"):
        yield
        return
    if experts._is_expert_parallel:
        message = "a model under expert parallelism follows no rule: load it in one process"
        raise ModelError(message)
    experts._is_expert_parallel = True
    try:
        yield
    finally:
        experts._is_expert_parallel = False


@cache
def _steps_over(kind: Any) -> bool:
    try:
        source = inspect.getsource(inspect.unwrap(kind.forward))
    except OSError:
        return False
    return all(part in source for part in _STEPS_OVER)
