"""Record the routing of prompts: drive an engine, feed what it hears to recorders."""

from moexray.capture.run import DEFAULT_MODEL, capture

__all__ = ["DEFAULT_MODEL", "capture"]
