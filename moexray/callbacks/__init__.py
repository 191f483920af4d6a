"""Routing of a model while it is trained: a callback for the Trainer of transformers, and a context for any loop.

Each name is imported when it is first used: importing this package loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moexray.callbacks.report import LayerRouting, RoutingReport
    from moexray.callbacks.trainer import RoutingCallback
    from moexray.callbacks.watching import RoutingWatch, watch_routing

# Where each name is defined.
_HOME = {
    "LayerRouting": "moexray.callbacks.report",
    "RoutingCallback": "moexray.callbacks.trainer",
    "RoutingReport": "moexray.callbacks.report",
    "RoutingWatch": "moexray.callbacks.watching",
    "watch_routing": "moexray.callbacks.watching",
}

__all__ = ["LayerRouting", "RoutingCallback", "RoutingReport", "RoutingWatch", "watch_routing"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'moexray.callbacks' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
