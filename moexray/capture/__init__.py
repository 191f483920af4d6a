"""Record the routing of prompts: drive an engine, feed what it hears to recorders."""

from moexray.capture.options import DEFAULT_MODEL
from moexray.capture.run import capture, capture_to

__all__ = ["DEFAULT_MODEL", "capture", "capture_to"]
